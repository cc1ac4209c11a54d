"""Picking and placing whole slices of a dim by a row of indices: ``index_select`` and its relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, Scalar, is_meta
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.promotion import convert
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.indexing.gathering import require_in_range, zeros_of
from distrt.core.ops.indexing.masking import assigned_element
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.shapes.dims import one_dim

__all__ = ["index_add", "index_copy", "index_fill", "index_select"]


@op()
def index_select(input: Array, dim: int, index: IndexArray) -> Array:
    """The slices of ``dim`` that ``index`` (0-d or 1-d) names, in its order.

    Raises:
        DimensionError: for an index of two dims or more, or one out of range; negative ones are.
        DtypeError: for an index that is not int32 or int64.
    """
    axis = one_dim(dim, input.ndim)
    if index.ndim > 1:
        raise DimensionError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (np.int64, np.int32):
        raise DtypeError(f"index_select(): Expected dtype int32 or int64 for index, got {dt.of(index)}")
    if input.ndim == 0 and index.size != 1:
        raise ShapeError(f"index_select(): Index to scalar can have only 1 value, got {index.size} value(s)")
    size = input.shape[axis] if input.ndim else 1
    require_range(index, 0, size, "index out of range in self: {0}; dimension %d has size {1}", axis)
    if input.ndim == 0:
        return input.copy()
    return input.take(index.reshape(-1), axis)


def _key(axis: int, index: Array) -> tuple[Any, ...]:
    return (*[slice(None)] * axis, index.reshape(-1))


def require_source(
    name: str, input: Array, axis: int, index: Array, source: Array, fault: type[Exception]
) -> None:
    """Holds index and source of ``index_add`` and its relatives against the input."""
    if index.ndim > 1:
        raise DimensionError(
            f"{name}(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{dt.of(index)} and size: {list(index.shape)}"
        )
    if source.dtype != input.dtype:
        raise DtypeError(
            f"{name}(): self ({dt.of(input)}) and source ({dt.of(source)}) must have the same scalar type"
        )
    given = source.shape[axis] if source.ndim > axis else 1
    if given != index.size:
        raise fault(
            f"{name}(): Number of indices ({index.size}) should be equal to source.size(dim): ({given}), for dim: "
            f"{axis}"
        )


@op(node="IndexAdd")
def _index_add(input: Array, source: Array, dim: int, index: IndexArray, alpha: Scalar) -> Array:
    """``input`` with ``alpha`` times the slices of ``source`` added at ``index``."""
    axis = one_dim(dim, input.ndim)
    require_source("index_add_", input, axis, index, source, ShapeError)
    if index.dtype not in (np.int64, np.int32):
        raise DtypeError(f"index_add_(): Expected dtype int32/int64 for index but got: {dt.of(index)}")
    rest = [each.shape[:axis] + each.shape[axis + 1 :] for each in (input, source)]
    if rest[0] != rest[1] or input.ndim != source.ndim:
        raise ShapeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(input.shape)} source.shape = {list(source.shape)}"
        )
    require_in_range(index, axis, input.shape[axis] if input.ndim else 1)
    changed = wide(input).copy()
    added = wide(source) if alpha == 1 else wide(source) * convert(alpha, changed.dtype)[()]
    if input.ndim == 0:
        return (changed + added).astype(input.dtype)
    add_at(changed, _key(axis, index), added)
    return changed.astype(input.dtype, copy=False)


index_select.gradient(
    input=lambda g, input_meta, dim, index: (
        _index_add(zeros_of(input_meta, g), g, dim, index, 1) if input_meta.shape else g
    )
)
_index_add.gradient(
    input=lambda g: g,
    source=lambda g, source_meta, dim, index, alpha: ops.mul(_picked(g, source_meta, dim, index), alpha),
)


def _picked(g: Any, meta: Any, dim: int, index: Any) -> Any:
    found = index_select(g, dim, index)
    return found if tuple(found.shape) == tuple(meta.shape) else ops.reshape(found, meta.shape)


@takes_out
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """A copy of ``input`` with ``alpha`` times the slices of ``source`` added at the places that ``index`` names."""
    return _index_add(input, source, dim, index, alpha)


@op(node="IndexCopy", autocast="widest")
def _index_placed(input: Array, source: Array, dim: int, index: IndexArray) -> Array:
    """``input`` with the slices of ``source`` at ``index``."""
    axis = one_dim(dim, input.ndim)
    if index.dtype != np.int64:
        raise DtypeError(f"index_copy_(): Expected a long tensor for index, but got {dt.of(index)}")
    require_source("index_copy_", input, axis, index, source, DimensionError)
    size = input.shape[axis] if input.ndim else 1
    require_places("index_copy_(): ", index, axis, size, negative=False)
    changed = np.array(input, like=input)
    if input.ndim == 0:
        changed[...] = source.reshape(())
        return changed
    rest = [each.shape[:axis] + each.shape[axis + 1 :] for each in (input, source)]
    if source.ndim and rest[0] != rest[1]:
        raise ShapeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{list(rest[0])} at dimension {axis} and source slice shape: {list(rest[1])} at dimension 0."
        )
    changed[_key(axis, index)] = source
    return changed


def require_places(said: str, index: Array, axis: int, size: int, negative: bool) -> None:
    message = "%sindex {0} is out of bounds for dimension %d with size {1}"
    require_range(index, -size if negative else 0, size, message, said, axis)


_index_placed.gradient(
    input=lambda g, dim, index: index_fill(g, dim, index, 0),
    source=lambda g, source_meta, dim, index: _picked(g, source_meta, dim, index),
)


@takes_out
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of ``input`` with the slices of ``source`` at the places that ``index`` names."""
    return _index_placed(input, source, dim, index)


@op(node="IndexFill")
def _index_fill(input: Array, value: Array | Scalar, dim: int, index: IndexArray) -> Array:
    """``input`` with ``value`` in the slices that ``index`` names."""
    axis = one_dim(dim, input.ndim)
    if index.dtype != np.int64:
        raise DimensionError(f"index_fill_(): Expected dtype int64 for index, got {dt.of(index)}.")
    if index.ndim > 1:
        raise DimensionError("index_fill_(): Index is supposed to be a vector")
    require_places("", index, axis, input.shape[axis] if input.ndim else 1, negative=True)
    changed = np.array(input, like=input)
    if input.ndim:
        changed[_key(axis, index)] = value
    elif index.size:
        changed[...] = value
    return changed


_index_fill.gradient(
    input=lambda g, dim, index: _index_fill(g, 0, dim, index),
    value=lambda g, dim, index: _sum_of_filled(g, dim, index),
)


def _sum_of_filled(g: Any, dim: int, index: Any) -> Any:
    """The gradient of what fills: each slice that the index names counts once, however often it is named."""
    size = g.shape[dim] if g.ndim else 1
    places = getattr(index, "_array", index) % max(size, 1)
    return ops.sum(index_select(g, dim, places if is_meta(places) else np.unique(places)))


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of ``input`` with ``value`` (a number or a 0-d tensor) in the slices of ``dim`` that ``index`` names."""
    if isinstance(value, complex) and "complex" not in str(input.dtype):
        raise DtypeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    return _index_fill(input, assigned_element(value, input, "index_fill_"), dim, index)
