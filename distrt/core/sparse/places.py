"""Coordinates of elements: their numbers, their order, and sums of what stands at the same place. On plain arrays.

Indices are (sparse dims, n), values (n, …).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from distrt.core.arrays import Array, row_major
from distrt.core.errors import DimensionError
from distrt.core.kernels.casting import wide

__all__ = [
    "Rows",
    "added_to",
    "coalesced",
    "first_of_each",
    "found",
    "merged",
    "numbered",
    "ordered_rows",
    "picked",
    "require_inside",
    "row_numbers",
    "scattered",
]

Parts = tuple[Array, Array]


def numbered(indices: Array, shape: tuple[int, ...]) -> Array:
    """The number of each coordinate in row-major order over as many leading dims as there are indices."""
    total = np.zeros(indices.shape[1], np.int64, like=indices)
    for row, size in zip(indices, shape, strict=False):
        total = total * size + row
    return total


def coalesced(indices: Array, values: Array, shape: tuple[int, ...]) -> Parts:
    """Each coordinate once, in order, with the sum of its values, added up in the order in which they stand."""
    numbers = numbered(indices, shape)
    order = np.argsort(numbers, kind="stable")
    starts = _starts(numbers[order])
    return indices[:, order[starts]], _sums(values, order, starts)


def first_of_each(indices: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Each coordinate once, in order, and which element is the first that has it."""
    numbers = numbered(indices, shape)
    order = np.argsort(numbers, kind="stable")
    first = order[_starts(numbers[order])]
    return indices[:, first], first


class Rows(NamedTuple):
    """The elements of a matrix row by row.

    Attributes:
        starts: where each row begins, and where the last one ends.
        columns: the column of each element.
        order: which of the given elements each is; None where they stand in this order.
    """

    starts: Array
    columns: Array
    order: Array | None


def require_inside(indices: Array | tuple[Array, ...], shape: tuple[int, ...]) -> None:
    """Raises DimensionError for a coordinate that is not there: compiled products would read beyond the end."""
    for dim, (row, size) in enumerate(zip(indices, shape, strict=False)):
        if row.size and (row.min() < 0 or row.max() >= size):
            worst = int(row.max() if row.max() >= size else row.min())
            raise DimensionError(
                f"a sparse tensor of {list(shape)} has index {worst} in dim {dim}: expected 0 to {size - 1}"
            )


def ordered_rows(rows: Array, columns: Array, shape: tuple[int, ...], is_ordered: bool) -> Rows:
    """The elements with these coordinates row by row, in each row in the order in which they are given.

    Raises:
        DimensionError: for a coordinate outside of the shape.
    """
    require_inside((rows, columns), shape)
    count = shape[0]
    starts = np.zeros(count + 1, np.int64, like=rows)
    np.cumsum(np.bincount(rows, minlength=count), out=starts[1:])
    if is_ordered:
        return Rows(starts, row_major(columns), None)
    order = np.argsort(rows, kind="stable")
    return Rows(starts, columns[order], order)


def row_numbers(starts: Array) -> Array:
    """The row of each element."""
    return np.repeat(np.arange(len(starts) - 1, like=starts), np.diff(starts))


def _starts(ordered: Array) -> Array:
    """Where each stretch of equal numbers begins."""
    if not ordered.size:
        return np.zeros(0, np.int64, like=ordered)
    return np.flatnonzero(np.concatenate((np.ones(1, bool, like=ordered), ordered[1:] != ordered[:-1])))


def _sums(values: Array, order: Array, starts: Array) -> Array:
    """The sum of each stretch of the values in this order; half precision is rounded once."""
    ordered = values[order]
    if len(starts) == len(order):
        return ordered
    if values.dtype == np.bool_:
        return np.logical_or.reduceat(ordered, starts, 0)
    sums = np.add.reduceat(wide(ordered), starts, 0)
    return sums.astype(values.dtype, copy=False)


def merged(one: Parts, other: Parts, shape: tuple[int, ...], is_ordered: bool) -> Parts:
    """The coordinates of both. What is at the same place is added up where both give the same, or are in order."""
    if one[0] is other[0] or (one[0].shape == other[0].shape and bool((one[0] == other[0]).all())):
        return one[0], _sum(one[1], other[1])
    both = np.concatenate((one[0], other[0]), 1), np.concatenate((one[1], other[1]))
    if is_ordered or all((np.diff(numbered(each[0], shape)) > 0).all() for each in (one, other)):
        return coalesced(*both, shape)
    return both


def _sum(one: Array, other: Array) -> Array:
    return np.logical_or(one, other) if one.dtype == np.bool_ else one + other


def picked(dense: Array, indices: Array) -> Array:
    """What a dense array has at these coordinates."""
    if not len(indices):
        return dense[None].repeat(indices.shape[1], 0)
    return dense[tuple(indices)]


def scattered(indices: Array, values: Array, shape: tuple[int, ...]) -> Array:
    """The dense array of these elements."""
    total = np.zeros(shape, values.dtype, like=values)
    added_to(total, indices, values)
    return total


def added_to(total: Array, indices: Array, values: Array) -> None:
    """Adds values to a dense array at their coordinates.

    Raises:
        DimensionError: for a coordinate that is not there.
    """
    from distrt.core.ops.indexing.adding_at import add_at

    count = len(indices)
    if not count:
        total += values.sum(0, dtype=values.dtype)
        return
    if not values.size:
        return
    require_inside(indices, total.shape)
    values = values.astype(total.dtype, copy=False)
    rows = total.reshape(math.prod(total.shape[:count]), *total.shape[count:])
    numbers = numbered(indices, total.shape)
    if not np.shares_memory(rows, total):
        add_at(total, tuple(indices), values)
    elif values.dtype == np.bool_:
        rows[numbers] |= values
    else:
        add_at(rows, numbers, values)


def found(indices: Array, held: Parts, shape: tuple[int, ...]) -> Array:
    """The values at these coordinates of elements that are in order, each once; 0 where there is none."""
    known, wanted = numbered(held[0], shape), numbered(indices, shape)
    places = np.searchsorted(known, wanted)
    inside = np.minimum(places, max(len(known) - 1, 0))
    made = np.zeros((len(wanted), *held[1].shape[1:]), held[1].dtype, like=held[1])
    if len(known):
        hits = known[inside] == wanted
        made[hits] = held[1][inside[hits]]
    return made
