"""Picking and placing by a mask, or by place in the row of all elements; and where the nonzero elements are."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, Scalar, beside, chosen, filled, is_array, is_meta, row_major
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.pointwise.type_names import c_type
from distrt.core.tensor import Tensor, wrap

__all__ = [
    "argwhere",
    "fill",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "nonzero_static",
    "put",
    "take",
]


def assigned_element(value: Any, input: Any, name: str = "masked_fill_") -> Any:
    """What is written into some elements of ``input``: a 0-d tensor as it is, a number in the dtype of ``input``.

    Raises:
        ShapeError: for a tensor with dims.
        DtypeError: for a number that has no place in that dtype.
        TypeError: for anything else.
    """
    if isinstance(value, Tensor) or is_array(value):
        if value.ndim:
            raise ShapeError(
                f"{name} only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
            )
        wanted = getattr(input, "_array", input).dtype
        given = getattr(value, "_array", value).dtype
        if given.kind == "c" and wanted.kind != "c":
            raise _no_place(wanted)
        return value if given == wanted else ops.to_dtype(value, wanted)
    if not isinstance(value, bool | int | float | complex | np.generic):
        raise TypeError(f"{name}(): argument 'value' must be Number, not {type(value).__name__}")
    return as_element(value, getattr(input, "_array", input).dtype)


def as_element(value: Any, dtype: np.dtype[Any]) -> Array:
    """A number in a dtype: fractions are cut off, and what has no place in it is refused.

    Raises:
        DtypeError: for a number beyond the dtype's range.
    """
    if isinstance(value, complex) and dtype.kind != "c":
        if value.imag:
            raise _no_place(dtype)
        value = value.real
    if dtype.kind in "iu" and not isinstance(value, bool):
        return _as_integer(value, dtype)
    element = np.asarray(np.asarray(value).astype(dtype))
    if dtype.itemsize <= 4 and dtype.kind != "b" and np.isfinite(value) and not np.isfinite(element):
        raise _no_place(dtype)
    return element


def _as_integer(value: Any, dtype: np.dtype[Any]) -> Array:
    bounds = np.iinfo(dtype)
    if not np.isfinite(value):
        raise _no_place(dtype)
    number = int(value)
    if not (-int(bounds.max) if dtype.kind == "u" else int(bounds.min)) <= number <= bounds.max:
        raise _no_place(dtype)
    return np.asarray(number % (int(bounds.max) + 1) if dtype.kind == "u" else number, dtype)


def _no_place(dtype: np.dtype[Any]) -> DtypeError:
    return DtypeError(f"value cannot be converted to type {dtype} without overflow")


# Masks


def _require_mask(name: str, mask: Array) -> None:
    if mask.dtype != np.bool_:
        raise DtypeError(f"{name} only supports boolean masks, but got mask with dtype {c_type(mask)}")


@op(node="MaskedFill")
def _masked_fill(input: Array, value: Array | Scalar, mask: IndexArray) -> Array:
    """``value`` where ``mask``, else ``input``. Shape: broadcasts."""
    _require_mask("masked_fill_", mask)
    filling = chosen(mask, value, input)
    return np.asarray(filling, order="C", like=filling)


_masked_fill.gradient(
    input=lambda g, mask: ops.zero_unless(g, ops.logical_not(mask)),
    value=lambda g, mask: _total(ops.zero_unless(g, mask)),
)


def _total(g: Any) -> Any:
    return ops.sum(g)


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``input`` with ``value`` (a number or a 0-d tensor) where ``mask`` is true. Shape: the two broadcast.

    Raises:
        DtypeError: for a mask that is not bool, or a number that has no place in the dtype of ``input``.
        ShapeError: for a value with dims.
    """
    return _masked_fill(input, assigned_element(value, input), mask)


@takes_out
def fill(input: Any, value: Any) -> Any:
    """``value`` (a number or a 0-d tensor) everywhere, in the shape and dtype of ``input``."""
    if isinstance(value, Tensor) and value.ndim:
        raise ShapeError(
            f"fill only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions."
        )
    return masked_fill(input, wrap(filled((), True, np.bool_, input._array)), value)


@op()
def masked_select(input: Array, mask: IndexArray) -> Array:
    """The elements where ``mask`` is true, in a row. Shape: the two broadcast -> 1-d.

    Raises:
        DtypeError: for a mask that is not bool.
    """
    if mask.dtype != np.bool_:
        raise DtypeError(f"masked_select: expected BoolTensor for mask, got {dt.of(mask)}")
    whole, chosen = np.broadcast_arrays(input, mask)
    return whole[chosen]


@op()
def _unselected(input: Array, shape: tuple[int, ...], mask: IndexArray) -> Array:
    """The row back in its places among zeros. Shape: as ``shape`` and the mask broadcast."""
    full = np.broadcast_shapes(shape, mask.shape)
    placed = np.zeros(full, input.dtype, like=input)
    placed[np.broadcast_to(mask, full)] = input
    return placed


masked_select.gradient(input=lambda g, input_meta, mask: _unselected(g, input_meta.shape, mask))
_unselected.gradient(input=lambda g, mask: masked_select(g, mask))


@op(node="MaskedScatter")
def _masked_scatter(input: Array, source: Array, mask: IndexArray) -> Array:
    """``input`` with the elements of ``source``, in order, where ``mask``."""
    _require_mask("masked_scatter_", mask)
    if source.dtype != input.dtype:
        raise DtypeError(
            f"masked_scatter: expected self and source to have same dtypes but got {dt.of(input)} and {dt.of(source)}"
        )
    whole, chosen = np.broadcast_arrays(input, mask)
    if is_meta(chosen):
        return whole.copy()
    count = int(np.count_nonzero(chosen))
    if count > source.size:
        raise ShapeError(f"Number of elements of source < number of ones in mask: {source.size} < {count}")
    changed = whole.copy()
    changed[chosen] = source.reshape(-1)[:count]
    return changed


_masked_scatter.gradient(
    input=lambda g, mask: ops.zero_unless(g, ops.logical_not(mask)),
    source=lambda g, mask, source_meta: _padded(masked_select(g, mask), source_meta.shape),
)


def _padded(row: Any, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape))
    return ops.reshape(ops.index_scatter(row, (size,), (slice(row.shape[0]),)), shape)


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """``input`` with the elements of ``source``, in order, where ``mask`` is true. Shape: input and mask broadcast.

    Raises:
        ShapeError: for fewer elements than the mask asks for.
        DtypeError: for a mask that is not bool, or a source of another dtype.
    """
    return _masked_scatter(input, source, mask)


# The row of all elements


def _in_row(name: str, index: Array, size: int) -> Array:
    if index.dtype != np.int64:
        raise DtypeError(f"{name}(): Expected a long tensor for index, but got {dt.of(index)}")
    said = "out of range: tried to access index {0} on a tensor of {1} elements."
    require_range(index, -size, size, said)
    return index


@op()
def take(input: Array, index: IndexArray) -> Array:
    """The elements at ``index`` in the row of all elements. Shape: that of ``index``.

    Raises:
        DimensionError: for an index out of range.
        DtypeError: for an index that is not int64.
    """
    return input.reshape(-1)[_in_row("take", index, input.size)]


take.gradient(input=lambda g, input_meta, index: _taken_back(g, input_meta.shape, index))


def _taken_back(g: Any, shape: tuple[int, ...], index: Any) -> Any:
    key = (getattr(index, "_array", index).reshape(-1),)
    size = int(np.prod(shape))
    return ops.reshape(ops.index_scatter(ops.reshape(g, (-1,)), (size,), key), shape)


@op(node="Put")
def _put(input: Array, source: Array, index: IndexArray, accumulate: bool) -> Array:
    """``input`` with ``source`` at ``index`` in the row of all elements."""
    _in_row("put_", index, input.size)
    if source.size != index.size:
        raise DimensionError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.size}, index.numel() = {index.size}"
        )
    if source.dtype != input.dtype:
        raise DtypeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {dt.of(input)} and "
            f"source.dtype = {dt.of(source)}"
        )
    changed = np.array(input, order="C", like=input)
    row, places = changed.reshape(-1), index.reshape(-1)
    if accumulate:
        add_at(row, places, source.reshape(-1))
    else:
        row[places] = source.reshape(-1)
    return changed


_put.gradient(
    input=lambda g, index, accumulate: g if accumulate else _put(g, _no_values(index, g), index, False),
    source=lambda g, index, source_meta: ops.reshape(take(g, index), source_meta.shape),
)


def _no_values(index: Any, g: Any) -> Array:
    return np.zeros(tuple(index.shape), beside(g).dtype, like=beside(g))


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy of ``input`` with ``source`` written, or added, at ``index`` in the row of all elements.

    Raises:
        DimensionError: for an index out of range, or another number of values.
    """
    return _put(input, source, index, accumulate)


# Where elements are not zero


def nonzero(input: Any, *, as_tuple: bool = False, out: Any = None) -> Any:
    """The places of the elements that are not zero: one row each, or one index tensor for each dim.

    Shape: any -> (count, ndim), or with ``as_tuple`` ndim tensors of (count,).
    """
    if not as_tuple:
        return argwhere(input, out=out) if out is not None else argwhere(input)
    array = input._array
    return tuple(wrap(row_major(found)) for found in np.atleast_1d(array).nonzero())


@takes_out
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """The first ``size`` rows of :func:`nonzero`, filled up with ``fill_value``. Shape: any -> (size, ndim)."""
    if size < 0:
        raise ShapeError(f"nonzero_static: 'size' must be an non-negative integer, but got {size}")
    if input.is_meta:
        return wrap(np.empty((size, input.ndim), np.int64, like=input._array))
    found = argwhere(input)._array[:size]
    made = filled((size, input.ndim), fill_value, np.int64, found)
    made[: len(found)] = found
    return wrap(made)


@takes_out
def argwhere(input: Any) -> Any:
    """The places of the elements that are not zero, one row each. Shape: any -> (count, ndim)."""
    array = input._array
    found = np.stack(np.atleast_1d(array).nonzero(), 0)
    return wrap(found.T if array.ndim else np.empty((found.shape[1], 0), np.int64, like=found))
