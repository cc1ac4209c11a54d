"""Sliding blocks of images as columns (``unfold``), and their sum back into images (``fold``)."""

from __future__ import annotations

import numpy as np

from distrt.core.arrays import Array, row_major
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.spatial.pooling_shapes import require_kernel
from distrt.core.ops.spatial.windows import Sizes, inner, surrounded, window_counts, window_slices

__all__ = ["fold_columns", "unfold_columns"]


@op(node="Im2Col")
def unfold_columns(input: Array, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Array:
    """Each window as a column. Shape: (N, C, H, W) -> (N, C * kh * kw, windows)."""
    require_kernel("im2col_out_cpu", input, "iu")
    _require_sizes(kernel, dilation, padding, stride)
    out = window_counts(input.shape[2:], kernel, stride, padding, dilation)
    if min(out) < 1:
        raise ShapeError(
            f"Given input with spatial size {input.shape[2:]}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, calculated shape of the array of sliding blocks as {out}, but its components must be "
            "at least one."
        )
    padded = surrounded(input, padding, padding)
    samples, channels = input.shape[:2]
    columns = np.empty((samples, channels, kernel[0] * kernel[1], *out), input.dtype, like=input)
    for number, window in enumerate(window_slices(out, kernel, stride, dilation)):
        columns[:, :, number] = padded[window]
    return columns.reshape(samples, channels * kernel[0] * kernel[1], out[0] * out[1])


@op(node="Col2Im")
def fold_columns(
    input: Array, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> Array:
    """The sum of the blocks where they overlap. Shape: (N, C * kh * kw, windows) -> (N, C, *size)."""
    require_kernel("col2im_out_cpu", input, "iu")
    _require_sizes(kernel, dilation, padding, stride)
    samples, rows, blocks = input.shape
    if rows % (kernel[0] * kernel[1]):
        raise ShapeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={rows} and kernel_size={kernel}."
        )
    out = window_counts(size, kernel, stride, padding, dilation)
    if out[0] * out[1] != blocks or min(out) < 1:
        raise ShapeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"stride={stride}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{out[0]} * {out[1]} = {out[0] * out[1]}, but got input.size(2)={blocks}."
        )
    volume = kernel[0] * kernel[1]
    columns = wide(input).reshape(samples, rows // volume, volume, *out)
    folded = np.zeros(
        (*columns.shape[:2], *[n + 2 * p for n, p in zip(size, padding, strict=True)]),
        columns.dtype,
        like=columns,
    )
    for number, window in enumerate(window_slices(out, kernel, stride, dilation)):
        folded[window] += columns[:, :, number]
    return row_major(folded[inner(size, padding)]).astype(input.dtype, copy=False)


def _require_sizes(kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> None:
    options = (
        ("kernel size", "kernel", kernel),
        ("dilation", "dilation", dilation),
        ("stride", "stride", stride),
    )
    for name, short, sizes in options:
        if min(sizes) < 1:
            raise ShapeError(
                f"{name} should be greater than zero, but got {short}_height: {sizes[0]} {short}_width: {sizes[1]}"
            )
    if min(padding) < 0:
        raise ShapeError(
            f"padding should be non-negative, but got pad_height: {padding[0]} pad_width: {padding[1]}"
        )


unfold_columns.gradient(
    input=lambda g, input_meta, kernel, dilation, padding, stride: fold_columns(
        g, input_meta.shape[2:], kernel, dilation, padding, stride
    )
)
fold_columns.gradient(
    input=lambda g, kernel, dilation, padding, stride: unfold_columns(g, kernel, dilation, padding, stride)
)
