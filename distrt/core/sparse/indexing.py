"""Parts of sparse tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import DimensionError
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.sparse.array import LayoutFault, is_sparse
from distrt.core.sparse.compressed import Compressed
from distrt.core.sparse.coo import Coo
from distrt.core.sparse.operations import at_places, converted, values_of
from distrt.core.sparse.shapes import coordinates, unsqueeze
from distrt.core.tensor import Tensor, wrap

__all__ = ["index", "index_select", "narrow", "select", "unbind"]


def _some(input: Tensor, indices: Array, which: Array, shape: tuple[int, ...], ordered: bool) -> Any:
    """The elements ``which``, with other coordinates."""
    values = ops.index_select(values_of(input), 0, wrap(which))
    return at_places(values, Coo(indices, values._array, shape, ordered))


def select(input: Tensor, dim: int, index: int) -> Any:
    """One slice: in coordinates, and dense where its dim was the only sparse one."""
    if isinstance(input._array, Compressed):
        input = converted(input, "coo")
    coo = coordinates("select", input)
    axis = one_dim(dim, coo.ndim)
    size = coo.shape[axis]
    if not -size <= index < size:
        raise DimensionError(
            f"select(): index {index} out of range for tensor of size {list(coo.shape)} at dimension {axis}"
        )
    number, shape = index % size, (*coo.shape[:axis], *coo.shape[axis + 1 :])
    if axis >= coo.sparse_dim:
        values = ops.select(values_of(input), axis - coo.sparse_dim + 1, number)
        return at_places(values, Coo(coo.indices, values._array, shape, coo.is_coalesced))
    which = np.flatnonzero(coo.indices[axis] == number)
    if coo.sparse_dim == 1:
        return ops.sum(ops.index_select(values_of(input), 0, wrap(which)), 0, dtype=input.dtype)
    return _some(input, np.delete(coo.indices[:, which], axis, 0), which, shape, coo.is_coalesced)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Any:
    """A stretch along one dim."""
    coo = coordinates("narrow", input)
    axis = one_dim(dim, coo.ndim)
    size = coo.shape[axis]
    begin = start + size if start < 0 else start
    if not 0 <= begin <= size or not 0 <= length <= size - begin:
        raise DimensionError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    shape = (*coo.shape[:axis], length, *coo.shape[axis + 1 :])
    if axis >= coo.sparse_dim:
        values = ops.narrow(values_of(input), axis - coo.sparse_dim + 1, begin, length)
        return at_places(values, Coo(coo.indices, values._array, shape, coo.is_coalesced))
    along = coo.indices[axis]
    which = np.flatnonzero((along >= begin) & (along < begin + length))
    indices = coo.indices[:, which]
    indices[axis] -= begin
    return _some(input, indices, which, shape, coo.is_coalesced)


def index_select(input: Tensor, dim: int, index: Any) -> Any:
    """The slices along one dim that ``index`` names, each as often as it does."""
    coo = coordinates("index_select", input)
    axis = one_dim(dim, coo.ndim)
    named = index._array.reshape(-1)  # of which the form for dense tensors has seen that all are there
    shape = (*coo.shape[:axis], named.size, *coo.shape[axis + 1 :])
    if axis >= coo.sparse_dim:
        values = ops.index_select(values_of(input), axis - coo.sparse_dim + 1, wrap(named))
        return at_places(values, Coo(coo.indices, values._array, shape, coo.is_coalesced))
    order = np.argsort(named, kind="stable")
    along = coo.indices[axis]
    first = np.searchsorted(named[order], along, "left")
    counts = np.searchsorted(named[order], along, "right") - first
    which = np.repeat(np.arange(len(along)), counts)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    indices = coo.indices[:, which]
    indices[axis] = order[first[which] + turn]
    return _some(input, indices, which, shape, False)


def unbind(input: Tensor, dim: int = 0) -> tuple[Any, ...]:
    """All slices along one dim."""
    axis = one_dim(dim, input.ndim)
    return tuple(select(input, axis, number) for number in range(input.shape[axis]))


def index(input: Tensor, key: Any) -> Any:
    """``tensor[key]`` for whole numbers, slices, ``...`` and None."""
    keys = _spelled_out(list(key) if isinstance(key, tuple) else [key], input.ndim)
    dim = 0
    for place, each in enumerate(keys):
        if not is_sparse(input._array):  # its only sparse dim is gone
            return input[(slice(None),) * dim + tuple(keys[place:])]
        if _is_number(each):
            input = select(input, dim, int(each))
            continue
        if each is None:
            input = unsqueeze(input, dim)
        elif isinstance(each, slice) and each.step in (None, 1):
            start, stop, _ = each.indices(input.shape[dim])
            if each != slice(None):
                input = narrow(input, dim, start, max(stop - start, 0))
        else:
            raise LayoutFault(f"a sparse tensor is not indexed by {each!r}: use index_select, or to_dense()")
        dim += 1
    return input


def _spelled_out(keys: list[Any], ndim: int) -> list[Any]:
    """The keys with as many slices of whole dims as ``...`` stands for."""
    given = sum(each is not None and each is not Ellipsis for each in keys)
    for place, each in enumerate(keys):
        if each is Ellipsis:
            return [*keys[:place], *[slice(None)] * (ndim - given), *keys[place + 1 :]]
    return keys


def _is_number(key: Any) -> bool:
    if isinstance(key, Tensor):
        return key.ndim == 0 and key.dtype.category == 1
    return isinstance(key, int | np.integer) and not isinstance(key, bool)
