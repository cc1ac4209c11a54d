"""The taps of every mode of ``interpolate``, in the precision that PyTorch computes them in.

Source: ATen/native/UpSample.h and cpu/UpSampleKernel.cpp. Positions are of pixel centres, (i + 0.5) * scale - 0.5,
unless the corners are aligned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.ops.spatial.resampling import Taps


def taps_of(
    mode: str, old: int, new: int, scale_factor: float | None, align_corners: bool, dtype: np.dtype[Any]
) -> Taps:
    """The taps of one dim.

    Args:
        mode: "nearest", "nearest-exact", "linear", "cubic" or "area".
        old: the old size.
        new: the new size.
        scale_factor: what the user gave instead of a size, if he did; positions then follow it and not the sizes.
        align_corners: the first and last positions stay where they are.
        dtype: what positions and weights are computed in.
    """
    if mode == "area":
        return _area(old, new, dtype)
    if mode.startswith("nearest"):
        return _nearest(old, new, scale_factor, mode == "nearest-exact")
    scale = _scale(old, new, scale_factor, align_corners, dtype)
    return (
        _cubic(old, new, scale, align_corners) if mode == "cubic" else _linear(old, new, scale, align_corners)
    )


def unchanged(size: int) -> Taps:
    """The map of a dim that stays as it is."""
    return Taps(np.arange(size)[None], None, size)


def _scale(old: int, new: int, scale_factor: float | None, align_corners: bool, dtype: np.dtype[Any]) -> Any:
    """Old positions per new one."""
    if align_corners:
        return dtype.type(old - 1) / dtype.type(new - 1) if new > 1 else dtype.type(0)
    if scale_factor is not None and scale_factor > 0:
        return dtype.type(1 / scale_factor)
    return dtype.type(old) / dtype.type(new)


def _centres(new: int, scale: Any, align_corners: bool) -> Array:
    half = scale.dtype.type(0.5)
    steps = np.arange(new, dtype=scale.dtype)
    return scale * steps if align_corners else scale * (steps + half) - half


def _nearest(old: int, new: int, scale_factor: float | None, exact: bool) -> Taps:
    scale = _scale(old, new, scale_factor, False, np.dtype(np.float32))
    steps = np.arange(new, dtype=np.float32)
    index = np.floor((steps + np.float32(0.5)) * scale if exact else steps * scale).astype(np.int64)
    return Taps(np.minimum(index, old - 1)[None], None, old)


def _linear(old: int, new: int, scale: Any, align_corners: bool) -> Taps:
    if old == new:  # whatever the scale factor was
        return unchanged(old)
    position = np.maximum(_centres(new, scale, align_corners), 0)
    left = np.minimum(position.astype(np.int64), old - 1)
    part = np.clip(position - left.astype(scale.dtype), 0, 1)
    return Taps(np.stack([left, np.minimum(left + 1, old - 1)]), np.stack([1 - part, part]), old)


def _cubic(old: int, new: int, scale: Any, align_corners: bool) -> Taps:
    position = _centres(new, scale, align_corners)
    left = np.minimum(np.floor(position).astype(np.int64), old - 1)
    part = np.clip(position - left.astype(scale.dtype), 0, 1)
    index = np.clip(left + np.arange(-1, 3)[:, None], 0, old - 1)
    return Taps(index, np.stack(cubic_weights(part)), old)


def cubic_weights(part: Any, a: float = -0.75) -> list[Any]:
    """The four weights of cubic convolution, for a position ``part`` of the way from the second tap to the third.

    Runs on arrays and on tensors. Source: Keys 1981.
    """

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]


def _area(old: int, new: int, dtype: np.dtype[Any]) -> Taps:
    """The average of the old positions that a new one covers, each as a whole."""
    steps = np.arange(new)
    first, end = steps * old // new, -(-(steps + 1) * old // new)
    return _window(first, end - first, old, lambda place: np.ones(place.shape, dtype))


# -- anti-aliasing: a filter as wide as the new pixels


def antialias_taps(
    mode: str, old: int, new: int, scale_factor: float | None, align_corners: bool, dtype: np.dtype[Any]
) -> Taps:
    """The taps of one dim for "linear", "cubic" or "lanczos" with a low-pass filter, as Pillow has them."""
    reach, curve = _FILTERS[mode]
    scale = _scale(old, new, scale_factor, align_corners, dtype)
    one = dtype.type(1)
    support = reach * max(scale, one)
    shrink = min(one / scale, one) if scale > 0 else one
    half = dtype.type(0.5)
    centre = scale * (np.arange(new, dtype=dtype) + half)
    first = np.maximum((centre - support + half).astype(np.int64), 0)
    end = np.minimum((centre + support + half).astype(np.int64), old)
    count = np.clip(end - first, 0, int(np.ceil(support)) * 2 + 1)
    return _window(
        first, count, old, lambda place: curve(np.abs((place.astype(dtype) - centre + half) * shrink))
    )


def _window(first: Array, count: Array, old: int, curve: Any) -> Taps:
    """Taps from ``first`` on, ``count`` of them, weighted by ``curve`` of their position, together 1."""
    steps = np.arange(max(int(count.max()), 1))[:, None]
    inside = steps < count
    weight = np.where(inside, curve(first + steps), 0)
    total = weight.sum(axis=0)
    weight = weight / np.where(total == 0, 1, total).astype(weight.dtype)
    return Taps(np.where(inside, first + steps, np.minimum(first, old - 1)), weight, old)


def _triangle(x: Array) -> Array:
    return np.where(x < 1, 1 - x, 0)


def _keys(x: Array) -> Array:
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return np.where(x < 1, near, np.where(x < 2, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a, 0))


def _lanczos(x: Array) -> Array:
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0).astype(x.dtype)


#: By mode: half the width of the filter in old positions, and its curve.
_FILTERS = {"linear": (1, _triangle), "cubic": (2, _keys), "lanczos": (3, _lanczos)}
