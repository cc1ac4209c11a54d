"""Max pooling over two or three spatial dims.

An operation keeps which position of its window won, one byte for each; routing a gradient there and picking from
there are each other's derivative.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, chosen, is_on_gpu, known
from distrt.core.kernels import max_pooling, on_gpu
from distrt.core.layouts import empty_lying, is_channels_last, lying
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import rounded, wide
from distrt.core.ops.spatial.pooling_shapes import pool_counts, require_kernel
from distrt.core.ops.spatial.windows import Sizes, inner, overlap, reach, surrounded, window_slices

__all__ = ["max_pool2d", "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices"]


@op(node="MaxPool2DWithIndices", aux=("winner",), layouts="follows")
def max_pool2d(
    input: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Any:
    """The largest element of each window. Shape: (N, C, H, W) or (C, H, W) -> the same with H' and W'."""
    return _largest("max_pool2d", input, kernel, stride, padding, dilation, ceil_mode)


@op(node="MaxPool3DWithIndices", aux=("winner",), layouts="follows")
def max_pool3d(
    input: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Any:
    """The largest element of each window. Shape: (N, C, D, H, W) or without N -> the same with D', H' and W'."""
    return _largest("max_pool3d", input, kernel, stride, padding, dilation, ceil_mode)


@op(node="MaxPool2DWithIndices", aux=("winner",))
def max_pool2d_with_indices(
    input: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Any:
    """As ``max_pool2d``, with the places of the largest elements, counted through each plane."""
    best, winner = _largest("max_pool2d", input, kernel, stride, padding, dilation, ceil_mode)
    return best, _places(winner, input.shape, kernel, stride, padding, dilation), winner


@op(node="MaxPool3DWithIndices", aux=("winner",))
def max_pool3d_with_indices(
    input: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Any:
    """As ``max_pool3d``, with the places of the largest elements, counted through each volume."""
    best, winner = _largest("max_pool3d", input, kernel, stride, padding, dilation, ceil_mode)
    return best, _places(winner, input.shape, kernel, stride, padding, dilation), winner


def _largest(
    name: str, input: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[Array, Array]:
    """The largest element of each window and the number of its position; the last NaN, else the first of ties."""
    out = pool_counts(input, kernel, stride, padding, dilation, ceil_mode)
    require_kernel(name, input, "bc")
    if max_pooling.suits(input.shape, input, input.dtype, kernel, dilation):
        return max_pooling.largest(input, out, kernel, stride, padding)
    number_type = np.int8 if math.prod(kernel) <= 127 else np.int32
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.largest(input, out, kernel, stride, padding, dilation, number_type)
    work = wide(input)
    lowest = -np.inf if work.dtype.kind == "f" else np.iinfo(work.dtype).min
    padded = _covered(work, out, kernel, stride, padding, dilation, lowest)
    shape = (*input.shape[: -len(out)], *out)
    is_last = is_channels_last(work)
    best, winner = (empty_lying(shape, kind, is_last, work) for kind in (work.dtype, number_type))
    best[...] = lowest
    winner[...] = np.asarray(_first_inside(out, kernel, stride, padding, dilation), like=winner)
    slices = window_slices(out, kernel, stride, dilation)
    for number, window in enumerate(slices):
        candidate = padded[window]
        # A later position has the larger number, so the winner is a maximum, too: far faster than masked assignment.
        np.maximum(winner, (candidate > best) * number_type(number), out=winner)
        np.maximum(best, candidate, out=best)
    if work.dtype.kind == "f" and known(np.isnan(best).any()):
        for number, window in enumerate(slices):
            np.maximum(winner, np.isnan(padded[window]) * number_type(number), out=winner)
    return rounded(best, input.dtype), winner


def _first_inside(out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Array:
    """The number of each window's first position that is not padding: the winner where all elements are the lowest."""
    steps: list[Array] = []
    for o, s, p, d in zip(out, stride, padding, dilation, strict=True):
        steps.append(-(-np.maximum(p - np.arange(o) * s, 0) // d))
    number = np.zeros((), np.int64)
    for axis, (step, k) in enumerate(zip(steps, kernel, strict=True)):
        number = number * k + step.reshape(-1, *[1] * (len(out) - 1 - axis))
    return number


def _places(
    winner: Array, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Array:
    """The winners' positions in their planes, as PyTorch counts them."""
    if is_on_gpu(winner):
        return on_gpu.pooling.places_of(winner, shape, kernel, stride, padding, dilation)
    dims = len(kernel)
    spatial, out = shape[-dims:], winner.shape[-dims:]
    offsets = np.zeros(math.prod(kernel), np.int64)
    for number, position in enumerate(itertools.product(*map(range, kernel))):
        offsets[number] = _ravelled([i * d for i, d in zip(position, dilation, strict=True)], spatial)
    starts = [
        (np.arange(o) * s - p).reshape(-1, *[1] * (dims - 1 - axis))
        for axis, (o, s, p) in enumerate(zip(out, stride, padding, strict=True))
    ]
    starts_of_windows = np.asarray(_ravelled(starts, spatial), like=winner)
    return np.asarray(offsets, like=winner)[winner] + starts_of_windows


def _ravelled(position: list[Any], shape: Sizes) -> Any:
    place = position[0]
    for along, size in zip(position[1:], shape[1:], strict=True):
        place = place * size + along
    return place


def _covered(
    input: Array, out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, value: Any
) -> Array:
    """The input padded on the near side, and as far on the other as the last window reaches."""
    spatial = input.shape[-len(out) :]
    far = reach(out, kernel, stride, dilation)
    after = [max(0, r - p - n) for r, p, n in zip(far, padding, spatial, strict=True)]
    return surrounded(input, padding, after, value)


@op()
def max_pool_route(
    input: Array,
    winner: IndexArray,
    shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
) -> Array:
    """Zeros of ``shape`` with each element added where its window's winner is."""
    if winner.dtype == np.int8 and max_pooling.suits(shape, winner, input.dtype, kernel, dilation):
        return max_pooling.route(input, winner, shape, kernel, stride, padding)
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.won(input, winner, shape, kernel, stride, padding, dilation)
    g, dims = wide(input), len(kernel)
    spatial, out = shape[-dims:], input.shape[-dims:]
    far = reach(out, kernel, stride, dilation)
    covered = [max(n + p, r) for n, p, r in zip(spatial, padding, far, strict=True)]
    routed = empty_lying((*shape[:-dims], *covered), g.dtype, is_channels_last(winner), winner)
    routed[...] = 0
    zero, several = g.dtype.type(0), overlap(kernel, stride, dilation)
    for number, window in enumerate(window_slices(out, kernel, stride, dilation)):
        won = winner == number
        if several:
            routed[window] += chosen(won, g, zero)
        else:
            np.copyto(routed[window], g, where=won)
    found = routed[inner(spatial, padding)]
    found = lying(found, is_channels_last(routed))
    return rounded(found, input.dtype)


@op()
def max_pool_pick(
    input: Array, winner: IndexArray, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Array:
    """The elements of ``input`` at each window's winner."""
    out = winner.shape[-len(kernel) :]
    padded = _covered(input, out, kernel, stride, padding, dilation, 0)
    picked = np.zeros(winner.shape, input.dtype, like=input)
    for number, window in enumerate(window_slices(out, kernel, stride, dilation)):
        np.copyto(picked, padded[window], where=winner == number)
    return picked


for _pool in (max_pool2d, max_pool3d):
    _pool.gradient(
        input=lambda g, winner, input_meta, kernel, stride, padding, dilation: max_pool_route(
            g, winner, input_meta.shape, kernel, stride, padding, dilation
        )
    )
for _pool in (max_pool2d_with_indices, max_pool3d_with_indices):
    _pool.outputs("output", "indices")
    _pool.gradient(
        input=lambda g_output, winner, input_meta, kernel, stride, padding, dilation: max_pool_route(
            g_output, winner, input_meta.shape, kernel, stride, padding, dilation
        )
    )
max_pool_route.gradient(
    input=lambda g, winner, kernel, stride, padding, dilation: max_pool_pick(
        g, winner, kernel, stride, padding, dilation
    )
)
max_pool_pick.gradient(
    input=lambda g, winner, input_meta, kernel, stride, padding, dilation: max_pool_route(
        g, winner, input_meta.shape, kernel, stride, padding, dilation
    )
)
