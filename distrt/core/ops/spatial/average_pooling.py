"""Average pooling over windows of one size, and over bins that share a dim out among themselves (adaptive pooling).

Sums of boxes are sums along one dim after the other, in both directions: averages forward, and backward each
gradient's share on every element of its window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_writeable, row_major
from distrt.core.errors import ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.spatial.pooling_shapes import pool_counts, require_filled, require_kernel
from distrt.core.ops.spatial.windows import Sizes, inner, reach, surrounded

__all__ = ["adaptive_avg_pool2d", "adaptive_avg_pool3d", "avg_pool2d", "avg_pool3d"]


@op(node="AvgPool2D")
def avg_pool2d(
    input: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The mean of each window. Shape: (N, C, H, W) or (C, H, W) -> the same with H' and W'."""
    require_kernel("avg_pool2d", input, "bcs")
    return _averages(input, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)


@op(node="AvgPool3D")
def avg_pool3d(
    input: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The mean of each window. Shape: (N, C, D, H, W) or without N -> the same with D', H' and W'."""
    require_kernel("avg_pool3d_out_frame", input, "bcs")
    return _averages(input, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _averages(
    input: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    out = pool_counts(input, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    if divisor_override == 0:
        raise ShapeError("divisor must be not zero")
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.averages(
            input, out, kernel, stride, padding, count_include_pad, divisor_override
        )
    spatial = input.shape[-len(kernel) :]
    total = surrounded(wide(input), padding, _after(spatial, out, kernel, stride, padding))
    for axis in range(-len(kernel), 0):
        total = _sums(total, axis, out[axis], kernel[axis], stride[axis])
    return _divided(
        total, _divisor(spatial, out, kernel, stride, padding, count_include_pad, divisor_override), input
    )


def _after(spatial: Sizes, out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> list[int]:
    """The zeros after each dim that the last window reaches."""
    far = reach(out, kernel, stride, (1,) * len(out))
    return [max(0, r - p - n) for r, p, n in zip(far, padding, spatial, strict=True)]


def _sums(array: Array, axis: int, out: int, kernel: int, stride: int) -> Array:
    """The sums of ``kernel`` elements of ``axis``, from every ``stride``-th on."""
    if kernel == stride == 1:
        return array if array.shape[axis] == out else array[_step(array, axis, 0, out, 1)]
    total = array[_step(array, axis, 0, out, stride)].copy()
    for position in range(1, kernel):
        total += array[_step(array, axis, position, out, stride)]
    return total


def _shares(array: Array, axis: int, size: int, kernel: int, stride: int) -> Array:
    """The transpose of :func:`_sums`: each element added to ``kernel`` of the ``size`` elements of ``axis``."""
    out = array.shape[axis]
    if kernel == stride == 1 and size == out:
        return array
    shape = list(array.shape)
    shape[axis] = size
    total = np.zeros(shape, array.dtype, like=array)
    for position in range(kernel):
        total[_step(total, axis, position, out, stride)] += array
    return total


def _step(array: Array, axis: int, first: int, count: int, stride: int) -> tuple[slice, ...]:
    part = slice(first, first + (count - 1) * stride + 1 if count else first, stride)
    return (*[slice(None)] * (array.ndim + axis), part)


def _divisor(
    spatial: Sizes,
    out: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """How many elements each window's sum is divided by: one number, or one for each window."""
    if divisor_override is not None:
        return divisor_override
    counts: Any = np.ones((), np.int64)
    for n, o, k, s, p in zip(spatial, out, kernel, stride, padding, strict=True):
        first = np.arange(o) * s - p
        last = np.minimum(first + k, n + p)
        inside = last - first if count_include_pad else np.minimum(last, n) - np.maximum(first, 0)
        counts = np.multiply.outer(counts, inside)
    return int(counts.flat[0]) if counts.size and (counts == counts.flat[0]).all() else counts


def _factor(divisor: Any, total: Array) -> Any:
    """What the sums are divided by, where they are: one number, or one for each window."""
    if isinstance(divisor, np.ndarray):
        return np.asarray(divisor, total.dtype, like=total)
    return total.dtype.type(divisor)


def _divided(total: Array, divisor: Any, like: Array) -> Array:
    """The sums divided, in the dtype of ``like``; integers towards zero, as in C."""
    if total.dtype.kind in "iu":
        divisor = np.asarray(divisor, like=total) if isinstance(divisor, np.ndarray) else divisor
        return (np.sign(total) * np.sign(divisor) * (np.abs(total) // np.abs(divisor))).astype(like.dtype)
    factor = _factor(divisor, total)
    if total is like or not is_writeable(total) or not total.flags.owndata:
        return (total / factor).astype(like.dtype, copy=False)
    total /= factor
    return total.astype(like.dtype, copy=False)


@op(node="AvgPoolBackward")
def avg_pool_spread(
    input: Array,
    shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """What the output's gradient ``input`` gives for the pooling's input of ``shape``."""
    dims = len(kernel)
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.shares_in(
            input, shape, kernel, stride, padding, count_include_pad, divisor_override, dims=dims
        )
    spatial, out = shape[-dims:], input.shape[-dims:]
    divisor = _divisor(spatial, out, kernel, stride, padding, count_include_pad, divisor_override)
    total = wide(input)
    total = total / _factor(divisor, total)
    after = _after(spatial, out, kernel, stride, padding)
    for axis in range(-dims, 0):
        size = spatial[axis] + padding[axis] + max(after[axis], padding[axis])
        total = _shares(total, axis, size, kernel[axis], stride[axis])
    return row_major(total[inner(spatial, padding)]).astype(input.dtype, copy=False)


for _pool in (avg_pool2d, avg_pool3d):
    _pool.gradient(
        input=lambda g, input_meta, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override: (
            avg_pool_spread(
                g, input_meta.shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
            )
        )
    )
avg_pool_spread.gradient(
    input=lambda g, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override: (
        avg_pool2d if len(kernel) == 2 else avg_pool3d
    )(g, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
)


# Adaptive pooling: as many bins as wanted, which may share elements where the sizes do not divide


@op(node="AdaptiveAvgPool2D", layouts="follows")
def adaptive_avg_pool2d(input: Array, size: Sizes) -> Array:
    """The mean of each of ``size`` bins. Shape: (N, C, H, W) or (C, H, W) -> the same with ``size``."""
    require_filled("adaptive_avg_pool2d", input, input.ndim - 2)
    require_kernel("adaptive_avg_pool2d", input, "biuc")
    return _bin_averages(input, size)


@op(node="AdaptiveAvgPool3D")
def adaptive_avg_pool3d(input: Array, size: Sizes) -> Array:
    """The mean of each of ``size`` bins. Shape: (N, C, D, H, W) or without N -> the same with ``size``."""
    require_filled("adaptive_avg_pool3d", input, input.ndim - 3)
    require_kernel("adaptive_avg_pool3d_cpu", input, "biuc")
    return _bin_averages(input, size)


@op(node="AdaptiveAvgPoolBackward")
def adaptive_avg_pool_spread(input: Array, size: Sizes) -> Array:
    """What the output's gradient ``input`` gives for the pooling's input, whose last dims were ``size``."""
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.shares_in(input, (*input.shape[: -len(size)], *size), dims=len(size))
    total = wide(input)
    for axis in range(-len(size), 0):
        total = _bin_shares(total, axis, size[axis])
    return total.astype(input.dtype, copy=False)


def bins(size: int, out: int) -> tuple[Array, Array]:
    """Where each of ``out`` bins of a dim starts and ends."""
    number = np.arange(out)
    return number * size // max(out, 1), -(-(number + 1) * size // max(out, 1))


def _bin_averages(input: Array, size: Sizes) -> Array:
    if used.gpu and on_gpu.pooling.suits(input):
        return on_gpu.pooling.bin_averages(input, size)
    total = wide(input)
    for axis in range(-len(size), 0):
        total = _bin_means(total, axis, size[axis])
    return total.copy() if total is input else total.astype(input.dtype, copy=False)


def _bin_means(array: Array, axis: int, out: int) -> Array:
    size = array.shape[axis]
    if size == out:
        return array
    if out and size % out == 0:
        total = _sums(array, axis, out, size // out, size // out)
        total /= total.dtype.type(size // out)
        return total
    shape = list(array.shape)
    shape[axis] = out
    means = np.empty(shape, array.dtype, like=array)
    for number, (start, end) in enumerate(zip(*bins(size, out), strict=True)):
        key = (*[slice(None)] * (array.ndim + axis), slice(start, end))
        means[_step(means, axis, number, 1, 1)] = array[key].mean(axis=axis, keepdims=True)
    return means


def _bin_shares(array: Array, axis: int, size: int) -> Array:
    """The transpose of :func:`_bin_means`."""
    out = array.shape[axis]
    if size == out:
        return array
    if out and size % out == 0:
        width = size // out
        return _shares(array / array.dtype.type(width), axis, size, width, width)
    shape = list(array.shape)
    shape[axis] = size
    total = np.zeros(shape, array.dtype, like=array)
    for number, (start, end) in enumerate(zip(*bins(size, out), strict=True)):
        key = (*[slice(None)] * (array.ndim + axis), slice(start, end))
        total[key] += array[_step(array, axis, number, 1, 1)] / array.dtype.type(end - start)
    return total


for _pool in (adaptive_avg_pool2d, adaptive_avg_pool3d):
    _pool.gradient(
        input=lambda g, size, input_meta: adaptive_avg_pool_spread(g, input_meta.shape[-len(size) :])
    )
adaptive_avg_pool_spread.gradient(
    input=lambda g, size, input_meta: (adaptive_avg_pool2d if len(size) == 2 else adaptive_avg_pool3d)(
        g, input_meta.shape[-len(size) :]
    )
)
