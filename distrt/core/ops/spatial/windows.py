"""Windows that slide over the last dims of an array: what convolution, pooling and unfolding have in common.

All sizes are tuples with one entry per spatial dim, so that the same code serves one, two and three of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array, filled

Sizes = tuple[int, ...]


def window_slices(out: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> list[tuple[Any, ...]]:
    """For each position in the kernel, the key of the elements that stand there in all ``out`` windows."""
    along = [
        [slice(i * d, i * d + (o - 1) * s + 1 if o else 0, s) for i in range(k)]
        for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)
    ]
    return [(..., *key) for key in itertools.product(*along)]


def window_counts(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit into each dim."""
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def reach(out: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many elements of each dim ``out`` windows span."""
    return tuple(
        (o - 1) * s + d * (k - 1) + 1 for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)
    )


def overlap(kernel: Sizes, stride: Sizes, dilation: Sizes) -> bool:
    """True where an element may belong to two windows."""
    return any(s < d * (k - 1) + 1 for k, s, d in zip(kernel, stride, dilation, strict=True))


def surrounded(array: Array, before: Sequence[int], after: Sequence[int], value: Any = 0) -> Array:
    """The array with more elements around the last dims; the array itself where there are none to add."""
    if not any(before) and not any(after):
        return array
    spatial = array.shape[-len(before) :]
    shape = [n + b + a for n, b, a in zip(spatial, before, after, strict=True)]
    lead = array.shape[: -len(before)]
    padded = (
        np.zeros((*lead, *shape), array.dtype, like=array)
        if value == 0
        else filled((*lead, *shape), value, array.dtype, array)
    )
    padded[inner(spatial, before)] = array
    return padded


def inner(size: Sizes, before: Sequence[int]) -> tuple[Any, ...]:
    """The key of the part of a surrounded array that was there before."""
    return (..., *[slice(b, b + n) for n, b in zip(size, before, strict=True)])
