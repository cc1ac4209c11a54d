"""Discrete Fourier transforms, over one dim or several.

Three operations do the work, each unscaled but for one factor: complex to complex, real to the half of its spectrum
that is not redundant, and back. Source of the gradients: torch/csrc/autograd/FunctionsManual.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, address_of, beside, is_on_gpu, require_array
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.gpu.places import table
from distrt.core.op import op
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.ops.shapes.dims import one_dim

__all__ = [
    "fft_fft",
    "fft_fft2",
    "fft_fftn",
    "fft_fftshift",
    "fft_hfft",
    "fft_hfft2",
    "fft_hfftn",
    "fft_ifft",
    "fft_ifft2",
    "fft_ifftn",
    "fft_ifftshift",
    "fft_ihfft",
    "fft_ihfft2",
    "fft_ihfftn",
    "fft_irfft",
    "fft_irfft2",
    "fft_irfftn",
    "fft_rfft",
    "fft_rfft2",
    "fft_rfftn",
]

Dims = tuple[int, ...]


# The three operations


@op(holomorphic=False, node="FftC2C")
def _fft_c2c(input: Array, dims: Dims, scale: float, positive: bool) -> Array:
    """The transform of complex numbers: ``exp(-i…)``, or ``exp(+i…)`` where ``positive``, times ``scale``."""
    if not dims:
        return input.copy()
    if _is_nothing(input):
        return np.empty(input.shape, input.dtype, like=input)
    found = np.fft.fftn(input, axes=dims) if not positive else np.fft.ifftn(input, axes=dims, norm="forward")
    return _scaled(found, scale, input.dtype)


@op(holomorphic=False, node="FftR2C")
def _fft_r2c(input: Array, dims: Dims, scale: float) -> Array:
    """The forward transform of real numbers: of the last of ``dims`` the first n // 2 + 1 frequencies."""
    kind = np.result_type(input.dtype, np.complex64)
    if _is_nothing(input):
        shape = list(input.shape)
        shape[dims[-1]] = shape[dims[-1]] // 2 + 1
        return np.empty(shape, kind, like=input)
    return _scaled(np.fft.rfftn(_in_pairs(input), axes=dims), scale, kind)


@op(holomorphic=False, node="FftC2R")
def _fft_c2r(input: Array, dims: Dims, scale: float, size: int) -> Array:
    """The ``exp(+i…)`` transform to ``size`` real numbers along the last of ``dims``, from half a spectrum."""
    if _is_nothing(input):
        shape = list(input.shape)
        shape[dims[-1]] = size
        return np.empty(shape, input.real.dtype, like=input)
    sizes = (*(input.shape[dim] for dim in dims[:-1]), size)
    return _scaled(np.fft.irfftn(input, s=sizes, axes=dims, norm="forward"), scale, input.real.dtype)


def _is_nothing(input: Array) -> bool:
    """No signal at all, which CuPy does not transform."""
    return is_on_gpu(input) and not input.size


def _in_pairs(input: Array) -> Array:
    """The real numbers where cuFFT can read two at once; CuPy sees to that in one dim only."""
    return input.copy() if is_on_gpu(input) and address_of(input) % (2 * input.itemsize) else input


def _scaled(found: Array, scale: float, dtype: Any) -> Array:
    if scale != 1:
        found *= scale
    return found.astype(dtype, copy=False)


def _r2c_slope(g: Any, meta: Any, dims: Dims, scale: float) -> Any:
    whole = list(g.shape)
    whole[dims[-1]] = meta.shape[dims[-1]]
    return ops.real(_fft_c2c(_resized(g, dims[-1:], (whole[dims[-1]],)), dims, scale, True))


def _c2r_slope(g: Any, dims: Dims, scale: float, size: int) -> Any:
    """Frequencies whose conjugates were left out count twice."""
    slope = _fft_r2c(g, dims, scale)
    last = dims[-1]
    weights = np.ones(size // 2 + 1)
    weights[1 : size - size // 2] = 2
    shape = [1] * slope.ndim
    shape[last] = weights.size
    real = getattr(g, "_array", g).dtype
    factors = table(weights.astype(real).reshape(shape), beside(g))
    return ops.mul(slope, factors)


_fft_c2c.gradient(input=lambda g, dims, scale, positive: _fft_c2c(g, dims, scale, not positive))
_fft_r2c.gradient(input=lambda g, input_meta, dims, scale: _r2c_slope(g, input_meta, dims, scale))
_fft_c2r.gradient(input=lambda g, dims, scale, size: _c2r_slope(g, dims, scale, size))


# Arguments


def _resized(input: Any, dims: Dims, sizes: Sequence[int]) -> Any:
    """Cut, or filled up with zeros at the end, to ``sizes``."""
    cut, shape = [slice(None)] * input.ndim, list(input.shape)
    for dim, size in zip(dims, sizes, strict=True):
        cut[dim] = slice(min(size, input.shape[dim]))
        shape[dim] = size
    if any(size < input.shape[dim] for dim, size in zip(dims, sizes, strict=True)):
        input = ops.index(input, tuple(cut))
    if tuple(shape) == tuple(input.shape):
        return input
    return ops.index_scatter(input, tuple(shape), tuple(cut))


def _scale(norm: str | None, sizes: Sequence[int], forward: bool) -> float:
    """What the sum is multiplied with.

    Raises:
        RuntimeError: for another ``norm`` than "backward" (the default), "ortho" and "forward".
    """
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    count = math.prod(sizes)
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "forward") == forward else 1.0


def _prepared(name: str, input: Any, is_complex: bool | None) -> Any:
    """The input as floating or complex numbers.

    Raises:
        DtypeError: for half precision, or complex numbers where real ones are needed (``is_complex`` False).
    """
    require_array(f"fft_{name}", "input", input)
    kind = input._array.dtype
    if kind.itemsize == 2 and kind in dt.FLOATING_NUMPY:
        raise DtypeError(f"Unsupported dtype {scalar_type(input)}: convert to float32 first")
    if is_complex is False and kind.kind == "c":
        raise DtypeError(f"{name} expects a real input tensor, but got {scalar_type(input)}")
    if kind not in dt.FLOATING_NUMPY:
        kind = dt.default.numpy
    if is_complex and kind.kind != "c":
        kind = np.result_type(kind, np.complex64)
    return input if kind == input._array.dtype else ops.to_dtype(input, kind)


def _along(input: Any, dim: int) -> int:
    if input.ndim == 0:
        raise DimensionError(f"Dimension specified as {dim} but tensor has no dimensions")
    return one_dim(dim, input.ndim)


def _dims_and_sizes(input: Any, s: Any, dim: Any) -> tuple[Dims, list[int]]:
    """The dims to transform and the sizes they get; -1 keeps a size."""
    if dim is not None:
        given = (dim,) if isinstance(dim, int) else tuple(dim)
        dims = tuple(one_dim(each, input.ndim) for each in given)
    elif s is not None:
        wanted = 1 if isinstance(s, int) else len(s)
        if wanted > input.ndim:
            raise ShapeError(
                f"Got shape with {wanted} values but input tensor only has {input.ndim} dimensions."
            )
        dims = tuple(range(input.ndim - wanted, input.ndim))
    else:
        dims = tuple(range(input.ndim))
    if len(set(dims)) < len(dims):
        raise ShapeError("FFT dims must be unique")
    sizes = [input.shape[each] for each in dims]
    if s is not None:
        asked = [s] if isinstance(s, int) else list(s)
        if len(asked) != len(dims):
            raise ShapeError("When given, dim and shape arguments must have the same length")
        sizes = [have if want == -1 else want for have, want in zip(sizes, asked, strict=True)]
    return dims, sizes


def _require_points(sizes: Sequence[int]) -> None:
    for size in sizes:
        if size < 1:
            raise ShapeError(f"Invalid number of data points ({size}) specified")


# Of any number of dims; the one-dim and two-dim ones are special cases


def _complex(name: str, input: Any, s: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    input = _prepared(name, input, True)
    dims, sizes = _dims_and_sizes(input, s, dim)
    _require_points(sizes)
    return _fft_c2c(_resized(input, dims, sizes), dims, _scale(norm, sizes, forward), not forward)


def _to_half(name: str, input: Any, s: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    input = _prepared(name, input, False)
    dims, sizes = _dims_and_sizes(input, s, dim)
    if not dims:
        raise ShapeError(f"{name} must transform at least one axis")
    _require_points(sizes)
    found = _fft_r2c(_resized(input, dims, sizes), dims, _scale(norm, sizes, forward))
    return found if forward else ops.conj(found)


def _from_half(name: str, input: Any, s: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    input = _prepared(name, input, True)
    dims, sizes = _dims_and_sizes(input, s, dim)
    if not dims:
        raise ShapeError(f"{name} must transform at least one axis")
    given = s if isinstance(s, int) else None if s is None else list(s)[-1]
    size = 2 * (input.shape[dims[-1]] - 1) if given in (None, -1) else sizes[-1]
    _require_points([*sizes[:-1], size])
    input = _resized(input, dims, [*sizes[:-1], size // 2 + 1])
    scale = _scale(norm, [*sizes[:-1], size], forward)
    return _fft_c2r(ops.conj(input) if forward else input, dims, scale, size)


_KINDS = {
    "fft": (_complex, True, "The Fourier transform"),
    "ifft": (_complex, False, "The inverse Fourier transform"),
    "rfft": (_to_half, True, "The Fourier transform of real numbers, without its redundant half,"),
    "irfft": (_from_half, False, "The inverse of ``rfft``: real numbers from half a spectrum,"),
    "hfft": (_from_half, True, "The real Fourier transform of half a Hermitian signal"),
    "ihfft": (_to_half, False, "The inverse of ``hfft``: half of a Hermitian signal,"),
}


def _one_dim(name: str) -> Any:
    kernel, forward, says = _KINDS[name]

    def transform(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        require_array(f"fft_{name}", "input", input)
        if n is not None and n < 1:
            raise ShapeError(f"Invalid number of data points ({n}) specified")
        return kernel(name, input, n, _along(input, dim), norm, forward)

    return _named(transform, name, f"{says} along ``dim``, of the first ``n`` elements (zeros fill up).")


def _two_dims(name: str) -> Any:
    kernel, forward, says = _KINDS[name]

    def transform(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
        return kernel(f"{name}2", input, s, dim, norm, forward)

    return _named(transform, f"{name}2", f"{says} over two dims, of sizes ``s``.")


def _all_dims(name: str) -> Any:
    kernel, forward, says = _KINDS[name]

    def transform(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        return kernel(f"{name}n", input, s, dim, norm, forward)

    return _named(
        transform, f"{name}n", f"{says} over ``dim`` (by default all, or as many as ``s`` has sizes)."
    )


def _named(function: Any, name: str, says: str) -> Any:
    function.__name__ = function.__qualname__ = f"fft_{name}"
    function.__doc__ = (
        f"{says}\n\nThe factor 1/n goes to ``norm``: backward, forward, or half to each (ortho)."
    )
    return autocasts("full")(takes_out(function))


fft_fft, fft_fft2, fft_fftn = _one_dim("fft"), _two_dims("fft"), _all_dims("fft")
fft_ifft, fft_ifft2, fft_ifftn = _one_dim("ifft"), _two_dims("ifft"), _all_dims("ifft")
fft_rfft, fft_rfft2, fft_rfftn = _one_dim("rfft"), _two_dims("rfft"), _all_dims("rfft")
fft_irfft, fft_irfft2, fft_irfftn = _one_dim("irfft"), _two_dims("irfft"), _all_dims("irfft")
fft_hfft, fft_hfft2, fft_hfftn = _one_dim("hfft"), _two_dims("hfft"), _all_dims("hfft")
fft_ihfft, fft_ihfft2, fft_ihfftn = _one_dim("ihfft"), _two_dims("ihfft"), _all_dims("ihfft")


# Orders of frequencies


def fft_fftshift(input: Any, dim: Any = None) -> Any:
    """The spectrum with frequency 0 moved to the middle of ``dim`` (all dims for None)."""
    return _shifted("fftshift", input, dim, lambda size: (size + 1) // 2)


def fft_ifftshift(input: Any, dim: Any = None) -> Any:
    """Undoes ``fftshift``."""
    return _shifted("ifftshift", input, dim, lambda size: size // 2)


def _shifted(name: str, input: Any, dim: Any, first: Any) -> Any:
    require_array(f"fft_{name}", "input", input)
    given = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    for each in given:
        axis = one_dim(each, input.ndim)
        start = first(input.shape[axis])
        before = (slice(None),) * axis
        ends = ops.index(input, (*before, slice(start, None))), ops.index(input, (*before, slice(start)))
        input = ops.cat(ends, axis)
    return input
