"""Convolution over one, two or three spatial dims, transposed convolution, and the gradients of both.

Three operations close under differentiation: the product itself, its gradient with respect to the input, and with
respect to the weight; each one's gradients are the other two. A transposed convolution is the second of them with a
size and a bias of its own. All work on columns (N, groups, C/groups * kernel, L), where L counts output positions, so
that each is a matrix product per sample and group; the columns are made a block at a time, since whole they take the
kernel's volume times the memory of the input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, row_major
from distrt.core.kernels import channels as by_channel
from distrt.core.kernels.onednn.convolution import OneDNNConvolution
from distrt.core.kernels.table import convolution_kernel
from distrt.core.kernels.winograd.convolution import Winograd
from distrt.core.layouts import is_channels_last
from distrt.core.op import op
from distrt.core.ops.pointwise.half import rounded, wide
from distrt.core.ops.spatial.convolution_shapes import convolution_shape, transposed_shape
from distrt.core.ops.spatial.windows import Sizes, inner, surrounded, window_slices

__all__ = ["convolution", "transposed_convolution"]

# Of columns: several samples of a usual layer, little against the caches' and the heap's cost.
_BLOCK_BYTES = 1 << 24


@op(dtype="keep", autocast="lower", node="Convolution", layouts="chooses")
def convolution(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """Cross-correlation. Shape: (N, C, ...), (O, C/groups, kernel...), (O) -> (N, O, ...)."""
    out = convolution_shape(input, weight, bias, stride, padding, dilation, groups)
    shape = (len(input), weight.shape[0], *out)
    options = (stride, padding, dilation, groups)
    kernel = convolution_kernel(input.shape, weight.shape, shape, *options, input)
    if kernel is None:
        return _plain_convolution(input, weight, bias, out, *options)
    kind = kernel.dtype
    made = kernel.forward(
        rounded(input, kind), rounded(weight, kind), None if bias is None else rounded(bias, kind)
    )
    return rounded(_lying(made), input.dtype)


def _lying(made: Array) -> Array:
    """What a kernel made; of lines, which have no order of their own that users know, in row-major order."""
    return made if made.ndim > 3 else row_major(made)


def _plain_convolution(
    input: Array,
    weight: Array,
    bias: Array | None,
    out: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """In NumPy: the oracle of the kernels. ``out`` is the output's spatial dims."""
    samples, matrix = len(input), _as_matrices(weight, groups)
    product = np.empty((samples, groups, matrix.shape[1], math.prod(out)), matrix.dtype, like=matrix)
    for block, _, positions, columns in _columns(
        wide(input), weight.shape[2:], out, stride, padding, dilation, groups
    ):
        np.matmul(matrix, columns, out=product[block, :, :, positions])
    if bias is not None:
        product += wide(bias).reshape(groups, -1, 1)
    return rounded(product.reshape(samples, weight.shape[0], *out), input.dtype)


@op(dtype="keep", node="ConvolutionBackward", layouts="chooses")
def convolution_input_gradient(
    input: Array, weight: Array, shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """What the output's gradient ``input`` gives for the convolution's input of ``shape``."""
    return _spread(input, weight, shape, stride, padding, dilation, groups)


@op(dtype="keep", autocast="lower", node="Convolution", layouts="chooses")
def transposed_convolution(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """Each element scales a kernel, and the kernels are added up where they lie.

    Shape: (N, C, ...), (C, O/groups, kernel...), (O) -> (N, O, ...).
    """
    size = transposed_shape(input, weight, bias, stride, padding, output_padding, dilation, groups)
    shape = (len(input), weight.shape[1] * groups, *size)
    if bias is None:
        return _spread(input, weight, shape, stride, padding, dilation, groups)
    options = (stride, padding, dilation, groups)
    kernel = convolution_kernel(shape, weight.shape, input.shape, *options, input)
    if isinstance(kernel, Winograd):
        made = kernel.input_gradient(*(rounded(each, kernel.dtype) for each in (input, weight, bias)))
        return rounded(made, input.dtype)
    if isinstance(kernel, OneDNNConvolution) and kernel.dtype == input.dtype:
        out = _lying(kernel.unrounded_input_gradient(input, rounded(weight, input.dtype)))
    else:
        out = wide(_spread(wide(input), wide(weight), shape, *options))
    _add_to_channels(out, wide(bias))
    return rounded(out, input.dtype)


def _add_to_channels(out: Array, bias: Array) -> None:
    if is_channels_last(out):  # NumPy would add to one pixel after another
        lines = np.moveaxis(out, 1, -1).reshape(-1, out.shape[-1] * len(bias))
        lines += np.tile(bias, out.shape[-1])
    else:
        out += bias.reshape(-1, *[1] * (out.ndim - 2))


@op(dtype="keep", node="ConvolutionBackward", layouts="follows")
def convolution_weight_gradient(
    input: Array, g_out: Array, shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """What the output's gradient ``g_out`` gives for the convolution's weight of ``shape``."""
    options = (stride, padding, dilation, groups)
    kernel = convolution_kernel(input.shape, shape, g_out.shape, *options, input)
    if kernel is None:
        return _plain_weight_gradient(input, g_out, shape, *options)
    kind = kernel.dtype
    return rounded(kernel.weight_gradient(rounded(input, kind), rounded(g_out, kind)), input.dtype)


def _plain_weight_gradient(
    input: Array, g_out: Array, shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """In NumPy: the oracle of the kernels."""
    out, kernel = g_out.shape[2:], shape[2:]
    g = wide(g_out).reshape(len(input), groups, shape[0] // groups, math.prod(out))
    total = np.zeros((groups, shape[0] // groups, math.prod(shape[1:])), g.dtype, like=g)
    for block, _, positions, columns in _columns(wide(input), kernel, out, stride, padding, dilation, groups):
        part = g[block, :, :, positions]
        if total.shape[2] <= part.shape[3]:
            total += np.matmul(part, columns.swapaxes(2, 3)).sum(axis=0)
        else:  # one product over all samples and positions, rather than a sum of large ones
            total += np.matmul(_samples_last(part), _samples_last(columns).swapaxes(1, 2))
    return rounded(total.reshape(shape), input.dtype)


def _as_matrices(weight: Array, groups: int) -> Array:
    """Shape: (O, C/groups, kernel...) -> (groups, O/groups, C/groups * kernel)."""
    return wide(weight).reshape(groups, weight.shape[0] // groups, math.prod(weight.shape[1:]))


def _samples_last(blocks: Array) -> Array:
    """Shape: (N, groups, rows, L) -> (groups, rows, N * L)."""
    n, groups, rows, positions = blocks.shape
    return blocks.transpose(1, 2, 0, 3).reshape(groups, rows, n * positions)


def _columns(
    input: Array, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Iterator[tuple[slice, slice, slice, Array]]:
    """Block by block: its samples, its rows, its output positions, and its columns, which the next block overwrites."""
    padded = surrounded(input, padding, padding)
    samples, channels = padded.shape[:2]
    volume = math.prod(kernel)
    rows = channels // groups * volume
    buffer = np.empty(0, input.dtype, like=input)
    direct = volume == 1 and set(stride) == {1} and padded.shape[2:] == out and padded.flags.c_contiguous
    for block, lines, positions in _blocks(samples, out, 0 if direct else channels * volume * input.itemsize):
        part = padded[block, :, lines.start * stride[0] :]
        size = (lines.stop - lines.start, *out[1:])
        shape = (part.shape[0], groups, rows, math.prod(size))
        if direct:
            yield block, lines, positions, part.reshape(shape)
            continue
        buffer = _room(buffer, math.prod(shape))
        columns = buffer[: math.prod(shape)].reshape(part.shape[0], channels, volume, *size)
        for number, window in enumerate(window_slices(size, kernel, stride, dilation)):
            columns[:, :, number] = part[window]
        yield block, lines, positions, columns.reshape(shape)


def _blocks(samples: int, out: Sizes, position_bytes: int) -> Iterator[tuple[slice, slice, slice]]:
    """Samples, rows of the first spatial dim, and output positions whose columns together take about one block."""
    line = math.prod(out[1:])
    lines = max(1, min(out[0], _BLOCK_BYTES // max(line * position_bytes, 1)))
    several = max(1, _BLOCK_BYTES // max(out[0] * line * position_bytes, 1))
    for first in range(0, samples, several):
        block = slice(first, min(first + several, samples))
        for top in range(0, out[0], lines):
            bottom = min(top + lines, out[0])
            yield block, slice(top, bottom), slice(top * line, bottom * line)


def _room(buffer: Array, count: int) -> Array:
    """The buffer, or a new one where it is too small; the first block is the largest."""
    return buffer if buffer.size >= count else np.empty(count, buffer.dtype, like=buffer)


def _spread(
    input: Array, weight: Array, shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Each element times its kernel, added up in an array of ``shape``."""
    options = (stride, padding, dilation, groups)
    kernel = convolution_kernel(shape, weight.shape, input.shape, *options, input)
    if kernel is None:
        return _plain_spread(input, weight, shape, *options)
    kind = kernel.dtype
    return rounded(_lying(kernel.input_gradient(rounded(input, kind), rounded(weight, kind))), input.dtype)


def _plain_spread(
    input: Array, weight: Array, shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """In NumPy: the oracle of the kernels."""
    g, size, kernel = wide(input), input.shape[2:], weight.shape[2:]
    turned = _as_matrices(weight, groups).swapaxes(1, 2)  # (groups, C/groups * kernel, O/groups)
    volume, channels = math.prod(kernel), shape[1]
    flat = g.reshape(len(g), groups, turned.shape[2], math.prod(size))
    if volume == 1 and set(stride) == {1} and not any(padding) and size == shape[2:]:
        return rounded(np.matmul(turned, flat).reshape(shape), input.dtype)
    spatial = [n + 2 * p for n, p in zip(shape[2:], padding, strict=True)]
    padded = np.zeros((*shape[:2], *spatial), turned.dtype, like=turned)
    buffer = np.empty(0, padded.dtype, like=padded)
    for block, lines, positions in _blocks(len(g), size, channels * volume * padded.itemsize):
        part = flat[block, :, :, positions]
        count = len(part) * channels * volume * part.shape[3]
        buffer = _room(buffer, count)
        columns = buffer[:count].reshape(len(part), groups, turned.shape[1], part.shape[3])
        np.matmul(turned, part, out=columns)
        rows = (lines.stop - lines.start, *size[1:])
        taps = columns.reshape(len(part), channels, volume, *rows)
        target = padded[block, :, lines.start * stride[0] :]
        for number, window in enumerate(window_slices(rows, kernel, stride, dilation)):
            target[window] += taps[:, :, number]
    return rounded(row_major(padded[inner(shape[2:], padding)]), input.dtype)


def _cropped(value: Any, shape: Sizes) -> Any:
    """Without the last positions, which an output padding of a stride or more adds."""
    for dim, size in enumerate(shape):
        if value.shape[dim] != size:
            value = ops.narrow(value, dim, 0, size)
    return value


def _sum_of_channels(g: Any) -> Any:
    dims = (0, *range(2, g.ndim))
    if g.__class__ is np.ndarray and by_channel.suits(g):
        return by_channel.sums(g).astype(g.dtype)
    if g.__class__ is np.ndarray and is_channels_last(g):  # NumPy would add up one pixel after another
        return g.sum(axis=dims, dtype=np.float64).astype(g.dtype)
    return ops.sum(g, dims)


convolution.gradient(
    input=lambda g, weight, input_meta, stride, padding, dilation, groups: convolution_input_gradient(
        g, weight, input_meta.shape, stride, padding, dilation, groups
    ),
    weight=lambda g, input, weight_meta, stride, padding, dilation, groups: convolution_weight_gradient(
        input, g, weight_meta.shape, stride, padding, dilation, groups
    ),
    bias=_sum_of_channels,
)
transposed_convolution.gradient(
    input=lambda g, weight, input_meta, stride, padding, dilation, groups: _cropped(
        convolution(g, weight, None, stride, padding, dilation, groups), input_meta.shape
    ),
    weight=lambda g, input, weight_meta, stride, padding, dilation, groups: convolution_weight_gradient(
        g, input, weight_meta.shape, stride, padding, dilation, groups
    ),
    bias=_sum_of_channels,
)
convolution_input_gradient.gradient(
    input=lambda g, weight, input_meta, stride, padding, dilation, groups: _cropped(
        convolution(g, weight, None, stride, padding, dilation, groups), input_meta.shape
    ),
    weight=lambda g, input, weight_meta, stride, padding, dilation, groups: convolution_weight_gradient(
        g, input, weight_meta.shape, stride, padding, dilation, groups
    ),
)
convolution_weight_gradient.gradient(
    input=lambda g, g_out, input_meta, stride, padding, dilation, groups: convolution_input_gradient(
        g_out, g, input_meta.shape, stride, padding, dilation, groups
    ),
    g_out=lambda g, input, g_out_meta, stride, padding, dilation, groups: _cropped(
        convolution(input, g, None, stride, padding, dilation, groups), g_out_meta.shape
    ),
)
