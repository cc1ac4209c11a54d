"""The four operations of arithmetic and what goes with them: copies, conversion, remainder, square."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar, array_module
from distrt.core.errors import DtypeError
from distrt.core.op import op
from distrt.core.ops.comparison import zero_unless

__all__ = [
    "add",
    "clone",
    "contiguous",
    "div",
    "floor_divide",
    "identity",
    "mul",
    "neg",
    "remainder",
    "square",
    "sub",
    "to_dtype",
    "true_divide",
]


@op()
def identity(input: Array) -> Array:
    """The same values, as a new place in the graph."""
    return input


identity.gradient(input=lambda g: g)


@op(node="ToCopy")
def to_dtype(input: Array, dtype: Any) -> Array:
    """The values in another dtype (a NumPy one)."""
    return input.astype(dtype)


to_dtype.gradient(input=lambda g: g)


@op()
def clone(input: Array) -> Array:
    """A copy, in row-major order."""
    return array_module(input).array(input, order="C")


clone.gradient(input=lambda g: g)


def contiguous(input: Any) -> Any:
    """The tensor itself where its elements stand in row-major order, else a copy in that order."""
    array = getattr(input, "_array", input)
    return input if array.flags.c_contiguous else clone(input)


@op()
def neg(input: Array) -> Array:
    """``-input``."""
    if input.dtype == np.bool_:
        raise DtypeError(
            "Negation, the `-` operator, on a bool tensor is not supported; use `~` or logical_not()"
        )
    return np.negative(input)


neg.gradient(input=lambda g: neg(g))


@op(dtype="promote", autocast="widest")
def mul(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input * other``. Shape: broadcasts."""
    return np.multiply(input, other)


mul.gradient(input=lambda g, other: mul(g, other), other=lambda g, input: mul(g, input))


@op(dtype="promote", autocast="widest")
def add(input: Array | Scalar, other: Array | Scalar, *, alpha: Scalar = 1) -> Array:
    """``input + alpha * other``. Shape: broadcasts."""
    return np.add(input, other if alpha == 1 else _scaled(other, alpha))


def _scaled(other: Any, alpha: Scalar) -> Array:
    return np.multiply(other, alpha).astype(other.dtype)


add.gradient(input=lambda g: g, other=lambda g, alpha: g if alpha == 1 else mul(g, alpha))


@op(dtype="promote", autocast="widest")
def sub(input: Array | Scalar, other: Array | Scalar, *, alpha: Scalar = 1) -> Array:
    """``input - alpha * other``. Shape: broadcasts."""
    if getattr(input, "dtype", None) == np.bool_:
        raise DtypeError(
            "Subtraction, the `-` operator, with bool tensors is not supported; use `^` or logical_xor()"
        )
    return np.subtract(input, other if alpha == 1 else _scaled(other, alpha))


sub.gradient(input=lambda g: g, other=lambda g, alpha: neg(g) if alpha == 1 else mul(g, -alpha))


@op(dtype="float", autocast="widest", node="Div")
def true_divide(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input / other``; integers divide to float32. Shape: broadcasts."""
    return np.true_divide(input, other)


true_divide.gradient(
    input=lambda g, other: true_divide(g, other),
    other=lambda g, input, other: neg(true_divide(mul(g, input), mul(other, other))),
)


def _refuse_zero(divisor: Any) -> None:
    """Integers have no infinity: PyTorch raises where NumPy warns and gives 0."""
    if getattr(divisor, "dtype", np.dtype(float)).kind in "iu" and not np.all(divisor):
        raise DtypeError("ZeroDivisionError: an integer tensor is divided by zero")


@op(dtype="promote")
def floor_divide(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input / other`` rounded down. Shape: broadcasts."""
    _refuse_zero(other)
    return np.floor_divide(input, other)


floor_divide.gradient(input=lambda g: zero_unless(g, False), other=lambda g: zero_unless(g, False))


@op(dtype="promote")
def truncate_divide(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input / other`` rounded towards zero. Shape: broadcasts."""
    _refuse_zero(other)
    return np.trunc(np.true_divide(input, other)).astype(np.result_type(input, other))


truncate_divide.gradient(input=lambda g: zero_unless(g, False), other=lambda g: zero_unless(g, False))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """``input / other``; ``rounding_mode`` may be "floor" or "trunc"."""
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    return floor_divide(input, other) if rounding_mode == "floor" else truncate_divide(input, other)


@op(dtype="promote")
def remainder(input: Array | Scalar, other: Array | Scalar) -> Array:
    """The remainder with the sign of ``other``. Shape: broadcasts."""
    _refuse_zero(other)
    return np.remainder(input, other)


remainder.gradient(input=lambda g: g, other=lambda g, input, other: neg(mul(g, floor_divide(input, other))))


@op()
def square(input: Array) -> Array:
    """``input * input``."""
    return np.multiply(input, input)


square.gradient(input=lambda g, input: mul(g, mul(input, 2)))
