"""Elements with the coordinates of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.modes import used
from distrt.core.sparse.array import LayoutFault, SparseArray, is_sparse, require_on_cpu
from distrt.core.sparse.places import (
    Rows,
    added_to,
    coalesced,
    first_of_each,
    found,
    merged,
    numbered,
    ordered_rows,
    picked,
    scattered,
)
from distrt.core.tensors.formats import sparse_coo

__all__ = ["Coo"]


class Coo(SparseArray):
    """The coordinates of each element that is given; the same may be given several times, and counts as the sum.

    Args:
        indices: int64, (sparse dims, n).
        values: (n, …): each is an array over the dense dims, which come last.
        shape: sizes of the sparse dims and of the dense ones.
        is_coalesced: whether the coordinates are in order, each once, as fewer than two always are.
        version: the counter of changes of the tensor that the indices are; its own when not given.
    """

    layout = sparse_coo

    def __init__(
        self,
        indices: Array,
        values: Array,
        shape: tuple[int, ...],
        is_coalesced: bool = False,
        version: list[Any] | None = None,
    ) -> None:
        require_on_cpu(indices, values)
        used.sparse = True
        self.indices, self.values, self.shape = indices, values, tuple(shape)
        self.is_coalesced = is_coalesced or len(values) < 2
        self.version = [0] if version is None else version
        self._rows = {}

    @property
    def sparse_dim(self) -> int:
        """How many dims have coordinates."""
        return len(self.indices)

    def parts(self) -> tuple[Array, ...]:
        """Indices and values."""
        return self.indices, self.values

    def with_parts(self, *parts: Array) -> Coo:
        """An array of the same sizes and other parts."""
        indices, values = parts
        if indices is not self.indices:
            return Coo(indices, values, self.shape, self.is_coalesced)
        made = Coo(indices, values, self.shape, self.is_coalesced, self.version)
        made._rows = self._rows
        return made

    def emptied(self) -> Coo:
        """An array of the same sizes and sparse dims of which no element is given."""
        return Coo(
            self.indices[:, :0].copy(), self.values[:0].copy(), self.shape, True
        )  # views would keep all

    def coalesced(self) -> Coo:
        """Each coordinate once, in order: itself where that is so."""
        if self.is_coalesced:
            return self
        return Coo(*coalesced(self.indices, self.values, self.shape), self.shape, True)

    def common(self, other: Coo) -> Coo:
        """The places that two coalesced arrays both give."""
        if other.indices is self.indices:
            return self
        both, mine = numbered(self.indices, self.shape), numbered(other.indices, self.shape)
        which = np.flatnonzero(np.isin(both, mine))
        return Coo(self.indices[:, which], self.values[which], self.shape, True)

    def each_once(self) -> tuple[Any, Coo]:
        """Which elements to take, so that each coordinate is given once, in order; and an array of these places."""
        if self.is_coalesced:
            return None, self
        indices, which = first_of_each(self.indices, self.shape)
        return which, Coo(indices, self.values[which], self.shape, True)

    def rows(self) -> Rows:
        """The elements of a matrix row by row."""
        return self._known(
            "rows", lambda: ordered_rows(self.indices[0], self.indices[1], self.shape, self.is_coalesced)
        )

    def columns(self) -> Rows:
        """The elements of the transposed matrix row by row."""
        return self._known(
            "columns", lambda: ordered_rows(self.indices[1], self.indices[0], self.shape[::-1], False)
        )

    def read(self, given: Any) -> Array:
        """What a dense or sparse array of the same sizes has at these places."""
        if not is_sparse(given):
            return picked(given, self.indices)
        other = given.coo().coalesced()
        if other.indices is self.indices:
            return other.values
        return found(self.indices, other.parts(), self.shape)

    def coo(self) -> Coo:
        """Itself."""
        return self

    def of_coo(self, given: Coo) -> Coo:
        """What is given."""
        return given

    def dense(self) -> Array:
        """All elements."""
        return scattered(self.indices, self.values, self.shape)

    def with_more(self, other: Coo) -> Coo:
        """The sum with another one of the same sizes, which is coalesced where both are."""
        if other.sparse_dim != self.sparse_dim:
            raise LayoutFault("add: sparse tensors with other sparse dims")
        known = self.is_coalesced and other.is_coalesced
        return Coo(*merged(self.parts(), other.parts(), self.shape, known), self.shape, known)

    def add_into(self, total: Array) -> None:
        """Adds the elements to those of a dense array of the same sizes."""
        self.require_shape(total)
        added_to(total, self.indices, self.values)
