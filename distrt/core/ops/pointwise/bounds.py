"""The larger and the smaller of two, and elements that are moved between bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar, require_array
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes.promotion import fitted, result_dtype
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import op
from distrt.core.ops.pointwise.arithmetic import mul
from distrt.core.ops.pointwise.comparison import (
    eq,
    ge,
    gt,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    lt,
    where,
    zero_unless,
)
from distrt.core.ops.pointwise.half import refuse

__all__ = [
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "fmax",
    "fmin",
    "maximum",
    "minimum",
]


def _refuse_complex(operation: str, input: Array) -> None:
    if input.dtype.kind == "c":
        raise DtypeError(f"{operation} not implemented for complex tensors.")


@op(dtype="promote")
def maximum(input: Array, other: Array) -> Array:
    """The larger of two elements; where they are equal, both get half of the gradient. Shape: broadcasts."""
    _refuse_complex("maximum", input)
    return np.maximum(input, other)


@op(dtype="promote")
def minimum(input: Array, other: Array) -> Array:
    """The smaller of two elements; where they are equal, both get half of the gradient. Shape: broadcasts."""
    _refuse_complex("minimum", input)
    return np.minimum(input, other)


def _unless_beaten(g: Any, beaten: Any, input: Any, other: Any) -> Any:
    """The gradient of the winner, a half of it where there are two; both get it all where one is nan."""
    tied = eq(input, other)
    return zero_unless(where(tied, mul(g, 0.5), g), logical_not(beaten))


maximum.gradient(
    input=lambda g, input, other: _unless_beaten(g, lt(input, other), input, other),
    other=lambda g, input, other: _unless_beaten(g, gt(input, other), input, other),
)
minimum.gradient(
    input=lambda g, input, other: _unless_beaten(g, gt(input, other), input, other),
    other=lambda g, input, other: _unless_beaten(g, lt(input, other), input, other),
)


@op(dtype="promote")
def fmax(input: Array, other: Array) -> Array:
    """The larger of two elements; a number wins over nan. Shape: broadcasts."""
    _refuse_complex("fmax", input)
    return np.fmax(input, other)


@op(dtype="promote")
def fmin(input: Array, other: Array) -> Array:
    """The smaller of two elements; a number wins over nan. Shape: broadcasts."""
    _refuse_complex("fmin", input)
    return np.fmin(input, other)


def _first_wins(ahead: Any, other: Any) -> Any:
    return logical_or(ahead, isnan(other))


fmax.gradient(
    input=lambda g, input, other: zero_unless(g, _first_wins(ge(input, other), other)),
    other=lambda g, input, other: zero_unless(g, logical_not(_first_wins(ge(input, other), other))),
)
fmin.gradient(
    input=lambda g, input, other: zero_unless(g, _first_wins(le(input, other), other)),
    other=lambda g, input, other: zero_unless(g, logical_not(_first_wins(le(input, other), other))),
)


# Bounds: numbers, or tensors that broadcast and have gradients of their own


@takes_out
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Each element, moved into [min, max]: numbers or tensors, either of which may be left out. Shape: broadcasts.

    Raises:
        RuntimeError: where both are left out.
    """
    if min is None and max is None:
        raise ShapeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    for name, given in (("input", input), ("min", min), ("max", max)):
        array = getattr(given, "_array", given)
        if name == "input":
            require_array("clamp", name, array)
        refuse("clamp", array if hasattr(array, "dtype") else np.asarray(array), "c")
    given_bounds = [bound for bound in (min, max) if bound is not None]
    tensors = [bound for bound in given_bounds if hasattr(bound, "shape")]
    if not tensors:
        return _clamp(input, min, max)
    if len(tensors) == len(given_bounds):
        if max is None:
            return _at_least(input, min)
        return _at_most(input, max) if min is None else _between(input, min, max)
    if tensors[0].ndim:
        raise TypeError("clamp(): 'min' and 'max' must both be Tensors or both be Numbers")
    return _clamp(input, *[bound.item() if hasattr(bound, "shape") else bound for bound in (min, max)])


def clamp_min(input: Any, min: Any, *, out: Any = None) -> Any:
    """Each element, or ``min`` (a number or a tensor) where that is larger. Shape: broadcasts."""
    if min is None:
        raise TypeError("clamp_min(): argument 'min' must be Number or Tensor, not NoneType")
    return clamp(input, min, None, out=out)


def clamp_max(input: Any, max: Any, *, out: Any = None) -> Any:
    """Each element, or ``max`` (a number or a tensor) where that is smaller. Shape: broadcasts."""
    if max is None:
        raise TypeError("clamp_max(): argument 'max' must be Number or Tensor, not NoneType")
    return clamp(input, None, max, out=out)


clip = clamp


@op(node="Clamp1")
def _clamp(input: Array, min: Scalar | None, max: Scalar | None) -> Array:
    """Each element, moved into [min, max]; the bounds are numbers."""
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, bool | int | float | np.generic):
            raise TypeError(
                f"clamp(): argument '{name}' must be Number or Tensor, not {type(bound).__name__}"
            )
    dtype = result_dtype(input, *[bound for bound in (min, max) if bound is not None])
    bounded = input.astype(dtype, copy=False)
    refuse("clamp", bounded, "b")
    if min is not None:
        bounded = np.maximum(bounded, fitted(min, dtype)[()])
    return bounded if max is None else np.minimum(bounded, fitted(max, dtype)[()])


_clamp.gradient(input=lambda g, input, min, max: zero_unless(g, _within(input, min, max)))


def _within(input: Any, low: Any, high: Any) -> Any:
    """Where the input lies within the bounds, which arrays meet in their own dtype, as in the forward pass."""
    if not hasattr(input, "_array"):
        low, high = (
            bound if bound is None else np.asarray(bound, input.dtype, like=input) for bound in (low, high)
        )
    if low is None:
        return le(input, high)
    return ge(input, low) if high is None else logical_and(ge(input, low), le(input, high))


@op(dtype="promote", node="ClampMin")
def _at_least(input: Array | Scalar, min: Array | Scalar) -> Array:
    """The larger of two; where they are equal, ``input`` gets the gradient. Shape: broadcasts."""
    return np.maximum(input, min)


_at_least.gradient(
    input=lambda g, input, min: zero_unless(g, ge(input, min)),
    min=lambda g, input, min: zero_unless(g, lt(input, min)),
)


@op(dtype="promote", node="ClampMax")
def _at_most(input: Array | Scalar, max: Array | Scalar) -> Array:
    """The smaller of two; where they are equal, ``input`` gets the gradient. Shape: broadcasts."""
    return np.minimum(input, max)


_at_most.gradient(
    input=lambda g, input, max: zero_unless(g, le(input, max)),
    max=lambda g, input, max: zero_unless(g, gt(input, max)),
)


@op(dtype="promote", node="Clamp")
def _between(input: Array, min: Array, max: Array) -> Array:
    """``input`` between two tensors; ``max`` where they cross. Shape: broadcasts."""
    refuse("clamp", input, "b")
    return np.minimum(np.maximum(input, min), max)


_between.gradient(
    input=lambda g, input, min, max: zero_unless(g, _within(input, min, max)),
    min=lambda g, input, min, max: zero_unless(g, logical_and(lt(input, min), lt(min, max))),
    max=lambda g, input, min, max: zero_unless(g, logical_or(gt(input, max), lt(max, min))),
)
