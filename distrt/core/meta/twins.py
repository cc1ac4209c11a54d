"""Twins: small arrays that lie in memory as large ones do, for NumPy to say dtypes and orders of dims by.

A twin has at most two elements along each dim, and its dims in the same order. What a function makes of twins has the
dtype, the order and the errors of the true result; only its sizes are to be known otherwise.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray, made, strides_of

__all__ = ["clamped", "laid_as", "twin"]


def twin(value: Any) -> Any:
    """The twin of a meta array, and of those in a list or tuple; anything else is its own."""
    if value.__class__ is MetaArray:
        return _twin(value)
    if isinstance(value, list | tuple) and any(isinstance(each, MetaArray | list | tuple) for each in value):
        return type(value)(map(twin, value))
    return value


def _twin(array: MetaArray) -> Any:
    shape = clamped(array.shape)
    if array.flags.c_contiguous and 1 not in shape:
        return _packed(shape, array.dtype)
    order = order_of(array)
    held = tuple(
        1 if array.strides[dim] == 0 else shape[dim] for dim in order
    )  # what an expanded dim repeats
    back = sorted(range(array.ndim), key=order.__getitem__)
    return np.broadcast_to(_packed(held, array.dtype).transpose(back), shape)


@functools.lru_cache(4096)
def _packed(shape: tuple[int, ...], dtype: Any) -> Any:
    made = np.ones(shape, dtype)
    made.flags.writeable = False
    return made


def laid_as(small: Any, shape: tuple[int, ...]) -> MetaArray:
    """A new meta array of a shape, whose dtype and order of dims are those of a twin of it."""
    if small.ndim < 2 or (small.flags.c_contiguous and 1 not in small.shape):
        return made(shape, small.dtype)
    return made(shape, small.dtype, strides_of(shape, small.dtype.itemsize, order_of(small)))


def order_of(array: Any) -> list[int]:
    """The dims from the outermost to the innermost; where two have one step, that of size 1 lies in the other one."""
    return sorted(range(array.ndim), key=lambda dim: (-abs(array.strides[dim]), array.shape[dim] == 1))


def clamped(shape: Any) -> tuple[int, ...]:
    """The sizes of a twin."""
    return tuple(min(size, 2) for size in shape)
