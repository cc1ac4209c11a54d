"""Operations that make fewer elements out of many: sums, means, extremes."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.dims import all_dims, one_dim

__all__ = [
    "all",
    "along_dim_pick",
    "along_dim_scatter",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "norm",
    "std",
    "sum",
    "sum_to_shape",
    "var",
]

Dims = int | Sequence[int] | None


def _keep_shape(shape: tuple[int, ...], dim: Dims) -> tuple[int, ...]:
    """``shape`` with the reduced dims as 1."""
    reduced = all_dims(dim, len(shape))
    return tuple(1 if n in reduced else size for n, size in enumerate(shape))


def _spread(g: Any, shape: tuple[int, ...], dim: Dims) -> Any:
    """The gradient of a reduction, repeated over what was reduced."""
    return ops.expand(ops.reshape(g, _keep_shape(shape, dim)), shape)


@op()
def sum(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The sum over ``dim`` (all dims for None); bool and integers add up as int64.

    Half precision adds up in float32 and is rounded once.
    """
    if dtype is not None:
        input = input.astype(dt.to_numpy(dtype), copy=False)
    axes = all_dims(dim, input.ndim)
    if input.dtype not in dt.FLOATING_NUMPY:
        return np.sum(input, axis=axes, keepdims=keepdim, dtype=np.int64)
    if input.dtype.itemsize == 2:
        return np.sum(input.astype(np.float32), axis=axes, keepdims=keepdim).astype(input.dtype)
    return np.sum(input, axis=axes, keepdims=keepdim)


sum.gradient(input=lambda g, input_meta, dim: _spread(g, input_meta.shape, dim))


@op()
def sum_to_shape(input: Array, shape: tuple[int, ...]) -> Array:
    """Summed over what broadcasting would repeat, down to ``shape``."""
    extra = input.ndim - len(shape)
    stretched = tuple(extra + n for n, size in enumerate(shape) if size == 1 and input.shape[extra + n] != 1)
    return input.sum(axis=(*range(extra), *stretched), keepdims=True).reshape(shape)


sum_to_shape.gradient(input=lambda g, input_meta: ops.expand(g, input_meta.shape))


def _count(shape: tuple[int, ...], dim: Dims) -> int:
    return math.prod(shape[each] for each in all_dims(dim, len(shape)))


@op()
def mean(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The mean over ``dim`` (all dims for None).

    Raises:
        DtypeError: for integers, which have no mean of their own dtype.
    """
    if dtype is not None:
        input = input.astype(dt.to_numpy(dtype), copy=False)
    if input.dtype not in dt.FLOATING_NUMPY:
        raise DtypeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {dt.of(input)}"
        )
    if input.dtype.itemsize == 2:
        return np.mean(input, axis=all_dims(dim, input.ndim), keepdims=keepdim, dtype=np.float32).astype(
            input.dtype
        )
    return np.mean(input, axis=all_dims(dim, input.ndim), keepdims=keepdim)


mean.gradient(
    input=lambda g, input_meta, dim: ops.mul(
        _spread(g, input_meta.shape, dim), 1 / (_count(input_meta.shape, dim) or 1)
    )
)


@op()
def _var(input: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    """The variance over ``dim``, divided by ``n - correction``."""
    if input.dtype not in dt.FLOATING_NUMPY:
        raise DtypeError(f"std and var only support floating point and complex dtypes; got {dt.of(input)}")
    axes = all_dims(dim, input.ndim)
    count = _count(input.shape, dim)
    work = input.astype(np.float32) if input.dtype.itemsize == 2 else input
    squares = np.square(work - work.mean(axis=axes, keepdims=True)).sum(axis=axes, keepdims=keepdim)
    divisor = np.asarray(builtins.max(0.0, count - correction), work.dtype)
    return np.true_divide(squares, divisor).astype(input.dtype)


_var.gradient(
    input=lambda g, input, dim, correction: ops.mul(
        _spread(g, tuple(input.shape), dim),
        ops.mul(
            ops.sub(input, mean(input, dim, True)),
            2 / builtins.max(1e-300, _count(tuple(input.shape), dim) - correction),
        ),
    )
)


def var(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The variance over ``dim``: unbiased (divided by n - 1) unless said otherwise."""
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1.0 if unbiased in (None, True) else 0.0
    return _var(input, dim, correction, keepdim)


def std(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The standard deviation over ``dim``: unbiased unless said otherwise."""
    return ops.sqrt(var(input, dim, unbiased, keepdim, correction=correction))


def _with_elements(input: Array, dim: Dims, name: str) -> tuple[int, ...]:
    """The dims to reduce.

    Raises:
        DimensionError: where there is no element to choose from.
    """
    dims = all_dims(dim, input.ndim)
    for each in dims:
        if input.shape[each] == 0:
            raise DimensionError(f"{name}(): Expected reduction dim {each} to have non-zero size.")
    return dims


@op()
def amax(input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """The largest element over ``dim``; equal ones share the gradient."""
    return np.max(input, axis=_with_elements(input, dim, "amax"), keepdims=keepdim)


@op()
def amin(input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """The smallest element over ``dim``; equal ones share the gradient."""
    return np.min(input, axis=_with_elements(input, dim, "amin"), keepdims=keepdim)


def _shared_among_equals(g: Any, input: Any, out: Any, dim: Dims) -> Any:
    shape = tuple(input.shape)
    dtype = np.dtype(g._array.dtype if hasattr(g, "_array") else g.dtype)
    chosen = ops.to_dtype(ops.eq(input, _spread(out, shape, dim)), dtype)
    return ops.mul(_spread(g, shape, dim), ops.true_divide(chosen, sum(chosen, dim, True)))


amax.gradient(input=lambda g, input, out, dim: _shared_among_equals(g, input, out, dim))
amin.gradient(input=lambda g, input, out, dim: _shared_among_equals(g, input, out, dim))


@op()
def _max_dim(input: Array, dim: int, keepdim: bool) -> Any:
    """The largest elements along ``dim`` and where they are (the first of equal ones)."""
    return _pick(input, np.argmax, dim, keepdim, "max")


@op()
def _min_dim(input: Array, dim: int, keepdim: bool) -> Any:
    """The smallest elements along ``dim`` and where they are (the first of equal ones)."""
    return _pick(input, np.argmin, dim, keepdim, "min")


def _pick(input: Array, find: Any, dim: int, keepdim: bool, name: str) -> tuple[Array, Array]:
    axis = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return input, np.zeros((), np.int64)
    _with_elements(input, dim, name)
    where = find(input, axis=axis)
    kept = np.expand_dims(where, axis)
    values = np.take_along_axis(input, kept, axis)
    return (values, kept) if keepdim else (values.squeeze(axis), where)


@op()
def along_dim_scatter(input: Array, indices: IndexArray, shape: tuple[int, ...], dim: int) -> Array:
    """Zeros of ``shape`` with ``input`` put along ``dim`` at ``indices``: the derivative of picking one per row."""
    scattered = np.zeros(shape, input.dtype)
    if not shape:
        return input
    np.put_along_axis(scattered, indices, input, one_dim(dim, len(shape)))
    return scattered


@op()
def along_dim_pick(input: Array, indices: IndexArray, dim: int) -> Array:
    """The elements along ``dim`` at ``indices``."""
    return np.take_along_axis(input, indices, one_dim(dim, input.ndim)) if input.ndim else input


along_dim_scatter.gradient(input=lambda g, indices, dim: along_dim_pick(g, indices, dim))
along_dim_pick.gradient(
    input=lambda g, indices, input_meta, dim: along_dim_scatter(g, indices, input_meta.shape, dim)
)


for _extreme in (_max_dim, _min_dim):
    _extreme.outputs("values", "indices")
    _extreme.gradient(
        input=lambda g_values, input_meta, indices, dim, keepdim: along_dim_scatter(
            g_values if keepdim or not input_meta.shape else ops.unsqueeze(g_values, dim),
            indices if keepdim or not input_meta.shape else ops.unsqueeze(indices, dim),
            input_meta.shape,
            dim,
        )
    )


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with ``dim``, (values, indices) along it; with a tensor, ``maximum`` of the two."""
    return _extreme_of(input, dim, keepdim, amax, _max_dim, ops.maximum)


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with ``dim``, (values, indices) along it; with a tensor, ``minimum`` of the two."""
    return _extreme_of(input, dim, keepdim, amin, _min_dim, ops.minimum)


def _extreme_of(input: Any, dim: Any, keepdim: bool, of_all: Any, along: Any, of_two: Any) -> Any:
    if dim is None:
        if input.numel() == 0:
            raise ShapeError(
                "max(), min(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
                "dim with the 'dim' argument."
            )
        return of_all(input)
    return along(input, dim, keepdim) if isinstance(dim, int) else of_two(input, dim)


def _arg(input: Array, dim: int | None, keepdim: bool, find: Any) -> Array:
    if dim is None:
        found = find(input)
        return np.reshape(found, (1,) * input.ndim) if keepdim else found
    if input.ndim == 0:
        return np.zeros((), np.int64)
    return find(input, axis=one_dim(dim, input.ndim), keepdims=keepdim)


@op()
def argmax(input: IndexArray, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the largest element is: along ``dim``, or in the flattened tensor."""
    return _arg(_non_empty(input, "argmax"), dim, keepdim, np.argmax)


@op()
def argmin(input: IndexArray, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the smallest element is: along ``dim``, or in the flattened tensor."""
    return _arg(_non_empty(input, "argmin"), dim, keepdim, np.argmin)


def _non_empty(input: Array, name: str) -> Array:
    if input.size == 0:
        raise DimensionError(
            f"{name}(): expected a tensor with elements, got one of shape {list(input.shape)}"
        )
    return input


@op()
def all(input: IndexArray, dim: Dims = None, keepdim: bool = False) -> Array:
    """True where every element over ``dim`` is non-zero."""
    return np.all(input, axis=all_dims(dim, input.ndim), keepdims=keepdim)


@op()
def any(input: IndexArray, dim: Dims = None, keepdim: bool = False) -> Array:
    """True where some element over ``dim`` is non-zero."""
    return np.any(input, axis=all_dims(dim, input.ndim), keepdims=keepdim)


@op(node="LinalgVectorNorm")
def _norm2(input: Array, dim: Dims, keepdim: bool) -> Array:
    """The square root of the sum of squares over ``dim``."""
    work = input.astype(np.float32) if input.dtype.itemsize == 2 else input
    return np.sqrt(np.sum(np.square(work), axis=all_dims(dim, input.ndim), keepdims=keepdim)).astype(
        input.dtype
    )


_norm2.gradient(
    input=lambda g, input, out, dim: ops.mul(
        input,
        _spread(
            ops.where(ops.eq(out, 0), 0.0, ops.true_divide(g, ops.where(ops.eq(out, 0), 1.0, out))),
            tuple(input.shape),
            dim,
        ),
    )
)


def norm(input: Any, p: Any = "fro", dim: Dims = None, keepdim: bool = False) -> Any:
    """The p-norm over ``dim`` (all elements for None); 2 and "fro" are the Euclidean one."""
    if p in (2, 2.0, "fro", None):
        return _norm2(input, dim, keepdim)
    if p == math.inf:
        return amax(ops.abs(input), dim, keepdim)
    if p == 1:
        return sum(ops.abs(input), dim, keepdim)
    if isinstance(p, str):
        raise RuntimeError(f"norm: p must be a number or 'fro', got {p!r}")
    return ops.pow(sum(ops.pow(ops.abs(input), p), dim, keepdim), 1 / p)
