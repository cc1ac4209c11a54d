"""Elements of planes (or volumes) by their place there: adaptive and fractional max pooling, and max unpooling.

A place counts through the last two or three dims. Picking from places and adding at places are each other's
derivative.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, filled, is_on_gpu
from distrt.core.errors import ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.spatial.average_pooling import bins
from distrt.core.ops.spatial.pooling_shapes import require_filled, require_kernel
from distrt.core.ops.spatial.windows import Sizes

__all__ = [
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "max_unpool2d",
    "max_unpool3d",
]


class Windows(NamedTuple):
    """What places were found in: windows of ``kernel`` at random steps, or bins where these are None."""

    kernel: Sizes | None = None
    samples: Array | None = None


@op(node="AdaptiveMaxPool2D")
def adaptive_max_pool2d(input: Array, size: Sizes) -> Any:
    """The largest element of each of ``size`` bins, and its place. Shape: (N, C, H, W) or (C, H, W)."""
    return _largest_of_bins("adaptive_max_pool2d", "adaptive_max_pool2d", input, size)


@op(node="AdaptiveMaxPool3D")
def adaptive_max_pool3d(input: Array, size: Sizes) -> Any:
    """The largest element of each of ``size`` bins, and its place. Shape: (N, C, D, H, W) or without N."""
    return _largest_of_bins("adaptive_max_pool3d", "adaptive_max_pool3d_cpu", input, size)


@op(node="FractionalMaxPool2D")
def fractional_max_pool2d(input: Array, kernel: Sizes, size: Sizes, samples: IndexArray) -> Any:
    """The largest element of each of ``size`` windows at random steps. Shape: (N, C, H, W), samples (N, C, 2)."""
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.largest_at_random(input, size, kernel, samples)
    # The samples are for the width first, then for the height.
    lines = zip((1, 0), _lines(input, size, kernel), strict=True)
    starts = [_random_starts(samples[..., n], *sizes) for n, sizes in lines]
    return _largest_from(input, starts, [np.full(1, each) for each in kernel])


@op(node="FractionalMaxPool3D")
def fractional_max_pool3d(input: Array, kernel: Sizes, size: Sizes, samples: IndexArray) -> Any:
    """The largest element of each of ``size`` windows at random steps. Shape: (N, C, D, H, W), samples (N, C, 3)."""
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.largest_at_random(input, size, kernel, samples)
    starts = [_random_starts(samples[..., n], *sizes) for n, sizes in enumerate(_lines(input, size, kernel))]
    return _largest_from(input, starts, [np.full(1, each) for each in kernel])


def _lines(input: Array, size: Sizes, kernel: Sizes) -> list[tuple[int, int, int]]:
    """Input size, number of windows and window of each spatial dim."""
    return list(zip(input.shape[-len(size) :], size, kernel, strict=True))


def _random_starts(sample: Array, size: int, out: int, kernel: int) -> Array:
    """Where the windows of one dim start, for each plane. Source: Graham 2014, Fractional Max-Pooling."""
    last = filled((*sample.shape, 1), size - kernel, np.int64, sample)
    if out <= 1:
        return last[..., :out]
    step = sample.dtype.type(size - kernel) / sample.dtype.type(out - 1)
    number = np.arange(out - 1, like=sample).astype(sample.dtype)
    before = ((number + sample[..., None]) * step).astype(np.int64) - (sample * step).astype(np.int64)[
        ..., None
    ]
    return np.concatenate([before, last], -1)


def _largest_of_bins(name: str, kernel_name: str, input: Array, size: Sizes) -> tuple[Array, Array]:
    require_filled(name, input, input.ndim - len(size) - 1)
    require_kernel(kernel_name, input, "biuc")
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.largest_of_bins(input, size)
    pairs = [bins(n, out) for n, out in zip(input.shape[-len(size) :], size, strict=True)]
    return _largest_from(input, [start for start, _ in pairs], [end - start for start, end in pairs])


def _largest_from(input: Array, starts: list[Array], lengths: list[Array]) -> tuple[Array, Array]:
    """The largest element of each box and its place: the last NaN, else the first of ties.

    ``starts`` has one entry for each spatial dim, (..., count), ``lengths`` (count) or (1).
    """
    starts = [np.asarray(each, like=input) for each in starts]
    dims = len(starts)
    lead, spatial = input.shape[:-dims], input.shape[-dims:]
    out = tuple(each.shape[-1] for each in starts)
    planes = wide(input).reshape(*lead, math.prod(spatial))
    best = filled((*lead, *out), -np.inf, planes.dtype, planes)
    places = np.broadcast_to(_place(starts, spatial), best.shape).copy()
    for steps in itertools.product(*[range(int(length.max(initial=0))) for length in lengths]):
        at = [
            start + np.asarray(np.minimum(step, length - 1), like=input)
            for start, step, length in zip(starts, steps, lengths, strict=True)
        ]
        place = _place(at, spatial)
        if place.ndim == dims:
            candidate = planes.take(place, -1)
        else:
            rows = place.reshape(*place.shape[:-dims], math.prod(out))
            candidate = np.take_along_axis(planes, rows, -1).reshape(best.shape)
        better = (candidate > best) | np.isnan(candidate)
        np.copyto(best, candidate, where=better)
        np.copyto(places, place, where=better)
    return best.astype(input.dtype, copy=False), places


def _place(at: list[Array], spatial: Sizes) -> Array:
    """The places of all combinations of positions. Shape: (..., a), (..., b) -> (..., a, b)."""
    dims = len(at)
    place: Any = 0
    for axis, (positions, size) in enumerate(zip(at, spatial, strict=True)):
        after = dims - 1 - axis
        shaped = positions.reshape(*positions.shape[:-1], *[1] * axis, positions.shape[-1], *[1] * after)
        place = place * size + shaped
    return place


@op(node="MaxUnpool2D")
def max_unpool2d(input: Array, indices: IndexArray, size: Sizes) -> Array:
    """Zeros of ``size`` with each element at its place. Shape: (N, C, H, W) or (C, H, W)."""
    return _put("max_unpool2d", input, indices, size)


@op(node="MaxUnpool3D")
def max_unpool3d(input: Array, indices: IndexArray, size: Sizes) -> Array:
    """Zeros of ``size`` with each element at its place. Shape: (N, C, D, H, W) or without N."""
    return _put("max_unpool3d", input, indices, size)


def _put(name: str, input: Array, indices: Array, size: Sizes) -> Array:
    require_kernel(name, input, "biuc")
    volume = math.prod(size)
    message = "Found an invalid max index: {0} (output volumes are of size %s)"
    require_range(indices, 0, volume, message, "x".join(map(str, size)), error=ShapeError)
    lead, count = input.shape[: -len(size)], math.prod(input.shape[-len(size) :])
    out = np.zeros((*lead, volume), input.dtype, like=input)
    np.put_along_axis(out, indices.reshape(*lead, count), input.reshape(*lead, count), -1)
    return out.reshape(*lead, *size)


@op()
def plane_pick(input: Array, indices: IndexArray, dims: int) -> Array:
    """The elements at the places. Shape: (..., spatial), (..., out) -> (..., out)."""
    lead = input.shape[:-dims]
    rows = input.reshape(*lead, math.prod(input.shape[-dims:]))
    count = math.prod(indices.shape[-dims:])
    return np.take_along_axis(rows, indices.reshape(*lead, count), -1).reshape(indices.shape)


@op()
def plane_add(
    input: Array, indices: IndexArray, shape: Sizes, dims: int, windows: Windows | None = None
) -> Array:
    """Zeros of ``shape`` with each element added at its place; ``windows`` say where that can be, if something does."""
    if windows is not None and used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.gathered(input, indices, shape, dims, *windows)
    volume, planes = math.prod(shape[-dims:]), math.prod(shape[:-dims])
    first = np.arange(planes, like=input).reshape(*shape[:-dims], *[1] * dims) * volume
    if used.gpu and is_on_gpu(input):
        row = np.zeros(planes * volume, input.dtype, like=input)
        add_at(row, (indices + first).reshape(-1), input.reshape(-1))
        return row.reshape(shape)
    summed = np.bincount((indices + first).reshape(-1), wide(input).reshape(-1), planes * volume)
    return summed.reshape(shape).astype(input.dtype)


for _pool in (adaptive_max_pool2d, adaptive_max_pool3d):
    _pool.outputs("output", "indices")
    _pool.gradient(
        input=lambda g_output, indices, input_meta, size: plane_add(
            g_output, indices, input_meta.shape, len(size), Windows()
        )
    )
for _pool in (fractional_max_pool2d, fractional_max_pool3d):
    _pool.outputs("output", "indices")
    _pool.gradient(
        input=lambda g_output, indices, input_meta, kernel, size, samples: plane_add(
            g_output,
            indices,
            input_meta.shape,
            len(size),
            Windows(kernel, getattr(samples, "_array", samples)),
        )
    )
for _unpool in (max_unpool2d, max_unpool3d):
    _unpool.gradient(input=lambda g, indices, size: plane_pick(g, indices, len(size)))
plane_pick.gradient(input=lambda g, indices, input_meta, dims: plane_add(g, indices, input_meta.shape, dims))
plane_add.gradient(input=lambda g, indices, dims: plane_pick(g, indices, dims))
