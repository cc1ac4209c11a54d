"""Max pooling on GPUs: one launch, without a wait, in the order in which the image lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, kernel
from distrt.core.layouts import is_channels_last

__all__ = ["largest", "suits"]

_THREADS = 256
_WINDOWS = np.dtype(
    [
        ("steps", np.int64, (5,)),
        ("channels", np.int32),
        ("is_last", np.int32),
        *((name, np.int32, (3,)) for name in ("in", "out", "kernel", "stride", "padding", "dilation")),
    ],
    align=True,
)

Sizes = tuple[int, ...]


def suits(input: Array) -> bool:
    """Whether the kernel does an image: floating, on a GPU, (N, C, …) or (C, …)."""
    return is_on_gpu(input) and input.dtype in C_TYPES


def largest(
    input: Array, out: Sizes, window: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, number_type: Any
) -> tuple[Array, Array]:
    """The largest element of each window, and its number among the window's positions."""
    dims, is_last = len(out), is_channels_last(input)
    image = input if is_last else row_major(input)
    shape = (*image.shape[:-dims], *out)
    best, winner = (_room(shape, dtype, is_last, image) for dtype in (image.dtype, number_type))
    if not best.size:
        return best, winner
    table = np.zeros(1, _WINDOWS)
    row, missing = table[0], 3 - dims
    steps = [step // image.itemsize for step in image.strides]
    samples = steps[0] if image.ndim - dims == 2 else 0
    row["steps"] = [samples, steps[-dims - 1], *[0] * missing, *steps[-dims:]]
    row["channels"], row["is_last"] = image.shape[-dims - 1], is_last
    for name, given, otherwise in (
        ("in", image.shape[-dims:], 1),
        ("out", out, 1),
        ("kernel", window, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):
        row[name] = [otherwise] * missing + list(given)
    kind = {np.int8: "signed char", np.int32: "int"}[number_type]
    blocks = min(MOST_BLOCKS, -(-best.size // _THREADS))
    code = kernel("pooling", "largest", T=C_TYPES[image.dtype], N=kind)
    code((blocks,), (_THREADS,), (image, best, winner, np.int64(math.prod(shape)), table))
    return best, winner


def _room(shape: Sizes, dtype: Any, is_last: bool, like: Array) -> Array:
    if not is_last:
        return np.empty(shape, dtype, like=like)
    room = np.empty((shape[0], *shape[2:], shape[1]), dtype, like=like)
    return room.transpose(0, room.ndim - 1, *range(1, room.ndim - 1))
