"""Sums of sparse tensors, and what is made of sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.sparse.array import LayoutFault
from distrt.core.sparse.coo import Coo
from distrt.core.sparse.operations import at_places, coalesce, values_of
from distrt.core.sparse.places import numbered
from distrt.core.sparse.shapes import coordinates
from distrt.core.tensor import Tensor, wrap

__all__ = ["any", "log_softmax", "norm", "softmax", "sum"]


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over all dims, or over some: sparse where a sparse dim is left."""
    dims = () if dim is None else tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    gone = sorted(one_dim(each, input.ndim) for each in dims) or list(range(input.ndim))
    if len(set(gone)) < len(gone):
        raise ShapeError(f"dim {gone} appears multiple times in the list of dims")
    made = _over(input, gone, dtype) if dims else ops.sum(values_of(input), dtype=dtype)
    if keepdim:
        for each in gone:
            made = ops.unsqueeze(made, each)
    return made


def _over(input: Tensor, gone: list[int], dtype: Any) -> Any:
    """The sum over some dims, which are not there afterwards."""
    input = coalesce(input)
    coo, values = coordinates("sum", input), values_of(input)
    if dtype is not None:
        values = values.to(dtype)
    count = coo.sparse_dim
    dense_dims = tuple(each - count + 1 for each in gone if each >= count)
    kept = [each for each in range(count) if each not in gone]
    if not kept:
        return ops.sum(values, (0, *dense_dims))
    if dense_dims:
        values = ops.sum(values, dense_dims)
    elif dtype is None and values.dtype.category < 2:
        values = values.to(dt.int64)
    shape = tuple(size for each, size in enumerate(coo.shape) if each not in gone)
    if len(kept) == count:
        return at_places(values, Coo(coo.indices, values._array, shape, coo.is_coalesced))
    return coalesce(at_places(values, Coo(coo.indices[kept], values._array, shape)))


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether an element is not 0."""
    if dim is not None:
        raise LayoutFault("any: over a dim is not there for sparse tensors: use to_dense()")
    return ops.any(values_of(coalesce(input)))


def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The norm of all elements."""
    if dim not in (None, [], ()) or keepdim:
        raise ShapeError("norm_sparse currently only supports full reductions, so 'dim' must be None")
    return ops.norm(values_of(coalesce(input)), 2 if p == "fro" else p, dtype=dtype)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """Softmax along a dim of the elements that are given: the others count as minus infinity."""
    return _normalised(input, dim, dtype, is_log=False)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """The logarithm of `softmax`."""
    return _normalised(input, dim, dtype, is_log=True)


def _normalised(input: Tensor, dim: int, dtype: Any, is_log: bool) -> Any:
    coo: Any = coordinates("softmax", coalesce(input))
    values = values_of(coalesce(input))
    if dtype is not None:
        values = values.to(dtype)
    axis = one_dim(dim, coo.ndim)
    if axis >= coo.sparse_dim:
        function = ops.log_softmax if is_log else ops.softmax
        return at_places(function(values, axis - coo.sparse_dim + 1), coo)
    group, count = _groups(coo, axis)
    shifted = ops.sub(values, wrap(_largest(values._array, group, count)[group]))
    powers = ops.exp(shifted)
    zeros = wrap(np.zeros((count, *powers.shape[1:]), powers._array.dtype))
    totals = ops.index_select(ops.index_add(zeros, 0, wrap(group), powers), 0, wrap(group))
    return at_places(ops.sub(shifted, ops.log(totals)) if is_log else ops.true_divide(powers, totals), coo)


def _groups(coo: Coo, axis: int) -> tuple[Array, int]:
    """The number of the line along ``axis`` that each element is in, and how many lines there are."""
    others = [each for each in range(coo.sparse_dim) if each != axis]
    numbers = numbered(coo.indices[others], tuple(coo.shape[each] for each in others))
    known, group = np.unique(numbers, return_inverse=True)
    return group.reshape(-1), len(known)


def _largest(values: Array, group: Array, count: int) -> Array:
    largest = np.full((count, *values.shape[1:]), -np.inf, values.dtype)
    np.maximum.at(largest, group, values)
    return largest
