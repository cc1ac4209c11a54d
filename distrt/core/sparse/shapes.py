"""Sparse tensors in other shapes, and put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.sparse.array import LayoutFault, is_sparse
from distrt.core.sparse.compressed import Compressed
from distrt.core.sparse.coo import Coo
from distrt.core.sparse.operations import at_places, values_of
from distrt.core.tensor import Tensor

__all__ = ["cat", "coordinates", "permute", "stack", "t", "transpose", "unsqueeze"]


def coordinates(name: str, tensor: Tensor) -> Coo:
    """The array of a tensor in coordinates.

    Raises:
        LayoutFault: for another layout.
    """
    array = tensor._array
    if not isinstance(array, Coo):
        raise LayoutFault(f"{name}: for torch.sparse_coo, got a tensor of the layout {tensor.layout}")
    return array


def t(input: Tensor) -> Any:
    """A matrix transposed; a tensor of fewer dims as it is."""
    if input.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def transpose(input: Tensor, dim0: int, dim1: int) -> Any:
    """Two dims exchanged, both sparse ones or both dense ones."""
    order = list(range(input.ndim))
    first, second = one_dim(dim0, input.ndim), one_dim(dim1, input.ndim)
    order[first], order[second] = order[second], order[first]
    return permute(input, tuple(order))


def permute(input: Tensor, dims: Sequence[int]) -> Any:
    """Dims in another order, in which sparse ones stay before dense ones."""
    order = [one_dim(dim, input.ndim) for dim in dims]
    if sorted(order) != list(range(input.ndim)):
        raise ShapeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}"
        )
    array: Any = input._array
    if isinstance(array, Compressed):
        return input if order == [0, 1] else at_places(values_of(input), array.turned())
    coo, count = coordinates("permute", input), array.sparse_dim
    if sorted(order[:count]) != list(range(count)):
        raise ShapeError("permute: transpositions between sparse and dense dimensions are not allowed.")
    values = values_of(input)
    behind = [dim - count + 1 for dim in order[count:]]
    if behind != list(range(1, len(behind) + 1)):
        values = ops.permute(values, (0, *behind))
    ordered = coo.is_coalesced and order[:count] == list(range(count))
    shape = tuple(coo.shape[dim] for dim in order)
    indices = coo.indices if order[:count] == list(range(count)) else coo.indices[order[:count]]
    return at_places(values, Coo(indices, values._array, shape, ordered))


def unsqueeze(input: Tensor, dim: int) -> Any:
    """A new dim of size 1."""
    coo, place = coordinates("unsqueeze", input), one_dim(dim, input.ndim + 1)
    shape = (*coo.shape[:place], 1, *coo.shape[place:])
    values, indices = values_of(input), coo.indices
    if place > coo.sparse_dim:
        values = ops.unsqueeze(values, place - coo.sparse_dim + 1)
    else:
        indices = np.insert(indices, place, 0, 0)
    return at_places(values, Coo(indices, values._array, shape, coo.is_coalesced))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Sparse tensors one behind the other. None of them is coalesced afterwards."""
    arrays = _all_coordinates("cat", tensors)
    first = arrays[0]
    axis = one_dim(dim, first.ndim)
    for number, each in enumerate(arrays):
        if each.sparse_dim != first.sparse_dim or _without(each.shape, axis) != _without(first.shape, axis):
            raise ShapeError(
                f"Concatenating sparse tensors, but the sizes or sparse dims of tensor {number}, {list(each.shape)}, "
                f"do not fit those of the first, {list(first.shape)}, along dim {axis}"
            )
    sizes = [each.shape[axis] for each in arrays]
    shape = (*first.shape[:axis], sum(sizes), *first.shape[axis + 1 :])
    before = np.cumsum([0, *sizes[:-1]]).tolist()
    if axis < first.sparse_dim:
        indices = np.concatenate(
            [_moved(each.indices, axis, start) for each, start in zip(arrays, before, strict=True)], 1
        )
        values = ops.cat([values_of(each) for each in tensors])
    else:
        indices = np.concatenate([each.indices for each in arrays], 1)
        place = axis - first.sparse_dim + 1
        values = ops.cat(
            [
                _padded(values_of(each), place, start, shape[axis])
                for each, start in zip(tensors, before, strict=True)
            ]
        )
    return at_places(values, Coo(indices, values._array, shape))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _moved(indices: Array, axis: int, start: int) -> Array:
    moved = indices.copy()
    moved[axis] += start
    return moved


def _padded(values: Any, dim: int, start: int, size: int) -> Any:
    """The values with zeros on both sides along one dim."""
    sides = [start, size - start - values.shape[dim]]
    zeros = [
        ops.mul(ops.narrow(values, dim, 0, 1), 0).expand(*_sized(values.shape, dim, side)) for side in sides
    ]
    return ops.cat([zeros[0], values, zeros[1]], dim)


def _sized(shape: Any, dim: int, size: int) -> tuple[int, ...]:
    return (*shape[:dim], size, *shape[dim + 1 :])


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Sparse tensors of one size along a new dim."""
    arrays = _all_coordinates("stack", tensors)
    for each in arrays:
        if each.shape != arrays[0].shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(arrays[0].shape)} at entry 0 and "
                f"{list(each.shape)}"
            )
    return cat([unsqueeze(each, dim) for each in tensors], one_dim(dim, arrays[0].ndim + 1))


def _all_coordinates(name: str, tensors: Sequence[Any]) -> list[Coo]:
    if not all(is_sparse(each._array) for each in tensors):
        raise ShapeError(f"{name}: expected all tensors to be sparse, or none of them")
    return [coordinates(name, each) for each in tensors]
