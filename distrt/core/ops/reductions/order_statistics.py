"""Single elements by rank: medians, quantiles, the k-th smallest, the most frequent."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, accumulated, filled, known
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out, write_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.op import op
from distrt.core.ops.indexing.along_dim import along_dim_pick
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.reductions.extremes import (
    picked,
    require_ordered,
    route,
    shared_among_all_equals,
    with_elements,
)
from distrt.core.ops.reductions.sorting import sort, sorted_order
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.tensor import Tensor, wrap

__all__ = ["kthvalue", "median", "mode", "nanmedian", "nanquantile", "quantile"]


# Medians: of an even number of elements, the lower of the two in the middle


def median(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The median of all elements; with ``dim``, (values, indices) along it. nan where there is one."""
    result = _median_all(input, False) if dim is None else _median(input, dim, keepdim)
    return result if out is None else write_out("median", result, out)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """As ``median``, of what is a number."""
    result = _median_all(input, True) if dim is None else _nanmedian(input, dim, keepdim)
    return result if out is None else write_out("nanmedian", result, out)


@op(node="Median")
def _median_all(input: Array, ignore_nan: bool) -> Array:
    """The median of all elements."""
    _require_numbers(input, "median")
    if not input.size:
        return filled((), np.nan, input.dtype, input)
    flat = input.reshape(-1)
    return flat[_middle(flat, 0, ignore_nan)[0]]


_median_all.gradient(input=lambda g, input, out: shared_among_all_equals(g, input, out))


@op(node="Median1")
def _median(input: Array, dim: int, keepdim: bool) -> Any:
    """The medians along ``dim`` and where they are."""
    return _median_along(input, dim, keepdim, False)


@op()
def _nanmedian(input: Array, dim: int, keepdim: bool) -> Any:
    """The medians along ``dim`` of what is a number, and where they are."""
    return _median_along(input, dim, keepdim, True)


def _median_along(input: Array, dim: int, keepdim: bool, ignore_nan: bool) -> Any:
    axis = one_dim(dim, input.ndim)
    with_elements(input, axis, "median")
    _require_numbers(input, "median")
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64, like=input)
    return picked(input, _middle(input, axis, ignore_nan), axis, keepdim)


def _require_numbers(input: Array, name: str) -> None:
    if input.dtype.kind in "bc":
        raise UnsupportedError(f"{name}: not implemented for {dt.of(input)}")


def _middle(input: Array, axis: int, ignore_nan: bool) -> Array:
    """Where the median stands along ``axis``, with size 1 there; the first nan unless they are ignored."""
    order, size = sorted_order(input, axis), input.shape[axis]
    missing = np.isnan(input).sum(axis=axis, keepdims=True)
    if ignore_nan:
        rank = np.maximum(size - missing - 1, 0) // 2
    else:
        rank = np.where(missing > 0, size - missing, (size - 1) // 2)
    return np.take_along_axis(order, rank, axis)


# The others


@op()
def kthvalue(input: Array, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The ``k``-th smallest elements along ``dim``, counted from 1, and where they are.

    Raises:
        ShapeError: where there is no such element.
    """
    axis = one_dim(dim, input.ndim)
    with_elements(input, axis, "kthvalue")
    _require_numbers(input, "kthvalue")
    if not 1 <= k <= (input.shape[axis] if input.ndim else 1):
        raise ShapeError(f"kthvalue(): selected number k out of range for dimension {axis}, got {k}")
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64, like=input)
    place = (slice(None),) * axis + (slice(k - 1, k),)
    return picked(input, sorted_order(input, axis)[place], axis, keepdim)


@op()
def mode(input: Array, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent elements along ``dim`` (the smallest of several), and where each stands last."""
    axis = one_dim(dim, input.ndim)
    require_ordered(input, "mode")
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64, like=input)
    with_elements(input, axis, "mode")
    order = np.moveaxis(sorted_order(input, axis), axis, -1)
    ranked = np.take_along_axis(np.moveaxis(wide(input), axis, -1), order, -1)
    last = filled(ranked.shape, True, np.bool_, ranked)  # of its run of equal elements
    last[..., :-1] = ranked[..., 1:] != ranked[..., :-1]
    places = np.arange(ranked.shape[-1], like=ranked)
    starts = np.zeros(ranked.shape, np.int64, like=ranked)
    starts[..., 1:] = accumulated(np.maximum, np.where(last, places + 1, 0), -1)[..., :-1]
    length = np.where(last, places - starts + 1, 0)
    where = np.take_along_axis(order, np.expand_dims(length.argmax(axis=-1), -1), -1)
    return picked(input, np.moveaxis(where, -1, axis), axis, keepdim)


for _selection in (_median, _nanmedian, kthvalue, mode):
    _selection.outputs("values", "indices")
    _selection.gradient(
        input=lambda g_values, input_meta, indices, dim, keepdim: route(
            g_values, indices, input_meta.shape, dim, keepdim
        )
    )


# Quantiles


@autocasts("full")
@takes_out
def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The values below which the fractions ``q`` of the elements along ``dim`` lie; nan where there is one.

    Args:
        input: float32 or float64.
        q: a number in [0, 1], or a 1-D tensor of them, whose dim comes first in the result.
        dim: the dim; all elements for None.
        keepdim: keep the dim with size 1.
        interpolation: between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, ignore_nan=False)


@autocasts("full")
@takes_out
def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """As ``quantile``, of what is a number."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, ignore_nan=True)


def _quantile(
    name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool
) -> Any:
    fractions = _fractions(name, input, q)
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ShapeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    axis = 0 if dim is None else one_dim(dim, input.ndim)
    others = [n for n in range(input.ndim) if n != axis] if dim is not None else []
    whole = dim is None or not input.ndim
    rows = ops.reshape(input, (-1,)) if whole else ops.permute(input, (*others, axis))
    ranked = sort(rows, -1)[0]
    # What comes of the fractions is the last dim.
    found = _at_ranks(ranked, _ranks(ranked._array, fractions, ignore_nan), interpolation)
    found = ops.permute(found, (found.ndim - 1, *range(found.ndim - 1)))
    if keepdim:
        shape = [1 if whole or n == axis else size for n, size in enumerate(input.shape)]
    else:
        shape = [input.shape[n] for n in others]
    several = isinstance(q, Tensor) and q.ndim == 1
    return ops.reshape(found, (fractions.shape[0], *shape) if several else tuple(shape))


def _fractions(name: str, input: Any, q: Any) -> Any:
    """``q`` as a 1-D tensor of the input's dtype."""
    if input.numel() == 0:
        raise ShapeError(f"{name}() input tensor must be non-empty")
    if input._array.dtype not in (np.float32, np.float64):
        raise DtypeError(f"{name}() input tensor must be either float or double dtype, got {input.dtype}")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise ShapeError(f"{name}() q must be in the range [0, 1] but got {q}")
        return wrap(np.asarray([q], input._array.dtype, like=input._array))
    if q.ndim > 1:
        raise ShapeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype != input.dtype:
        raise DtypeError(f"{name}() q tensor must be same dtype as the input tensor")
    if known(~((q._array >= 0) & (q._array <= 1)).all()):
        raise ShapeError(f"{name}() q values must be in the range [0, 1]")
    return ops.reshape(q, (-1,))


def _ranks(ranked: Array, fractions: Any, ignore_nan: bool) -> Any:
    """How far into each sorted row the fractions lie. Shape: (…, n), (m) -> (…, m)."""
    missing = np.isnan(ranked)
    last = ranked.shape[-1] - 1
    if ignore_nan:
        counts = np.maximum(last - missing.sum(axis=-1, keepdims=True), 0)
        return ops.mul(fractions, wrap(counts.astype(ranked.dtype)))
    ranks = ops.mul(fractions, float(last))
    if ranked.ndim == 1 and not known(missing[-1]):
        return ranks
    return ops.where(wrap(missing.any(axis=-1, keepdims=True)), float(last), ranks)  # to where the nan stands


def _at_ranks(ranked: Any, ranks: Any, interpolation: str) -> Any:
    """The sorted elements at ``ranks``, or what lies between two of them."""
    rounding: Any = {"higher": np.ceil, "nearest": np.round}.get(interpolation, np.floor)
    below = along_dim_pick(ranked, rounding(ranks._array).astype(np.int64), -1, False)
    if interpolation not in ("linear", "midpoint"):
        return below
    above = along_dim_pick(ranked, np.ceil(ranks._array).astype(np.int64), -1, False)
    way = ops.sub(above, below)
    if interpolation == "midpoint":
        return ops.sub(above, ops.mul(way, 0.5))
    weights = ops.sub(ranks, wrap(np.floor(ranks._array)))
    from_below = ops.add(below, ops.mul(way, weights))  # from the nearer end, as lerp does it
    return ops.where(ops.lt(weights, 0.5), from_below, ops.sub(above, ops.mul(way, ops.sub(1, weights))))
