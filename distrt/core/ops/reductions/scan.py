"""Operations whose result at each place is made of all elements up to there: running sums, products, extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, accumulated, known_or
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import UnsupportedError
from distrt.core.op import op
from distrt.core.ops.indexing.along_dim import along_dim_add
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.reductions.doubling import backward_recurrence, next_one, products_before
from distrt.core.ops.reductions.extremes import require_ordered
from distrt.core.ops.shapes.dims import one_dim

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]


@op()
def cumsum(input: Array, dim: int, *, dtype: Any = None) -> Array:
    """The running sum along ``dim``; bool and integers add up as int64, float32 in float64."""
    return _running(np.add, input, dim, dtype)


@op()
def cumprod(input: Array, dim: int, *, dtype: Any = None) -> Array:
    """The running product along ``dim``; bool and integers multiply as int64, float32 in float64."""
    return _running(np.multiply, input, dim, dtype)


def _running(combine: np.ufunc, input: Array, dim: int, dtype: Any) -> Array:
    if dtype is not None:
        input = input.astype(dt.to_numpy(dtype), copy=False)
    axis, kind = one_dim(dim, input.ndim), input.dtype
    result = kind if dtype is not None or kind in dt.FLOATING_NUMPY else dt.int64.numpy
    if not input.ndim:
        return input.astype(result)
    wider = _WIDER.get(kind, result)
    if wider == kind:
        return combine.accumulate(input, axis=axis, dtype=kind)
    total = input.astype(wider, order="C")
    combine.accumulate(total, axis=axis, out=total)  # in place: NumPy would convert in small pieces
    return total.astype(result, copy=False)


_WIDER = {
    dt.float16.numpy: dt.float32.numpy,
    dt.bfloat16.numpy: dt.float32.numpy,
    dt.float32.numpy: dt.float64.numpy,
    dt.complex64.numpy: dt.complex128.numpy,
}


cumsum.gradient(input=lambda g, dim: _sum_of_later(g, dim))


def _sum_of_later(g: Any, dim: int) -> Any:
    """At each place the sum of ``g`` from there to the end."""
    if not len(g.shape):
        return g
    return _flipped(cumsum(_flipped(g, dim), dim), dim)


def _flipped(input: Any, dim: int) -> Any:
    return ops.flip(input, (one_dim(dim, len(input.shape)),))


cumprod.gradient(input=lambda g, input, out, dim: _cumprod_slope(g, input, out, dim))


def _cumprod_slope(g: Any, input: Any, out: Any, dim: int) -> Any:
    """The later gradients times the other factors; by division where no factor is 0."""
    if not len(input.shape):
        return g
    axis = one_dim(dim, len(input.shape))
    if known_or(getattr(input, "_array", input).all(), True):
        return ops.true_divide(_sum_of_later(ops.mul(g, out), axis), input)
    later = backward_recurrence(next_one(input, axis, 0), g, axis)
    return ops.mul(products_before(input, axis), later)


@op()
def logcumsumexp(input: Array, dim: int) -> Array:
    """The logarithm of the running sum of exponentials along ``dim``, which cannot overflow."""
    axis = one_dim(dim, input.ndim)
    if input.dtype not in dt.FLOATING_NUMPY:
        raise UnsupportedError(f"logcumsumexp: not implemented for {dt.of(input)}")
    if not input.ndim or not input.size:
        return input.copy()
    work = wide(input)
    if work.dtype.kind != "c":
        return accumulated(np.logaddexp, work, axis).astype(input.dtype, copy=False)
    rows = np.moveaxis(work, axis, 0)
    out = np.empty_like(rows)
    out[0] = rows[0]
    for place in range(1, len(rows)):
        out[place] = _log_add_exp(out[place - 1], rows[place])
    return np.moveaxis(out, 0, axis)


def _log_add_exp(a: Array, b: Array) -> Array:
    low: Array = np.where(a.real < b.real, a, b)
    high: Array = np.where(a.real < b.real, b, a)
    sums = high + np.log(1 + np.exp(low - high))
    return np.where(np.isfinite(low.real), sums, high)


logcumsumexp.gradient(input=lambda g, input, out, dim: _logcumsumexp_slope(g, input, out, dim))


def _logcumsumexp_slope(g: Any, input: Any, out: Any, dim: int) -> Any:
    """``exp(x[i] - out[i])`` times the later gradients, each shrunk by how much ``out`` has grown until there."""
    if not len(input.shape):
        return g
    axis = one_dim(dim, len(input.shape))
    shrinking = ops.exp(_difference(out, next_one(out, axis, float("inf"))))
    later = backward_recurrence(shrinking, g, axis)
    return ops.mul(ops.exp(_difference(input, out)), later)


def _difference(a: Any, b: Any) -> Any:
    """``a - b``, and 0 for equal infinities."""
    return ops.where(ops.eq(a, b), 0.0, ops.sub(a, b))


@op()
def cummax(input: Array, dim: int) -> Any:
    """The largest element so far along ``dim``, and where it is (the last of equal ones)."""
    return _running_extreme(np.maximum, input, dim, "cummax")


@op()
def cummin(input: Array, dim: int) -> Any:
    """The smallest element so far along ``dim``, and where it is (the last of equal ones)."""
    return _running_extreme(np.minimum, input, dim, "cummin")


def _running_extreme(choose: np.ufunc, input: Array, dim: int, name: str) -> tuple[Array, Array]:
    require_ordered(input, name)
    axis = one_dim(dim, input.ndim)
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64, like=input)
    values = accumulated(choose, input, axis)
    places = np.arange(input.shape[axis], like=input).reshape((-1,) + (1,) * (input.ndim - 1 - axis))
    reached = (input == values) | (input != input)  # a nan is reached anew each time
    return values, accumulated(np.maximum, np.where(reached, places, 0), axis)


for _extreme in (cummax, cummin):
    _extreme.outputs("values", "indices")
    _extreme.gradient(
        input=lambda g_values, input_meta, indices, dim: along_dim_add(
            g_values, indices, input_meta.shape, dim
        )
    )
