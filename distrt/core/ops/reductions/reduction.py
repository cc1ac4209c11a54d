"""Sums over dims and their kin: means, products, counts, all and any, the logarithm of summed exponentials."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, chosen, known_or, summed_to
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.ops.reductions.doubling import products_after, products_before
from distrt.core.ops.shapes.dims import Dims, all_dims, count_over, kept_shape, one_dim, varargs

__all__ = [
    "all",
    "any",
    "count_nonzero",
    "logsumexp",
    "mean",
    "nanmean",
    "nansum",
    "prod",
    "sum",
    "sum_to_shape",
    "sum_to_size",
]

F32, F64 = dt.float32.numpy, dt.float64.numpy

# Half the overhead of np.sum and np.prod; the stubs of `reduce` know no keepdims that is a variable.
add_up: Any = np.add.reduce
multiply_up: Any = np.multiply.reduce


def spread(g: Any, shape: tuple[int, ...], dim: Dims) -> Any:
    """The result of a reduction, or its gradient, repeated over what was reduced."""
    return ops.expand(ops.reshape(g, kept_shape(shape, dim)), shape)


@op()
def sum(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The sum over ``dim`` (all dims for None); bool and integers add up as int64.

    Half precision adds up in float32 and is rounded once.
    """
    if dtype is not None:
        input = input.astype(dt.to_numpy(dtype), copy=False)
    kind = input.dtype
    axes = None if dim is None else all_dims(dim, input.ndim, True)
    if kind is F32 or kind is F64:
        return add_up(input, axis=axes, keepdims=keepdim)
    total = add_up(input, axis=axes, keepdims=keepdim, dtype=_adds_up_in(kind))
    return total.astype(kind, copy=False) if dtype is not None or kind in dt.FLOATING_NUMPY else total


sum.node(lambda node: "Sum" if node.given("dim") is None else "Sum1")
sum.gradient(input=lambda g, input_meta, dim: spread(g, input_meta.shape, dim))


def _adds_up_in(kind: np.dtype[Any]) -> np.dtype[Any]:
    if kind not in dt.FLOATING_NUMPY:
        return dt.int64.numpy
    return F32 if kind.itemsize == 2 else kind


@op()
def sum_to_shape(input: Array, shape: tuple[int, ...]) -> Array:
    """Summed over what broadcasting would repeat, down to ``shape``; half precision as by ``sum``."""
    if not input.size:  # a reshape alone could not tell an empty dim from one that is summed over
        return np.zeros(shape, input.dtype, like=input)
    return summed_to(input, shape)


sum_to_shape.gradient(input=lambda g, input_meta: ops.expand(g, input_meta.shape))


def sum_to_size(input: Any, *size: Any) -> Any:
    """The sum over the dims that broadcasting to the shape of ``input`` would repeat in a tensor of ``size``.

    Raises:
        ShapeError: where such a tensor does not broadcast to that shape.
    """
    wanted, shape = varargs(size), tuple(input.shape)
    fits = zip(reversed(wanted), reversed(shape), strict=False)
    if len(wanted) > len(shape) or builtins.any(want not in (1, have) for want, have in fits):
        raise ShapeError(f"size {list(wanted)} is not expandable to size {list(shape)}.")
    return input if shape and wanted == shape else sum_to_shape(input, wanted)


@op()
def nansum(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The sum over ``dim`` of what is a number.

    Raises:
        DtypeError: for complex numbers.
    """
    if input.dtype.kind == "c":
        raise DtypeError("nansum does not support complex inputs")
    if input.dtype in dt.FLOATING_NUMPY:
        input = chosen(np.isnan(input), input.dtype.type(0), input)
    all_dims(dim, input.ndim)  # named in another order than sum names its faults
    return sum(input, dim, keepdim, dtype=dtype)


nansum.gradient(
    input=lambda g, input, dim: ops.mul(spread(g, tuple(input.shape), dim), ops.logical_not(ops.isnan(input)))
)


@op()
def mean(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The mean over ``dim`` (all dims for None).

    Raises:
        DtypeError: for integers, which have no mean of their own dtype.
    """
    if dtype is not None:
        input = input.astype(_floating(dtype, "Optional dtype"), copy=False)
    kind = input.dtype
    if kind is not F32 and kind is not F64:
        _floating(dt.of(input), "Input dtype")
    axes = None if dim is None else all_dims(dim, input.ndim, True)
    total = add_up(input, axis=axes, keepdims=keepdim, dtype=F32 if kind.itemsize == 2 else None)
    count = input.size if axes is None else count_over(input.shape, axes) if axes else 1
    return np.true_divide(total, count).astype(kind, copy=False)


def _floating(dtype: Any, what: str) -> np.dtype[Any]:
    found = dt.to_numpy(dtype)
    if found not in dt.FLOATING_NUMPY:
        raise DtypeError(
            f"mean(): could not infer output dtype. {what} must be either a floating point or complex dtype. "
            f"Got: {scalar_type(np.empty(0, found))}"
        )
    return found


mean.node(lambda node: "Mean" if node.given("dim") is None else "Mean1")
mean.gradient(
    input=lambda g, input_meta, dim: ops.mul(
        spread(g, input_meta.shape, dim), 1 / (count_over(input_meta.shape, dim) or 1)
    )
)


@takes_out
def nanmean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over ``dim`` of what is a number; nan where nothing is.

    Raises:
        DtypeError: for integers.
    """
    if input.dtype.category < 2:
        raise DtypeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype}"
        )
    counted = sum(ops.logical_not(ops.isnan(input)), dim, keepdim)
    return ops.true_divide(nansum(input, dim, keepdim, dtype=dtype), counted)


@op(autocast="full")
def prod(input: Array, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The product along ``dim`` (of all elements for None); bool and integers multiply as int64."""
    if dtype is not None:
        input = input.astype(dt.to_numpy(dtype), copy=False)
    kind = input.dtype
    axis = None if dim is None or not input.ndim else one_dim(dim, input.ndim)
    if dim is not None and not input.ndim:
        one_dim(dim, 0)
    product = multiply_up(input, axis=axis, keepdims=keepdim, dtype=_adds_up_in(kind))
    return product.astype(kind, copy=False) if dtype is not None or kind in dt.FLOATING_NUMPY else product


prod.node(lambda node: "Prod" if node.given("dim") is None else "Prod1")
prod.gradient(input=lambda g, input, out, dim: _prod_slope(g, input, out, dim))


def _prod_slope(g: Any, input: Any, out: Any, dim: int | None) -> Any:
    """The product of the other elements; by division where none of them is 0."""
    shape = tuple(input.shape)
    if not shape:
        return g
    if known_or(getattr(input, "_array", input).all(), True):
        return ops.mul(spread(g, shape, dim), ops.true_divide(spread(out, shape, dim), input))
    axis = 0 if dim is None else one_dim(dim, len(shape))
    rows = ops.reshape(input, (-1,)) if dim is None else input
    others = ops.mul(products_before(rows, axis), products_after(rows, axis))
    return ops.mul(spread(g, shape, dim), ops.reshape(others, shape))


@op()
def all(input: IndexArray, dim: Dims = None, keepdim: bool = False) -> Array:
    """True where every element over ``dim`` is non-zero; uint8 gives uint8."""
    return _as_truth("all", input, dim, keepdim)


@op()
def any(input: IndexArray, dim: Dims = None, keepdim: bool = False) -> Array:
    """True where some element over ``dim`` is non-zero; uint8 gives uint8."""
    return _as_truth("any", input, dim, keepdim)


def _as_truth(how: str, input: Array, dim: Dims, keepdim: bool) -> Array:
    axes = None if dim is None else () if dim == () else all_dims(dim, input.ndim, True)
    # By an array's own method: CuPy has ``ufunc.reduce`` of sums and products only.
    found = getattr(input.astype(np.bool_, copy=False), how)(axis=axes, keepdims=keepdim)
    return found.astype(np.uint8) if input.dtype == np.uint8 else found


@op()
def count_nonzero(input: IndexArray, dim: Dims = None) -> Array:
    """How many elements over ``dim`` are not 0."""
    return add_up(input.astype(np.bool_, copy=False), axis=all_dims(dim, input.ndim, True), dtype=np.int64)


@op(dtype="float")
def logsumexp(input: Array, dim: Dims, keepdim: bool = False) -> Array:
    """The logarithm of the sum of exponentials over ``dim``, shifted by the maximum so that it cannot overflow."""
    axes = all_dims(dim, input.ndim, True)
    work = wide(input)
    shown = work.real
    if not input.size:
        return np.log(np.exp(work).sum(axis=axes, keepdims=keepdim)).astype(input.dtype, copy=False)
    top = shown.max(axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    total = np.log(np.exp(work - top).sum(axis=axes, keepdims=True)) + top
    return (total if keepdim else total.squeeze(axes)).astype(input.dtype, copy=False)


logsumexp.gradient(input=lambda g, input, out, dim: _logsumexp_slope(g, input, out, dim))


def _logsumexp_slope(g: Any, input: Any, out: Any, dim: Dims) -> Any:
    shape = tuple(input.shape)
    return ops.mul(spread(g, shape, dim), ops.exp(ops.sub(input, spread(out, shape, dim))))
