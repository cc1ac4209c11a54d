"""Matrices whose elements stand row by row (CSR) or column by column (CSC)."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import DimensionError
from distrt.core.modes import used
from distrt.core.sparse.array import SparseArray, is_sparse, require_on_cpu
from distrt.core.sparse.coo import Coo
from distrt.core.sparse.places import Rows, ordered_rows, require_inside, row_numbers, scattered
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
        counters: of changes of the tensors that its indices are, too.
    """

    counters: tuple[list[Any], ...] = ()

    def __init__(
        self,
        starts: Array,
        others: Array,
        values: Array,
        shape: tuple[int, ...],
        is_by_column: bool,
        counters: tuple[list[Any], ...] = (),
    ) -> None:
        require_on_cpu(starts, others, values)
        used.sparse = True
        self.starts, self.others, self.values = starts, others, values
        self.shape, self.is_by_column = tuple(shape), is_by_column
        self.index_dtype, self.counters = others.dtype, counters
        self.version = [0]
        self._rows = {}

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
        made = Compressed(starts, others, values, self.shape, self.is_by_column)
        if others is self.others and starts is self.starts:
            made.version, made.counters, made._rows = self.version, self.counters, self._rows
        return made

    def emptied(self) -> Compressed:
        """An array of the same sizes of which no element is given."""
        starts, others, values = np.zeros_like(self.starts), self.others[:0].copy(), self.values[:0].copy()
        return Compressed(starts, others, values, self.shape, self.is_by_column)

    def _stamp(self) -> Any:
        return self.version[0], *(each[0] for each in self.counters)

    def turned(self) -> Compressed:
        """The transposed matrix, of the same parts."""
        made = Compressed(self.starts, self.others, self.values, self.shape[::-1], not self.is_by_column)
        made.version, made.counters = self.version, self.counters
        return made

    def coordinates(self) -> Array:
        """The coordinates of each element."""
        slices = self._slices()
        return np.stack((self.others, slices) if self.is_by_column else (slices, self.others)).astype(
            np.int64, copy=False
        )

    def dense(self) -> Array:
        """All elements."""
        return scattered(self.coordinates(), self.values, self.shape)

    def coo(self) -> Coo:
        """The same elements with their coordinates."""
        return Coo(self.coordinates(), self.values, self.shape, not self.is_by_column)

    def of_coo(self, given: Coo) -> Compressed:
        """These elements in this layout."""
        return compressed(given, self.is_by_column, self.index_dtype)

    def read(self, given: Any) -> Array:
        """What a dense or sparse array of the same sizes has at these places."""
        return given.values if self._has_places_of(given) else self.coo().read(given)

    def common(self, other: Compressed) -> Compressed:
        """The places that two arrays both give."""
        if self._has_places_of(other):
            return self
        return self.of_coo(self.coo().coalesced().common(other.coo().coalesced()))

    def _has_places_of(self, other: Any) -> bool:
        """Whether another array was made of the same indices."""
        return (
            is_sparse(other)
            and other.layout is self.layout
            and other.others is self.others
            and other.starts is self.starts
        )

    def rows(self) -> Rows:
        """The elements row by row."""
        return self._sorted("rows") if self.is_by_column else self._as_they_stand()

    def columns(self) -> Rows:
        """The elements of the transposed matrix row by row."""
        return self._as_they_stand() if self.is_by_column else self._sorted("columns")

    def _as_they_stand(self) -> Rows:
        return self._known("as they stand", self._checked)

    def _checked(self) -> Rows:
        require_inside((self.others,), self.shape[:1] if self.is_by_column else self.shape[1:])
        self._require_rising()
        return Rows(_long(self.starts), _long(self.others), None)

    def _require_rising(self) -> None:
        """Raises DimensionError for slices that are elsewhere: the tensor of their starts may have been changed."""
        starts, count = self.starts, len(self.others)
        if starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
            raise DimensionError(
                f"compressed indices of a matrix of {list(self.shape)} must not decrease, from 0 to the number of "
                f"elements, {count}"
            )

    def _slices(self) -> Array:
        """The slice of each element."""
        self._require_rising()
        return row_numbers(self.starts)

    def _sorted(self, name: str) -> Rows:
        """By the index that is not compressed."""
        shape = self.shape if self.is_by_column else self.shape[::-1]
        return self._known(name, lambda: ordered_rows(_long(self.others), self._slices(), shape, False))


def _long(array: Array) -> Array:
    return array.astype(np.int64, copy=False)


def compressed(given: Coo, is_by_column: bool, dtype: Any = np.int64) -> Compressed:
    """A matrix in coordinates, compressed."""
    once = given.coalesced()
    rows = once.columns() if is_by_column else once.rows()
    values = once.values if rows.order is None else once.values[rows.order]
    starts, others = rows.starts.astype(dtype, copy=False), rows.columns.astype(dtype, copy=False)
    return Compressed(starts, others, values, given.shape, is_by_column)
