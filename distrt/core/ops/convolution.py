"""Convolution over two spatial dims.

Three ops close under differentiation: the product itself, its gradient with respect to the input, and with respect to
the weight; each one's gradients are the other two. All of them work on columns: (N, G, C/G*kh*kw, L), where L counts
output positions, so that each is a matrix product per sample and group.
"""

from __future__ import annotations

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.dims import Pair, windows
from distrt.core.ops.half import wide

__all__ = [
    "convolution2d",
]


def _out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _pad(input: Array, padding: Pair, value: float = 0.0) -> Array:
    if padding == (0, 0):
        return input
    n, c, h, w = input.shape
    ph, pw = padding
    padded = np.full((n, c, h + 2 * ph, w + 2 * pw), value, input.dtype)
    padded[:, :, ph : ph + h, pw : pw + w] = input
    return padded


def _columns(
    input: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    n, c = input.shape[:2]
    padded = _pad(input, padding)
    columns = np.empty((n, c, kernel[0] * kernel[1], *out), input.dtype)
    for number, (rows, cols) in enumerate(windows(out, kernel, stride, dilation)):
        columns[:, :, number] = padded[:, :, rows, cols]
    return columns.reshape(n, groups, -1, out[0] * out[1])


def _check_convolution(
    input: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Pair:
    if input.ndim != 4 or weight.ndim != 4:
        raise ShapeError(
            f"Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: {list(input.shape)} "
            "and weight "
            f"of size {list(weight.shape)}"
        )
    if min(stride) < 1 or min(dilation) < 1 or min(padding) < 0:
        raise ShapeError(
            f"convolution: stride and dilation must be positive and padding not negative, got stride={stride}, "
            f"dilation={dilation}, padding={padding}"
        )
    if input.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(input.shape)} to have "
            f"{weight.shape[1] * groups} channels, but got {input.shape[1]} channels instead"
        )
    out = tuple(
        _out_size(input.shape[n + 2], weight.shape[n + 2], stride[n], padding[n], dilation[n]) for n in (0, 1)
    )
    if min(out) < 1:
        padded = [input.shape[n + 2] + 2 * padding[n] for n in (0, 1)]
        raise ShapeError(
            f"Calculated padded input size per channel: {padded}. Kernel size: {list(weight.shape[2:])}. Kernel "
            "size can't be "
            "greater than actual input size"
        )
    return out[0], out[1]


@op(dtype="same", autocast="lower", node="Convolution")
def convolution2d(
    input: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Cross-correlation. Shape: (N, C, H, W), (O, C/groups, kh, kw) -> (N, O, H', W')."""
    out = _check_convolution(input, weight, stride, padding, dilation, groups)
    kernel = weight.shape[2:]
    columns = _columns(wide(input), kernel, out, stride, padding, dilation, groups)
    matrix = wide(weight).reshape(groups, weight.shape[0] // groups, -1)
    product = np.matmul(matrix, columns)  # (N, groups, O/groups, L)
    return product.reshape(input.shape[0], weight.shape[0], *out).astype(input.dtype, copy=False)


@op(dtype="same", node="ConvolutionBackward")
def convolution2d_input_gradient(
    input: Array,
    weight: Array,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """What the output's gradient ``input`` gives for the convolution's input of ``shape``."""
    g, out, kernel = wide(input), input.shape[2:], weight.shape[2:]
    n, channels = shape[:2]
    matrix = wide(weight).reshape(groups, weight.shape[0] // groups, -1)
    columns = np.matmul(matrix.transpose(0, 2, 1), g.reshape(n, groups, -1, out[0] * out[1]))
    columns = columns.reshape(n, channels, kernel[0] * kernel[1], *out)
    (ph, pw), (h, w) = padding, shape[2:]
    padded = np.zeros((n, channels, h + 2 * ph, w + 2 * pw), columns.dtype)
    for number, (rows, cols) in enumerate(windows(out, kernel, stride, dilation)):
        padded[:, :, rows, cols] += columns[:, :, number]
    return np.ascontiguousarray(padded[:, :, ph : ph + h, pw : pw + w]).astype(input.dtype, copy=False)


@op(dtype="same", node="ConvolutionBackward")
def convolution2d_weight_gradient(
    input: Array,
    g_out: Array,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """What the output's gradient ``g_out`` gives for the convolution's weight of ``shape``."""
    n, out, kernel = input.shape[0], g_out.shape[2:], (shape[2], shape[3])
    columns = _columns(wide(input), kernel, out, stride, padding, dilation, groups)
    g = wide(g_out).reshape(n, groups, shape[0] // groups, -1)
    return (
        np.matmul(g, columns.transpose(0, 1, 3, 2)).sum(axis=0).reshape(shape).astype(input.dtype, copy=False)
    )


convolution2d.gradient(
    input=lambda g, weight, input_meta, stride, padding, dilation, groups: convolution2d_input_gradient(
        g, weight, input_meta.shape, stride, padding, dilation, groups
    ),
    weight=lambda g, input, weight_meta, stride, padding, dilation, groups: convolution2d_weight_gradient(
        input, g, weight_meta.shape, stride, padding, dilation, groups
    ),
)
convolution2d_input_gradient.gradient(
    input=lambda g, weight, stride, padding, dilation, groups: convolution2d(
        g, weight, stride, padding, dilation, groups
    ),
    weight=lambda g, input, weight_meta, stride, padding, dilation, groups: convolution2d_weight_gradient(
        g, input, weight_meta.shape, stride, padding, dilation, groups
    ),
)
convolution2d_weight_gradient.gradient(
    input=lambda g, g_out, input_meta, stride, padding, dilation, groups: convolution2d_input_gradient(
        g_out, g, input_meta.shape, stride, padding, dilation, groups
    ),
    g_out=lambda g, input, stride, padding, dilation, groups: convolution2d(
        input, g, stride, padding, dilation, groups
    ),
)
