"""Complex numbers: conjugates, parts, and the views that show a complex tensor as pairs of real ones.

A gradient is that of a real loss, conjugated as PyTorch has it, so that ``x - lr * x.grad`` descends. The engine
conjugates around the rules of holomorphic operations; those here are not, and say themselves what happens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import op

__all__ = ["complex", "conj", "imag", "real", "view_as_complex", "view_as_real"]


@op(holomorphic=False)
def conj(input: Array) -> Array:
    """The complex conjugate; a real tensor's own values."""
    return np.conjugate(input) if input.dtype.kind == "c" else input


conj.gradient(input=lambda g: conj(g))


@op(view=True, holomorphic=False)
def _real(input: Array) -> Array:
    """The real parts, in the same memory."""
    return input.real


@op(view=True, holomorphic=False)
def _imag(input: Array) -> Array:
    """The imaginary parts, in the same memory."""
    return input.imag


def real(input: Any) -> Any:
    """The real parts: a view of a complex tensor, a real tensor itself."""
    return _real(input) if _is_complex(input) else input


def imag(input: Any) -> Any:
    """The imaginary parts, a view.

    Raises:
        DtypeError: for a real tensor.
    """
    if not _is_complex(input):
        raise DtypeError("imag is not implemented for tensors with non-complex dtypes.")
    return _imag(input)


def _is_complex(input: Any) -> bool:
    array = getattr(input, "_array", input)
    return bool(array.dtype.kind == "c")


@op(dtype="same", holomorphic=False)
def complex(real: Array, imag: Array) -> Array:
    """``real + i * imag``, of float32 or float64 parts."""
    if real.dtype.kind != "f" or real.dtype.itemsize < 4:
        raise DtypeError(
            f"complex(): expected both inputs to be Float or Double tensors but got {real.dtype}"
        )
    made = np.empty(np.broadcast_shapes(real.shape, imag.shape), np.result_type(real.dtype, np.complex64))
    made.real, made.imag = real, imag
    return made


_real.gradient(input=lambda g: complex(g, ops.zero_unless(g, False)))
_imag.gradient(input=lambda g: complex(ops.zero_unless(g, False), g))
complex.gradient(real=lambda g: real(g), imag=lambda g: imag(g))


@op(view=True, holomorphic=False)
def view_as_real(input: Array) -> Array:
    """The parts along a new last dim of size 2, in the same memory."""
    if input.dtype.kind != "c":
        raise DtypeError("view_as_real is only supported for complex tensors")
    pairs = np.ascontiguousarray(input) if not input.size else input
    halves = pairs.view(pairs.real.dtype) if pairs.ndim and pairs.strides[-1] == pairs.itemsize else None
    if halves is not None:
        return halves.reshape((*input.shape, 2))
    step = input.itemsize // 2
    return np.lib.stride_tricks.as_strided(input.real, (*input.shape, 2), (*input.strides, step))


@op(view=True, holomorphic=False)
def view_as_complex(input: Array) -> Array:
    """A last dim of size 2 as one complex number, in the same memory."""
    if input.ndim == 0 or input.shape[-1] != 2:
        raise ShapeError(f"Tensor must have a last dimension of size 2, got shape {list(input.shape)}")
    if input.dtype.kind != "f" or input.dtype.itemsize < 4:
        raise DtypeError(
            f"view_as_complex is only supported for floating point tensors, but got {input.dtype}"
        )
    if not input.size:
        return np.empty(input.shape[:-1], np.result_type(input.dtype, np.complex64))
    if input.strides[-1] != input.itemsize:
        raise ShapeError("Tensor must have a last dimension with stride 1")
    return input.view(np.result_type(input.dtype, np.complex64))[..., 0]


view_as_real.gradient(input=lambda g: view_as_complex(ops.contiguous(g)))
view_as_complex.gradient(input=lambda g: view_as_real(ops.contiguous(g)))
