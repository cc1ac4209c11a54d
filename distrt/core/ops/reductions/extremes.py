"""The largest and the smallest elements over dims, and where they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, is_on_gpu, known
from distrt.core.definitions.out import write_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DimensionError, DtypeError, ShapeError, UnsupportedError
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.along_dim import along_dim_scatter
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.reductions.reduction import spread
from distrt.core.ops.shapes.dims import Dims, all_dims, one_dim
from distrt.core.tensor import Tensor

__all__ = [
    "amax",
    "amin",
    "aminmax",
    "argmax",
    "argmin",
    "max",
    "min",
]


def with_elements(input: Array, dim: Dims, name: str) -> tuple[int, ...]:
    """The dims to reduce.

    Raises:
        DimensionError: where there is no element to choose from.
        ShapeError: the same, for all elements of an empty tensor.
    """
    dims = all_dims(dim, input.ndim, True)
    if not input.size:
        if dim is None or dim == ():
            raise (DimensionError if name.startswith("arg") else ShapeError)(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
                "with the 'dim' argument."
            )
        for each in dims:
            if input.shape[each] == 0:
                raise DimensionError(f"{name}(): Expected reduction dim {each} to have non-zero size.")
    return dims


def require_ordered(input: Array, name: str, error: type[Exception] = UnsupportedError) -> None:
    """Raises ``error`` for complex numbers, of which none is the larger one."""
    if input.dtype.kind == "c":
        raise error(f"{name}(): not implemented for {dt.of(input)}: complex numbers have no order")


@op()
def amax(input: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """The largest element over ``dim``; equal ones share the gradient."""
    require_ordered(input, "amax")
    return input.max(axis=with_elements(input, dim, "amax"), keepdims=keepdim)


@op()
def amin(input: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """The smallest element over ``dim``; equal ones share the gradient."""
    require_ordered(input, "amin")
    return input.min(axis=with_elements(input, dim, "amin"), keepdims=keepdim)


def _shared_among_equals(g: Any, input: Any, out: Any, dim: Dims) -> Any:
    """The gradient of what was chosen by value, in equal parts to all elements of that value."""
    shape = tuple(input.shape)
    chosen = ops.to_dtype(ops.eq(input, spread(out, shape, dim)), getattr(g, "_array", g).dtype)
    return ops.mul(spread(g, shape, dim), ops.true_divide(chosen, ops.sum(chosen, dim, True)))


amax.gradient(input=lambda g, input, out, dim: _shared_among_equals(g, input, out, dim))
amin.gradient(input=lambda g, input, out, dim: _shared_among_equals(g, input, out, dim))


@op()
def aminmax(input: Array, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element along ``dim`` (of all elements for None)."""
    require_ordered(input, "aminmax")
    if not input.size and dim is None:
        raise ShapeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    axes = with_elements(input, dim, "aminmax")
    return input.min(axis=axes, keepdims=keepdim), input.max(axis=axes, keepdims=keepdim)


aminmax.outputs("min", "max")
aminmax.gradient(
    input=lambda g_min, g_max, input, min, max, dim: _of_both(g_min, g_max, input, min, max, dim)
)


def _of_both(g_min: Any, g_max: Any, input: Any, low: Any, high: Any, dim: int | None) -> Any:
    if g_min is None:
        return _shared_among_equals(g_max, input, high, dim)
    of_low = _shared_among_equals(g_min, input, low, dim)
    return of_low if g_max is None else ops.add(of_low, _shared_among_equals(g_max, input, high, dim))


@op(node="Max1")
def _max_all(input: Array) -> Array:
    """The largest of all elements."""
    return _some(input, "max").max()


@op(node="Min1")
def _min_all(input: Array) -> Array:
    """The smallest of all elements."""
    return _some(input, "min").min()


def _some(input: Array, name: str) -> Array:
    require_ordered(input, name)
    if not input.size:
        with_elements(input, None, name)
    return input


def shared_among_all_equals(g: Any, input: Any, out: Any) -> Any:
    """As for ``amax`` over all dims; where the value is nan, the nans share the gradient."""
    chosen, best = ops.eq(input, out), getattr(out, "_array", out)
    if is_on_gpu(best) or known(np.isnan(best)):  # the program does not wait for a GPU to know it
        chosen = ops.logical_or(chosen, ops.logical_and(ops.isnan(input), ops.isnan(out)))
    parts = ops.to_dtype(chosen, getattr(g, "_array", g).dtype)
    return ops.mul(ops.true_divide(g, ops.sum(parts)), parts)


_max_all.gradient(input=lambda g, input, out: shared_among_all_equals(g, input, out))
_min_all.gradient(input=lambda g, input, out: shared_among_all_equals(g, input, out))


@op(node="Max")
def _max_dim(input: Array, dim: int, keepdim: bool) -> Any:
    """The largest elements along ``dim`` and where they are (the first of equal ones)."""
    return _pick(input, np.argmax, dim, keepdim, "max")


@op(node="Min")
def _min_dim(input: Array, dim: int, keepdim: bool) -> Any:
    """The smallest elements along ``dim`` and where they are (the first of equal ones)."""
    return _pick(input, np.argmin, dim, keepdim, "min")


def _pick(input: Array, find: Any, dim: int, keepdim: bool, name: str) -> tuple[Array, Array]:
    axis = one_dim(dim, input.ndim)
    require_ordered(input, name, DtypeError)
    if input.ndim == 0:
        return input.copy(), np.zeros((), np.int64, like=input)
    with_elements(input, axis, name)
    return picked(input, _first(find, wide(input), axis, True), axis, keepdim)


def picked(input: Array, where: Array, axis: int, keepdim: bool) -> tuple[Array, Array]:
    """The elements at ``where``, which has size 1 along ``axis``, and ``where`` itself."""
    values = np.take_along_axis(input, where, axis)
    return (values, where) if keepdim else (values.squeeze(axis), where.squeeze(axis))


def route(g: Any, indices: Any, shape: tuple[int, ...], dim: int, keepdim: bool) -> Any:
    """The gradient of one element per row, put where that element came from."""
    if not keepdim and shape:
        g, indices = ops.unsqueeze(g, dim), ops.unsqueeze(indices, dim)
    return along_dim_scatter(g, indices, shape, dim)


for _extreme in (_max_dim, _min_dim):
    _extreme.outputs("values", "indices")
    _extreme.gradient(
        input=lambda g_values, input_meta, indices, dim, keepdim: route(
            g_values, indices, input_meta.shape, dim, keepdim
        )
    )


def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None) -> Any:
    """The largest element; with ``dim``, (values, indices) along it; with a tensor, ``maximum`` of the two."""
    result = _one_of_three(_max_all, _max_dim, ops.maximum, input, dim, keepdim, other)
    return result if out is None else write_out("max", result, out)


def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None) -> Any:
    """The smallest element; with ``dim``, (values, indices) along it; with a tensor, ``minimum`` of the two."""
    result = _one_of_three(_min_all, _min_dim, ops.minimum, input, dim, keepdim, other)
    return result if out is None else write_out("min", result, out)


def _one_of_three(
    of_all: Any, along: Any, of_two: Any, input: Any, dim: Any, keepdim: bool, other: Any
) -> Any:
    if dim is None and other is None:
        return of_all(input)
    if other is None and not isinstance(dim, Tensor):
        return along(input, dim, keepdim)
    return of_two(input, dim if other is None else other)


@op()
def argmax(input: IndexArray, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the largest element is (the first of equal ones): along ``dim``, or in the flattened tensor."""
    return _arg(input, dim, keepdim, np.argmax, "argmax")


@op()
def argmin(input: IndexArray, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the smallest element is (the first of equal ones): along ``dim``, or in the flattened tensor."""
    return _arg(input, dim, keepdim, np.argmin, "argmin")


def _arg(input: Array, dim: int | None, keepdim: bool, find: Any, name: str) -> Array:
    if input.dtype.kind in "bc":
        raise DtypeError(f"{name}(): does not support a tensor of bools or complex numbers")
    with_elements(input, dim, name)
    if dim is None or not input.ndim:
        found = _first(find, wide(input), None, False)
        return np.reshape(found, (1,) * input.ndim) if keepdim else found
    return _first(find, wide(input), one_dim(dim, input.ndim), keepdim)


def _first(find: Any, values: Array, axis: int | None, keepdims: bool) -> Array:
    """``np.argmax`` or ``np.argmin``; CuPy's give any nan of several, where the first is meant."""
    found = find(values, axis=axis, keepdims=keepdims)
    if values.dtype.kind != "f" or not is_on_gpu(values):
        return found
    lost = np.isnan(values)
    return np.where(lost.any(axis=axis, keepdims=keepdims), lost.argmax(axis=axis, keepdims=keepdims), found)
