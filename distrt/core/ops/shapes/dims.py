"""Reading the ``dim`` arguments of operations as PyTorch reads them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from distrt.core.errors import DimensionError, ShapeError

Dims = int | Sequence[int] | None


def one_dim(dim: int, ndim: int) -> int:
    """``dim`` counted from the front.

    Raises:
        DimensionError: out of range.
        TypeError: for what is no integer.
    """
    if dim.__class__ is not int:
        dim = _as_int(dim)
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise DimensionError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
        )
    return dim % bound


def _as_int(dim: Any) -> int:
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(f"dim must be an int, not {type(dim).__name__}")
    return operator.index(dim)


def all_dims(dim: Dims, ndim: int, in_range_first: bool = False) -> tuple[int, ...]:
    """One dim, several, or None for all of them, as a tuple counted from the front.

    Where a list has both faults, the first one in it is named; with ``in_range_first``, as in PyTorch's structured
    reductions, one that is out of range.

    Raises:
        DimensionError: out of range.
        ShapeError: one of them twice.
    """
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, int):
        axis = one_dim(dim, ndim)
        return (axis,) if ndim else ()
    several: Any = dim if isinstance(dim, list | tuple) else (dim,)
    if in_range_first:
        for each in several:
            one_dim(each, ndim)
    found: list[int] = []
    for each in several:
        axis = one_dim(each, ndim)
        if axis in found:
            raise ShapeError(f"dim {axis} appears multiple times in the list of dims {list(several)}")
        found.append(axis)
    if not found:
        return tuple(range(ndim))
    return tuple(found) if ndim else ()


def kept_shape(shape: tuple[int, ...], dim: Dims) -> tuple[int, ...]:
    """``shape`` with the reduced dims as 1."""
    reduced = all_dims(dim, len(shape))
    return tuple([1 if n in reduced else size for n, size in enumerate(shape)])


def count_over(shape: tuple[int, ...], dim: Dims) -> int:
    """How many elements of ``shape`` are reduced to one."""
    return math.prod([shape[each] for each in all_dims(dim, len(shape))])


def varargs(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` both as (2, 3)."""
    if len(sizes) == 1 and not isinstance(sizes[0], int) and hasattr(sizes[0], "__iter__"):
        sizes = tuple(sizes[0])
    try:
        return tuple(map(operator.index, sizes))
    except TypeError:
        raise TypeError(f"sizes must be a tuple of ints, got {sizes!r}") from None


def sizes_of(size: tuple[Any, ...]) -> tuple[int, ...]:
    """As :func:`varargs`, for a tensor that is to be made.

    Raises:
        ShapeError: for a negative size.
    """
    sizes = varargs(size)
    if min(sizes, default=0) < 0:
        raise ShapeError(f"Trying to create tensor with negative dimension {min(sizes)}: {list(sizes)}")
    return sizes
