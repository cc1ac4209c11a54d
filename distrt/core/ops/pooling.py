"""Max pooling over two spatial dims.

The op keeps which position of each window won; routing a gradient there and picking from there are each other's
derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.dims import Pair, windows

__all__ = [
    "max_pool2d",
]


def _pool_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + padding:  # the last window must start inside the input
        out -= 1
    return out


@op(node="MaxPool2DWithIndices", aux=("winner",))
def max_pool2d(
    input: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Any:
    """The largest element of each window. Shape: (N, C, H, W) -> (N, C, H', W')."""
    if input.ndim != 4:
        raise ShapeError(f"max_pool2d: Expected 3D or 4D (batch mode) tensor, got {list(input.shape)}")
    for n in (0, 1):
        if padding[n] > kernel[n] // 2:
            raise ShapeError(
                f"max_pool2d: pad should be at most half of effective kernel size, but got pad={padding[n]} for a "
                f"kernel of {kernel[n]}"
            )
    out = tuple(
        _pool_size(input.shape[n + 2], kernel[n], stride[n], padding[n], dilation[n], ceil_mode)
        for n in (0, 1)
    )
    if min(out) < 1:
        raise ShapeError(
            f"max_pool2d: Given input size {list(input.shape)}, the output size is too small: {list(out)}"
        )
    padded = _cover(input, out, kernel, stride, padding, dilation)
    best = winner = None
    for number, (rows, cols) in enumerate(windows(out, kernel, stride, dilation)):
        candidate = padded[:, :, rows, cols]
        if best is None or winner is None:
            best, winner = candidate.copy(), np.zeros(candidate.shape, np.int32)
        else:
            better = (candidate > best) | np.isnan(candidate)
            np.copyto(best, candidate, where=better)
            winner[better] = number
    return best, winner


def _cover(
    input: Array, out: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """The input padded with the lowest value on the left, and as far right as the last window reaches."""
    reach = [(out[n] - 1) * stride[n] + dilation[n] * (kernel[n] - 1) + 1 for n in (0, 1)]
    after = [max(0, reach[n] - padding[n] - input.shape[n + 2]) for n in (0, 1)]
    if padding == (0, 0) and after == [0, 0]:
        return input
    lowest = -np.inf if input.dtype.kind in "fV" else np.iinfo(input.dtype).min
    n, c, h, w = input.shape
    padded = np.full((n, c, h + padding[0] + after[0], w + padding[1] + after[1]), lowest, input.dtype)
    padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w] = input
    return padded


@op()
def max_pool2d_route(
    input: Array,
    winner: IndexArray,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Array:
    """Zeros of ``shape`` with each element added where its window's winner is."""
    out = input.shape[2:]
    canvas = np.zeros(shape, input.dtype)
    padded = _cover(canvas, out, kernel, stride, padding, dilation)
    routed = np.zeros(padded.shape, input.dtype)
    for number, (rows, cols) in enumerate(windows(out, kernel, stride, dilation)):
        routed[:, :, rows, cols] += np.where(winner == number, input, np.zeros((), input.dtype))
    top, left = padding
    return np.ascontiguousarray(routed[:, :, top : top + shape[2], left : left + shape[3]])


@op()
def max_pool2d_pick(
    input: Array, winner: IndexArray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """The elements of ``input`` at each window's winner."""
    out = winner.shape[2:]
    padded = _cover(input, out, kernel, stride, padding, dilation)
    picked = np.zeros(winner.shape, input.dtype)
    for number, (rows, cols) in enumerate(windows(out, kernel, stride, dilation)):
        np.copyto(picked, padded[:, :, rows, cols], where=winner == number)
    return picked


max_pool2d.gradient(
    input=lambda g, winner, input_meta, kernel, stride, padding, dilation: max_pool2d_route(
        g, winner, input_meta.shape, kernel, stride, padding, dilation
    )
)
max_pool2d_route.gradient(
    input=lambda g, winner, kernel, stride, padding, dilation: max_pool2d_pick(
        g, winner, kernel, stride, padding, dilation
    )
)
max_pool2d_pick.gradient(
    input=lambda g, winner, input_meta, kernel, stride, padding, dilation: max_pool2d_route(
        g, winner, input_meta.shape, kernel, stride, padding, dilation
    )
)
