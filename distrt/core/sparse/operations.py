"""The operations that lead from sparse tensors to dense ones and back: what functions of sparse tensors consist of.

The gradient of a sparse tensor has its places: what a change of an element that is not given would change is not asked.
``pattern`` is everywhere a sparse array whose places count, and whose values do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, row_major
from distrt.core.errors import DtypeError
from distrt.core.kernels import sparse_products
from distrt.core.kernels.casting import wide
from distrt.core.op import op
from distrt.core.sparse.array import SparseArray, is_sparse
from distrt.core.sparse.compressed import compressed
from distrt.core.sparse.places import Rows, row_numbers

__all__ = ["at_places", "coalesce", "converted", "dense", "product", "product_at", "values_at", "values_of"]


def _array(value: Any) -> Any:
    """The array of a tensor; an array itself in a rule that runs on arrays."""
    return getattr(value, "_array", value)


def values_at(g: Any, pattern: SparseArray) -> Any:
    """What a dense or sparse tensor has at the places of ``pattern``; of a gradient, its part there."""
    return _taken(g, pattern) if is_sparse(_array(g)) else _gathered(g, pattern)


@op(node="SparseCooTensorWithDimsAndTensors")
def at_places(values: Array, pattern: Any) -> Array:
    """A sparse tensor of these values at the places of ``pattern``."""
    return pattern.with_values(values)


at_places.gradient(values=values_at)


@op(node="Values")
def values_of(input: Array) -> Array:
    """The values of a sparse tensor, as they are given."""
    return input.values


values_of.gradient(input=lambda g, input: _each_once(g, _array(input)))


def _each_once(g: Any, pattern: SparseArray) -> Any:
    """Gradients of the given values as that of the tensor: those of one place are all the same."""
    which, once = pattern.each_once()
    return at_places(g if which is None else ops.index_select(g, 0, which), once)


@op(node="SparseMask")
def _taken(input: Array, pattern: Any) -> Array:
    """Of a sparse tensor."""
    return pattern.read(input)


@op(node="SparseMask")
def _gathered(input: Array, pattern: Any) -> Array:
    """Of a dense one."""
    return pattern.read(input)


_taken.gradient(input=lambda g, pattern: at_places(g, pattern))  # noqa: PLW0108 - its names say what is kept


@op(node="ToDense")
def dense(input: Array) -> Array:
    """All elements of a sparse tensor."""
    return input.dense()


_gathered.gradient(input=lambda g, pattern: dense(at_places(g, pattern)))


@op(node="Coalesce")
def coalesce(input: Array) -> Array:
    """Each coordinate once, in order, with the sum of its values."""
    return input.coalesced()


def _masked(g: Any, pattern: SparseArray) -> Any:
    """A gradient at the places of ``pattern`` alone."""
    _, once = pattern.each_once()
    return at_places(values_at(g, once), once)


dense.gradient(input=lambda g, input: _masked(g, _array(input)))
coalesce.gradient(input=lambda g: g)


@op(node="ToSparse")
def converted(input: Array, layout: str) -> Array:
    """A sparse matrix in another layout: "coo", "csr" or "csc"."""
    held = input.coo()
    return held if layout == "coo" else compressed(held, layout == "csc", input.index_dtype)


converted.gradient(input=lambda g, input: _masked(g, _array(input)))


@op(autocast="lower", node="Mm")
def product(values: Array, other: Array, pattern: Any, is_turned: bool = False) -> Array:
    """The product of a sparse matrix and a dense one; with ``is_turned``, of the transposed sparse one.

    Shape: (elements), (k, m) -> (n, m).
    """
    if values.dtype != other.dtype:
        raise DtypeError(
            f"addmm: the sparse matrix and the dense one must have one dtype, got {values.dtype} and {other.dtype}"
        )
    rows = pattern.columns() if is_turned else pattern.rows()
    ordered = values if rows.order is None else values[rows.order]
    if sparse_products.suits(ordered.size * other.shape[1], ordered, other):
        return sparse_products.multiply(
            row_major(rows.starts), row_major(rows.columns), row_major(ordered), row_major(other)
        )
    return _multiplied(rows, wide(ordered), wide(other)).astype(values.dtype, copy=False)


#: Elements that are multiplied at a time, so that what is copied stays in the cache.
_BLOCK = 1 << 18


def _multiplied(rows: Rows, values: Array, other: Array) -> Array:
    """The same with NumPy's means, a stretch of rows at a time."""
    count, width = len(rows.starts) - 1, other.shape[1]
    made = np.zeros((count, width), values.dtype, like=values)
    filled = np.flatnonzero(np.diff(rows.starts))
    first, step = 0, max(1, _BLOCK // max(width, 1))
    begins = rows.starts[filled]
    ends = rows.starts[filled + 1]
    while first < len(filled):
        last = max(first + 1, int(np.searchsorted(ends, begins[first] + step, side="right")))
        part = slice(int(begins[first]), int(ends[last - 1]))
        terms = other[rows.columns[part]] * values[part, None]
        made[filled[first:last]] = np.add.reduceat(terms, begins[first:last] - part.start, 0)
        first = last
    return made


@op(node="SparseSampledAddmm")
def product_at(left: Array, right: Array, pattern: Any) -> Array:
    """The elements of ``left @ right.T`` at the places of ``pattern``. Shape: (n, m), (k, m) -> (elements)."""
    rows = pattern.rows()
    numbers = row_numbers(rows.starts)
    if sparse_products.suits(len(numbers) * left.shape[1], left, right):
        found = sparse_products.sample(numbers, row_major(rows.columns), row_major(left), row_major(right))
    else:
        found = _sums_of_products(numbers, rows.columns, left, right)
    if rows.order is None:
        return found
    made = np.empty_like(found)
    made[rows.order] = found
    return made


def _sums_of_products(rows: Array, columns: Array, left: Array, right: Array) -> Array:
    made = np.empty(len(rows), left.dtype, like=left)
    step = max(1, _BLOCK // max(left.shape[1], 1))
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        made[part] = (wide(left[rows[part]]) * wide(right[columns[part]])).sum(1)
    return made


def _of_values(g: Any, other: Any, pattern: SparseArray, is_turned: bool) -> Any:
    """The gradient of the sparse matrix's values."""
    return product_at(other, g, pattern) if is_turned else product_at(g, other, pattern)


product.gradient(
    values=_of_values,
    other=lambda g, values, pattern, is_turned: product(values, g, pattern, not is_turned),
)
product_at.gradient(
    left=lambda g, right, pattern: product(g, right, pattern, False),
    right=lambda g, left, pattern: product(g, left, pattern, True),
)
