"""Comparison and choice, element by element. The inputs promote; comparisons give bools and have no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar
from distrt.core.op import IndexArray, op


@op(dtype="promote")
def eq(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input == other``, element by element."""
    return np.equal(input, other)


@op(dtype="promote")
def ne(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input != other``, element by element."""
    return np.not_equal(input, other)


@op(dtype="promote")
def lt(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input < other``, element by element."""
    return np.less(input, other)


@op(dtype="promote")
def le(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input <= other``, element by element."""
    return np.less_equal(input, other)


@op(dtype="promote")
def gt(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input > other``, element by element."""
    return np.greater(input, other)


@op(dtype="promote")
def ge(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input >= other``, element by element."""
    return np.greater_equal(input, other)


@op()
def logical_not(input: IndexArray) -> Array:
    """True where the element is zero."""
    return np.logical_not(input)


@op()
def logical_and(input: IndexArray, other: IndexArray) -> Array:
    """True where both elements are non-zero."""
    return np.logical_and(input, other)


@op()
def logical_or(input: IndexArray, other: IndexArray) -> Array:
    """True where either element is non-zero."""
    return np.logical_or(input, other)


@op()
def isnan(input: IndexArray) -> Array:
    """True where the element is not a number."""
    return np.isnan(input)


@op()
def isfinite(input: IndexArray) -> Array:
    """True where the element is neither infinite nor not a number."""
    return np.isfinite(input)


@op(dtype="promote")
def _where(input: Array | Scalar, other: Array | Scalar, condition: IndexArray) -> Array:
    """``input`` where ``condition``, else ``other``. Shape: broadcasts."""
    return np.where(condition, input, other)


_where.gradient(
    input=lambda g, condition: where(condition, g, 0.0), other=lambda g, condition: where(condition, 0.0, g)
)


def where(condition: Any, input: Any, other: Any) -> Any:
    """``input`` where ``condition`` is true, else ``other``. Shape: the three broadcast."""
    return _where(input, other, condition)
