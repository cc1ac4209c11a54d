"""Comparison and choice, element by element. The inputs promote; comparisons give bools and have no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar
from distrt.core.op import IndexArray, op

__all__ = [
    "eq",
    "ge",
    "gt",
    "isfinite",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "ne",
    "where",
    "zero_unless",
]


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


@op()
def zero_unless(input: Array, condition: IndexArray) -> Array:
    """``input`` where ``condition``, else 0, whatever the value was (inf and nan too). Shape: broadcasts.

    The bits are masked. Where the condition follows no pattern, choosing element by element (``np.where``) takes six
    times as long, 135 against 26 us for 32,768 floats; a multiplication would turn inf into nan.
    """
    if input.dtype.itemsize > 8:
        return np.where(condition, input, np.zeros((), input.dtype))
    bits = np.dtype(f"u{input.dtype.itemsize}")
    mask = np.asarray(condition).astype(np.bool_, copy=False).astype(bits)
    mask = np.negative(mask, out=mask)  # 1 becomes all ones
    return np.bitwise_and(input.view(bits), mask).view(input.dtype)


zero_unless.gradient(input=lambda g, condition: zero_unless(g, condition))


@op(dtype="promote")
def _where(input: Array | Scalar, other: Array | Scalar, condition: IndexArray) -> Array:
    """``input`` where ``condition``, else ``other``. Shape: broadcasts."""
    return np.where(condition, input, other)


_where.gradient(
    input=lambda g, condition: zero_unless(g, condition),
    other=lambda g, condition: zero_unless(g, logical_not(condition)),
)


def where(condition: Any, input: Any, other: Any) -> Any:
    """``input`` where ``condition`` is true, else ``other``. Shape: the three broadcast."""
    return _where(input, other, condition)
