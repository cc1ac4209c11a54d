"""``scatter_reduce``: the sum, product, mean or extreme of what an index tensor sends to each place."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, beside, chosen, filled
from distrt.core.definitions.out import takes_out
from distrt.core.errors import ShapeError
from distrt.core.op import IndexArray, Meta, op
from distrt.core.ops.indexing.gathering import (
    REDUCTIONS,
    _scatter,
    _scatter_add,
    gathered,
    prepared,
    reduced_at,
)
from distrt.core.ops.indexing.slicewise import require_places, require_source
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.shapes.dims import one_dim

__all__ = ["index_reduce", "scatter_reduce"]


@takes_out
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of ``input`` where each place holds the sum, product, mean or extreme of what ``src`` sends there.

    Args:
        input: what is copied.
        dim: the dim that the index counts in.
        index: for each element of ``src``, its place in ``dim``.
        src: the values.
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: the element of ``input`` takes part; otherwise it stays only where nothing arrives.

    Raises:
        ShapeError: for sizes that do not fit, an index out of range, or another ``reduce``.
        DtypeError: for a ``src`` of another dtype.
    """
    if reduce not in REDUCTIONS:
        raise ShapeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    return _scatter_reduce(input, src, dim, index, reduce, include_self)


@takes_out
def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """As :func:`scatter_reduce`, of whole slices: slice ``n`` of ``source`` goes to slice ``index[n]`` of ``dim``.

    Args:
        input: what is copied.
        dim: the dim that the index counts in.
        index: one place for each slice of ``source``; 1-d.
        source: the slices.
        reduce: "prod", "mean", "amax" or "amin".
        include_self: the slice of ``input`` takes part; otherwise it stays only where nothing arrives.

    Raises:
        ShapeError: for sizes that do not fit, or another ``reduce``.
        DimensionError: for an index of two dims or more, or one out of range.
        DtypeError: for a ``source`` of another dtype.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ShapeError(f"reduce argument must be either prod, mean, amax or amin, got {reduce}")
    axis = one_dim(dim, input.ndim)
    require_places("", index._array, axis, input.shape[axis] if input.ndim else 1, negative=False)
    require_source("index_reduce_", input._array, axis, index._array, source._array, ShapeError)
    if source.ndim:
        index = ops.expand(ops.reshape(index, (-1,) + (1,) * (source.ndim - 1 - axis)), tuple(source.shape))
    elif index.ndim:
        index = ops.reshape(index, ())
    return _scatter_reduce(input, source, dim, index, reduce, include_self)


@op(node="ScatterReduce")
def _scatter_reduce(
    input: Array, src: Array, dim: int, index: IndexArray, reduce: str, include_self: bool
) -> Array:
    """What :func:`scatter_reduce` computes."""
    places, values = prepared("scatter", input, dim, index, src)
    start = np.array(wide(input), order="C", like=input)
    row = start.reshape(-1)
    if not include_self and places.size:
        row[places] = _neutral(reduce, start.dtype)
    result = reduced_at(start, places, values, reduce)
    if reduce == "mean":
        count = filled(row.size, int(include_self), np.int64, row)
        np.add.at(count, places, 1)
        share = np.maximum(count, 1).reshape(result.shape)
        result = result // share if result.dtype.kind in "iu" else result / share
    return result.astype(input.dtype, copy=False)


def _neutral(reduce: str, dtype: np.dtype[Any]) -> Any:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype.kind == "b":
        return reduce == "amin"
    if dtype.kind in "iu":
        return np.iinfo(dtype).min if reduce == "amax" else np.iinfo(dtype).max
    return -np.inf if reduce == "amax" else np.inf


def _placed(g: Any, dim: int, index: Any, include_self: bool) -> Any:
    """The gradient of ``input``: nothing where ``src`` took its place."""
    return g if include_self else _scatter(g, 0, dim, index)


def _gradient_of_input(
    g: Any, input: Any, src: Any, dim: int, index: Any, out: Any, reduce: str, include_self: bool
) -> Any:
    if reduce == "sum":
        return _placed(g, dim, index, include_self)
    if reduce == "mean":
        return _placed(
            ops.true_divide(g, _shares(g, src, dim, index, include_self)), dim, index, include_self
        )
    if reduce == "prod":
        nonzero = ops.where(ops.eq(input, 0), ops.add(ops.mul(input, 0), 1), input)
        product = _scatter_reduce(nonzero, src, dim, index, reduce, include_self)
        return _placed(ops.true_divide(ops.mul(g, product), nonzero), dim, index, include_self)
    found = ops.zero_unless(_shared_extreme(g, input, src, dim, index, out), ops.eq(input, out))
    return _placed(found, dim, index, include_self)


def _gradient_of_src(
    g: Any, input: Any, src: Any, dim: int, index: Any, out: Any, reduce: str, include_self: bool
) -> Any:
    if reduce == "sum":
        return _gathered_for(g, src, dim, index)
    if reduce == "mean":
        return _gathered_for(ops.true_divide(g, _shares(g, src, dim, index, include_self)), src, dim, index)
    if reduce == "prod":
        return _gradient_of_factors(g, input, src, dim, index, out, include_self)
    hit = ops.eq(src, _gathered_for(out, src, dim, index))
    shared = _gathered_for(_shared_extreme(g, input, src, dim, index, out), src, dim, index)
    return ops.zero_unless(shared, hit)


def _gathered_for(values: Any, src: Any, dim: int, index: Any) -> Any:
    return gathered(values, Meta(tuple(src.shape), _numpy_dtype(src)), dim, index)


def _numpy_dtype(value: Any) -> np.dtype[Any]:
    return getattr(value, "_array", value).dtype  # type: ignore[no-any-return]


def _plain(value: Any) -> Array:
    return getattr(value, "_array", value)


def _shares(g: Any, src: Any, dim: int, index: Any, include_self: bool) -> Array:
    """How many elements each mean was taken of."""
    dtype = _numpy_dtype(g)
    start = filled(tuple(g.shape), int(include_self), dtype, beside(g))
    count = _plain(_scatter_add(start, filled(tuple(src.shape), 1, dtype, beside(src)), dim, _plain(index)))
    return chosen(count == 0, dtype.type(1), count)


def _shared_extreme(g: Any, input: Any, src: Any, dim: int, index: Any, out: Any) -> Any:
    """The gradient of an extreme, parted evenly among the elements that are equal to it."""
    dtype = _numpy_dtype(g)
    values, best = _plain(src), _plain(out)
    hit = (values == _plain(_gathered_for(best, values, dim, _plain(index)))).astype(dtype)
    among = _plain(_scatter_add((_plain(input) == best).astype(dtype), hit, dim, _plain(index)))
    return ops.true_divide(g, chosen(among == 0, dtype.type(1), among))


def _gradient_of_factors(
    g: Any, input: Any, src: Any, dim: int, index: Any, out: Any, include_self: bool
) -> Any:
    """The product of the other factors: the whole over each, and for the only zero the product without it."""
    values = _plain(src)
    zero = values == 0
    count = _scatter_add(
        np.zeros(tuple(g.shape), values.dtype, like=values), zero.astype(values.dtype), dim, _plain(index)
    )
    alone = zero & (_plain(_gathered_for(count, values, dim, _plain(index))) == 1)
    one = ops.add(ops.mul(src, 0), 1)
    others = _scatter_reduce(input, ops.where(alone, one, src), dim, index, "prod", include_self)
    divided = ops.true_divide(_gathered_for(ops.mul(g, out), src, dim, index), ops.where(zero, one, src))
    return ops.where(alone, _gathered_for(ops.mul(g, others), src, dim, index), divided)


_scatter_reduce.gradient(input=_gradient_of_input, src=_gradient_of_src)
