"""Methods of ``Tensor`` that ask a sparse tensor for its parts, and those that make one or leave it.

Bound by ``core/tensors/methods.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.sparse import operations, products
from distrt.core.sparse.array import SparseArray, is_sparse
from distrt.core.sparse.compressed import Compressed
from distrt.core.sparse.coo import Coo
from distrt.core.sparse.places import picked
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors import formats
from distrt.core.tensors.formats import layout as layout_type

__all__ = ["METHODS"]

_NAMES = {
    formats.strided: "Strided",
    formats.sparse_coo: "Sparse",
    formats.sparse_csr: "SparseCsr",
    formats.sparse_csc: "SparseCsc",
}


def _coo(self: Tensor, name: str) -> Coo:
    array = self._array if self._inner is None else self._inner
    if not isinstance(array, Coo):
        raise ShapeError(
            f"{name} expected sparse coordinate tensor layout but got {_NAMES[self.layout]}: a dense tensor has "
            "to_sparse()"
        )
    return array


def _given(self: Tensor, name: str, kind: type[SparseArray] = SparseArray) -> Any:
    """The array of a sparse tensor.

    Raises:
        UnsupportedError: for a dense one, and for another kind.
    """
    if not isinstance(self._array, kind):
        raise UnsupportedError(
            f"Could not run 'aten::{name}' with arguments from the '{_NAMES[self.layout]}' backend: the tensor is of "
            f"the layout {self.layout}"
        )
    return self._array


def _compressed(self: Tensor, name: str, is_by_column: bool) -> Compressed:
    array = self._array if self._inner is None else self._inner
    if not isinstance(array, Compressed) or array.is_by_column is not is_by_column:
        raise ShapeError(
            f"{name} expected sparse {'column' if is_by_column else 'row'} compressed tensor layout but got "
            f"{_NAMES[self.layout]}"
        )
    return array


def _indices(self: Tensor) -> Tensor:
    """The coordinates of a sparse tensor, as they are given: its own memory. Shape: (sparse dims, n)."""
    array = _given(self, "_indices", Coo)
    made = wrap(array.indices)
    made._counter = array.version
    return made


def indices(self: Tensor) -> Tensor:
    """The coordinates of a coalesced sparse tensor. Shape: (sparse dims, n).

    Raises:
        ShapeError: for one that is not coalesced.
    """
    if not _coo(self, "indices").is_coalesced:
        raise ShapeError("Cannot get indices on an uncoalesced tensor, please call .coalesce() first")
    return _indices(self)


def _values(self: Tensor) -> Tensor:
    """The values of a sparse tensor as they are given, outside the graph: its own memory. Shape: (n, …)."""
    return wrap(_given(self, "_values").values)


def values(self: Tensor) -> Tensor:
    """The values of a coalesced or compressed sparse tensor. Shape: (n, …).

    Raises:
        ShapeError: for one that is not coalesced.
    """
    if isinstance(self._array, Coo) and not self._array.is_coalesced:
        raise ShapeError("Cannot get values on an uncoalesced tensor, please call .coalesce() first")
    if not is_sparse(self._array):
        raise ShapeError(
            "values expected sparse tensor layout but got Strided: a dense tensor has to_sparse()"
        )
    return operations.values_of(self)  # type: ignore[no-any-return]


def _nnz(self: Tensor) -> int:
    """How many elements are given."""
    return int(_given(self, "_nnz").nnz)


def sparse_dim(self: Tensor) -> int:
    """How many dims have coordinates; 0 for a dense tensor."""
    array = self._array
    return array.sparse_dim if isinstance(array, Coo) else 2 if is_sparse(array) else 0


def dense_dim(self: Tensor) -> int:
    """How many dims each value has."""
    return self.ndim - sparse_dim(self)


def coalesce(self: Tensor) -> Tensor:
    """The tensor with each coordinate once, in order; itself where that is so."""
    return self if _coo(self, "coalesce").is_coalesced else operations.coalesce(self)


def is_coalesced(self: Tensor) -> bool:
    """Whether the coordinates are in order, each once."""
    return _coo(self, "is_coalesced").is_coalesced


def _coalesced_(self: Tensor, coalesced: bool) -> Tensor:
    """Declares the coordinates to be in order, each once."""
    _coo(self, "_coalesced_").is_coalesced = bool(coalesced)
    return self


def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """All elements; a dense tensor itself."""
    made = operations.dense(self) if is_sparse(self._array) else self
    return made if dtype is None else made.to(dtype)


def to_sparse(
    self: Tensor,
    sparse_dim: int | None = None,
    *,
    layout: layout_type | None = None,
    blocksize: Any = None,
    dense_dim: int | None = None,
) -> Tensor:
    """The elements that are not 0, with their coordinates, or in another sparse layout.

    Args:
        sparse_dim: how many dims have coordinates; all when not given.
        layout: ``distrt.sparse_coo``, ``sparse_csr`` or ``sparse_csc``.
        blocksize: of matrices of blocks, which are not there.
        dense_dim: of compressed matrices, which have none.
    """
    if isinstance(sparse_dim, layout_type):
        sparse_dim, layout = None, sparse_dim
    if blocksize is not None or layout in (formats.sparse_bsr, formats.sparse_bsc):
        raise UnsupportedError("to_sparse: distrt has no matrices of blocks; use to_sparse_csr()")
    if dense_dim:
        raise UnsupportedError("to_sparse: distrt has no compressed matrices with dense dims")
    wanted = layout or formats.sparse_coo
    if wanted is formats.strided:
        raise ShapeError("to_sparse: conversion from Strided to Strided layout is not supported")
    if is_sparse(self._array):
        if sparse_dim not in (None, self.sparse_dim()):
            raise ShapeError(
                f"to_sparse: a sparse tensor keeps its sparse dims, {self.sparse_dim()}; got sparse_dim={sparse_dim}"
            )
        return _relaid(self, wanted)
    made = _sparse_of(self, sparse_dim)
    return made if wanted is formats.sparse_coo else _relaid(made, wanted)


def _relaid(self: Tensor, wanted: layout_type) -> Tensor:
    if self.layout is wanted:
        return self
    if self.ndim != 2 or self._array.values.ndim != 1:
        raise ShapeError(
            f"to_sparse: a matrix can be in the layout {wanted}, got a tensor of {list(self.shape)} with "
            f"{dense_dim(self)} dense dims"
        )
    name = {formats.sparse_coo: "coo", formats.sparse_csr: "csr", formats.sparse_csc: "csc"}[wanted]
    return operations.converted(self, name)  # type: ignore[no-any-return]


def _sparse_of(self: Tensor, sparse_dim: int | None) -> Tensor:
    array, count = self._array, self.ndim if sparse_dim is None else sparse_dim
    if not (0 < count <= array.ndim or (count == 0 and array.ndim == 0)):
        raise ShapeError(
            f"to_sparse: sparse_dim must be from 1 to the number of dims, {array.ndim}, got {count}"
        )
    filled = array.astype(bool) if array.dtype.kind == "V" else array != 0
    if count < array.ndim:
        filled = filled.any(tuple(range(count, array.ndim)))
    found = np.stack(filled.nonzero()) if array.ndim else np.zeros((0, int(bool(filled))), np.int64)
    pattern = Coo(found.astype(np.int64), picked(array, found), array.shape, True)
    return operations.at_places(operations.values_at(self, pattern), pattern)  # type: ignore[no-any-return]


def _to(name: str, wanted: layout_type) -> Callable[..., Tensor]:
    def method(self: Tensor, dense_dim: int | None = None) -> Tensor:
        if self.ndim != 2 and wanted is not formats.sparse_coo:
            raise UnsupportedError(
                f"{name}: distrt compresses matrices alone, got a tensor of {list(self.shape)}"
            )
        return to_sparse(self, layout=wanted, dense_dim=dense_dim)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"This tensor in the layout {wanted!r}; itself where it is that already."
    return method


def _refusing_blocks(name: str) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        raise UnsupportedError(f"{name}: distrt has no matrices of blocks; use to_sparse_csr()")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Not in distrt: matrices of blocks."
    return method


def _part(name: str, is_by_column: bool, is_compressed: bool) -> Callable[[Tensor], Tensor]:
    def method(self: Tensor) -> Tensor:
        array = _compressed(self, name, is_by_column)
        made = wrap(array.starts if is_compressed else array.others)
        made._counter = array.version
        return made

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Where each slice begins." if is_compressed else "The other index of each element."
    return method


def sparse_mask(self: Tensor, mask: Tensor) -> Tensor:
    """What this tensor has at the places of a sparse one, as a sparse tensor."""
    if not isinstance(mask, Tensor) or not is_sparse(mask._array):
        raise ShapeError("sparse_mask(): expected the mask to have a sparse layout")
    if self.shape != mask.shape:
        raise ShapeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(self.shape)} but mask has size "
            f"{list(mask.shape)}"
        )
    pattern = mask._array.coalesced()
    return operations.at_places(operations.values_at(self, pattern), pattern)  # type: ignore[no-any-return]


def sparse_resize_(self: Tensor, size: Any, sparse_dim: int, dense_dim: int) -> Tensor:
    """Gives the tensor other sizes, at least as large; its elements stay where they are."""
    array, shape = _coo(self, "sparse_resize_"), tuple(size)
    if (sparse_dim, dense_dim) != (array.sparse_dim, array.ndim - array.sparse_dim) or any(
        new < old for new, old in zip(shape, array.shape, strict=True)
    ):
        raise ShapeError(
            f"sparse_resize_: expected sizes of at least {list(array.shape)} with {array.sparse_dim} sparse dims, got "
            f"{list(shape)} with {sparse_dim}"
        )
    if shape[array.sparse_dim :] != array.shape[array.sparse_dim :]:
        raise ShapeError("sparse_resize_: the sizes of dense dims cannot be changed")
    self._array = Coo(array.indices, array.values, shape, array.is_coalesced)
    return self


def sparse_resize_and_clear_(self: Tensor, size: Any, sparse_dim: int, dense_dim: int) -> Tensor:
    """Gives the tensor other sizes, and no elements."""
    shape = tuple(size)
    if len(shape) != sparse_dim + dense_dim:
        raise ShapeError(f"sparse_resize_and_clear_: {list(shape)} has not {sparse_dim} + {dense_dim} dims")
    values = np.empty((0, *shape[sparse_dim:]), _coo(self, "sparse_resize_and_clear_").dtype)
    self._array = Coo(np.empty((sparse_dim, 0), np.int64), values, shape, True)
    return self


METHODS: dict[str, Any] = {
    "_coalesced_": _coalesced_,
    "_indices": _indices,
    "_nnz": _nnz,
    "_values": _values,
    "ccol_indices": _part("ccol_indices", True, True),
    "coalesce": coalesce,
    "col_indices": _part("col_indices", False, False),
    "crow_indices": _part("crow_indices", False, True),
    "dense_dim": dense_dim,
    "indices": indices,
    "is_coalesced": is_coalesced,
    "row_indices": _part("row_indices", True, False),
    "smm": products.smm,
    "sparse_dim": sparse_dim,
    "sparse_mask": sparse_mask,
    "sparse_resize_": sparse_resize_,
    "sparse_resize_and_clear_": sparse_resize_and_clear_,
    "sspaddmm": products.sspaddmm,
    "to_dense": to_dense,
    "to_sparse": to_sparse,
    "to_sparse_bsc": _refusing_blocks("to_sparse_bsc"),
    "to_sparse_bsr": _refusing_blocks("to_sparse_bsr"),
    "to_sparse_coo": _to("to_sparse_coo", formats.sparse_coo),
    "to_sparse_csc": _to("to_sparse_csc", formats.sparse_csc),
    "to_sparse_csr": _to("to_sparse_csr", formats.sparse_csr),
    "values": values,
}
