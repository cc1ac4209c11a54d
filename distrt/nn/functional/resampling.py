"""``interpolate`` and its older names."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.autocast import raised
from distrt.core.errors import ShapeError
from distrt.core.modes import modes
from distrt.core.ops.pointwise.half import refuse
from distrt.core.ops.spatial.resampling import Taps
from distrt.core.ops.spatial.resampling_taps import antialias_taps, taps_of, unchanged
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

#: By mode, the spatial dims that it takes, and what each dim is resampled with.
SMOOTH = {
    "linear": (1, "linear"),
    "bilinear": (2, "linear"),
    "trilinear": (3, "linear"),
    "bicubic": (2, "cubic"),
    "lanczos": (2, "lanczos"),
}
FLAT = ("nearest", "nearest-exact", "area")


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes the spatial dims. Shape: (N, C, *old sizes) -> (N, C, *new sizes), with 1 to 3 spatial dims.

    Args:
        input: the images.
        size: the new sizes, or one for all dims.
        scale_factor: new sizes by old, or one for all dims, instead of ``size``.
        mode: "nearest", "nearest-exact", "area"; "linear" for 1 dim, "bilinear", "bicubic" or "lanczos" for 2,
            "trilinear" for 3.
        align_corners: the corner pixels' centres stay where they are; else the corners of the images do.
        recompute_scale_factor: let positions follow the sizes, which were rounded, and not ``scale_factor``.
        antialias: a low-pass filter first, for "bilinear", "bicubic" and "lanczos".

    Raises:
        ValueError: for options that contradict one another.
        NotImplementedError: for a mode that does not take this many dims.
    """
    if mode in FLAT and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    sizes, factors = _sizes_and_factors(input, size, scale_factor)
    if recompute_scale_factor and sizes is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    _check_mode(input, mode, bool(align_corners), antialias)
    if sizes is None:
        sizes = [math.trunc(old * factor) for old, factor in zip(input.shape[2:], factors, strict=True)]
        if recompute_scale_factor or mode == "area":
            factors = [None] * len(sizes)
    _check_sizes(input, sizes)
    if modes.autocast is not None and mode == "area" and input.ndim == 5:
        input = raised(input)  # as adaptive_avg_pool3d does
    _check_dtype(input, mode, antialias)
    taps = _taps(input, sizes, factors, mode, bool(align_corners), antialias)
    return ops.resample(input, taps)  # type: ignore[no-any-return]


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
) -> Tensor:
    """The former name of :func:`interpolate`."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The former name of :func:`interpolate` in mode "nearest"."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The former name of :func:`interpolate` in mode "bilinear", with aligned corners."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _deprecated(name: str) -> None:
    warn(f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.")


# -- arguments


def _sizes_and_factors(
    input: Tensor, size: Any, scale_factor: Any
) -> tuple[list[int] | None, list[float | None]]:
    """The new sizes, if they were given, and the scale factors, None where they were not."""
    dims, old = max(input.ndim - 2, 0), list(input.shape[2:])
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        listed = isinstance(size, list | tuple)
        if listed and len(size) != dims:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input with spatial "
                f"dimensions of {old} and output size of {size}. Please provide input tensor in (N, C, d1, d2, "
                "...,dK) format and output size in (o1, o2, ...,oK) format."
            )
        try:
            return [operator.index(each) for each in (size if listed else [size] * dims)], [None] * dims
        except TypeError:
            types = [type(each) for each in size] if listed else [type(size)]
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but got "
                f"size with types {types}"
            ) from None
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    listed = isinstance(scale_factor, list | tuple)
    if listed and len(scale_factor) != dims:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial "
            f"dimensions of {old} and scale_factor of shape {scale_factor}. Please provide input tensor in (N, C, d1, "
            "d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
        )
    return None, [float(each) for each in (scale_factor if listed else [scale_factor] * dims)]


def _check_mode(input: Tensor, mode: str, align_corners: bool, antialias: bool) -> None:
    dims = input.ndim - 2
    if mode == "lanczos" and dims == 2:
        if align_corners:
            raise ValueError("Lanczos mode does not support align_corners=True")
        if not antialias:
            raise ValueError("Lanczos mode requires antialias=True")
    fits = 1 <= dims <= 3 and (mode in FLAT or (mode in SMOOTH and SMOOTH[mode][0] == dims))
    if fits:
        return
    if mode in ("linear", "bilinear", "trilinear") and 1 <= dims <= 3:
        raise NotImplementedError(
            f"Got {input.ndim}D input, but {mode} mode needs {SMOOTH[mode][0] + 2}D input"
        )
    raise NotImplementedError(
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: nearest | linear "
        f"| bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
    )


def _check_sizes(input: Tensor, sizes: list[int]) -> None:
    names = ("D", "H", "W")[-len(sizes) :]
    old = list(input.shape[2:])
    if min(*old, *sizes) <= 0:
        shown = [
            ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            for values in (old, sizes)
        ]
        raise ShapeError(
            f"Input and output sizes should be greater than 0, but got input ({shown[0]}) output ({shown[1]})"
        )
    if input.shape[1] == 0:
        raise ShapeError(
            f"Non-empty {input.ndim}D data tensor expected but got a tensor with sizes {list(input.shape)}"
        )


def _check_dtype(input: Tensor, mode: str, antialias: bool) -> None:
    """PyTorch takes floats everywhere, and bytes where images have them."""
    array, dims = input._array, input.ndim - 2
    name = "adaptive_avg_pool" if mode == "area" else f"upsample_{mode}"
    takes_bytes = mode in ("nearest", "nearest-exact") or (dims == 2 and mode != "area")
    if array.dtype != np.uint8 or not takes_bytes:
        refuse(f"{name}{dims}d", array, "bciu")
    if antialias and array.dtype.itemsize == 2:
        refuse("compute_index_ranges_weights", array, "fV")


def _taps(
    input: Tensor,
    sizes: list[int],
    factors: list[float | None],
    mode: str,
    align_corners: bool,
    antialias: bool,
) -> tuple[Taps, ...]:
    kind = input._array.dtype
    precise = np.dtype(np.float64 if kind in (np.float64, np.uint8) else np.float32)
    along = SMOOTH[mode][1] if mode in SMOOTH else mode
    make = antialias_taps if antialias else taps_of
    # A dim that keeps its size is left alone there, whatever its scale factor.
    images = input.ndim == 4 and mode != "nearest-exact"
    keeps = antialias or (images and (mode == "nearest" or kind == np.uint8))
    return tuple(
        unchanged(old) if old == new and keeps else make(along, old, new, factor, align_corners, precise)
        for old, new, factor in zip(input.shape[2:], sizes, factors, strict=True)
    )
