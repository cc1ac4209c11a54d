"""Matrices whose elements stand row by row (CSR) or column by column (CSC)."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.modes import used
from distrt.core.sparse.array import Coo, SparseArray, is_sparse
from distrt.core.sparse.places import Rows, ordered_rows, row_numbers, scattered
from distrt.core.tensors.formats import layout, sparse_csc, sparse_csr

__all__ = ["Compressed", "compressed"]


class Compressed(SparseArray):
    """A matrix of which one dim is compressed: where each of its slices begins, and then what is in them.

    Args:
        starts: where each row (CSR) or column (CSC) begins, and where the last one ends.
        others: the other index of each element.
        values: the elements.
        shape: of the matrix.
        is_by_column: False for CSR, True for CSC.
    """

    def __init__(
        self, starts: Array, others: Array, values: Array, shape: tuple[int, ...], is_by_column: bool
    ) -> None:
        used.sparse = True
        self.starts, self.others, self.values = starts, others, values
        self.shape, self.is_by_column = tuple(shape), is_by_column

    @property
    def layout(self) -> layout:  # type: ignore[override]
        """CSR or CSC."""
        return sparse_csc if self.is_by_column else sparse_csr

    def parts(self) -> tuple[Array, ...]:
        """Where slices begin, the other indices, values."""
        return self.starts, self.others, self.values

    def with_parts(self, *parts: Array) -> Compressed:
        """An array of the same sizes and other parts."""
        starts, others, values = parts
        return Compressed(starts, others, values, self.shape, self.is_by_column)

    def turned(self) -> Compressed:
        """The transposed matrix, of the same parts."""
        return Compressed(self.starts, self.others, self.values, self.shape[::-1], not self.is_by_column)

    def indices(self) -> Array:
        """The coordinates of each element."""
        slices = row_numbers(self.starts)
        return np.stack((self.others, slices) if self.is_by_column else (slices, self.others)).astype(
            np.int64, copy=False
        )

    def dense(self) -> Array:
        """All elements."""
        return scattered(self.indices(), self.values, self.shape)

    def coo(self) -> Coo:
        """The same elements with their coordinates."""
        return Coo(self.indices(), self.values, self.shape, not self.is_by_column)

    def of_coo(self, given: Coo) -> Compressed:
        """These elements in this layout."""
        return compressed(given, self.is_by_column, self.others.dtype)

    def read(self, given: Any) -> Array:
        """What a dense or sparse array of the same sizes has at these places."""
        if is_sparse(given) and given.layout is self.layout and given.others is self.others:
            return given.values
        return self.coo().read(given)

    def common(self, other: Compressed) -> Compressed:
        """The places that two arrays both give."""
        return (
            self
            if other.others is self.others
            else self.of_coo(self.coo().coalesced().common(other.coo().coalesced()))
        )

    def rows(self) -> Rows:
        """The elements row by row."""
        if not self.is_by_column:
            return Rows(_long(self.starts), _long(self.others), None)
        return self.turned().columns()

    def columns(self) -> Rows:
        """The elements of the transposed matrix row by row."""
        if self.is_by_column:
            return Rows(_long(self.starts), _long(self.others), None)
        return ordered_rows(_long(self.others), row_numbers(self.starts), self.shape[1], False)


def _long(array: Array) -> Array:
    return array.astype(np.int64, copy=False)


def compressed(given: Coo, is_by_column: bool, dtype: Any = np.int64) -> Compressed:
    """A matrix in coordinates, compressed."""
    once = given.coalesced()
    rows = once.columns() if is_by_column else once.rows()
    values = once.values if rows.order is None else once.values[rows.order]
    starts, others = rows.starts.astype(dtype, copy=False), rows.columns.astype(dtype, copy=False)
    return Compressed(starts, others, values, given.shape, is_by_column)
