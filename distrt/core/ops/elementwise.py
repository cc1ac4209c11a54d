"""Functions of each element: powers, exponentials, angles, rounding, bounds, activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core.arrays import Array, Scalar
from distrt.core.errors import UnsupportedError
from distrt.core.op import op
from distrt.core.ops.arithmetic import add, mul, neg, sub, to_dtype, true_divide
from distrt.core.ops.comparison import eq, ge, gt, le, logical_and, lt, where, zero_unless
from distrt.core.promotion import result_dtype
from distrt.core.tensor import Tensor

__all__ = [
    "abs",
    "ceil",
    "clamp",
    "cos",
    "dropout",
    "exp",
    "floor",
    "log",
    "maximum",
    "minimum",
    "pow",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "tanh",
]


@op(dtype="float", autocast="full")
def exp(input: Array) -> Array:
    """e to the power of each element."""
    return np.exp(input)


exp.gradient(input=lambda g, out: mul(g, out))


@op(dtype="float", autocast="full")
def log(input: Array) -> Array:
    """The natural logarithm."""
    return np.log(input)


log.gradient(input=lambda g, input: true_divide(g, input))


@op(dtype="promote", autocast="full")
def pow(input: Array | Scalar, exponent: Array | Scalar) -> Array:
    """``input ** exponent``. Shape: broadcasts."""
    if np.ndim(exponent) == 0 and not hasattr(exponent, "dtype") and exponent == 2:
        return np.multiply(input, input)
    return np.power(input, exponent)


pow.gradient(
    input=lambda g, input, exponent: mul(g, _power_slope(input, exponent)),
    exponent=lambda g, input, exponent, out: mul(g, _exponent_slope(input, exponent, out)),
)


def _exponent_slope(input: Any, exponent: Any, out: Any) -> Any:
    """``out * log(input)``; 0 to a power that is not negative stays 0 or 1, whatever the exponent."""
    flat = logical_and(eq(input, 0), ge(exponent, 0))
    return where(flat, 0.0, mul(out, log(where(flat, 1.0, input))))


def _power_slope(input: Any, exponent: Any) -> Any:
    if not hasattr(exponent, "dtype"):
        return (
            mul(input, 2)
            if exponent == 2
            else mul(pow(input, exponent - 1), exponent)
            if exponent
            else mul(input, 0)
        )
    return where(eq(exponent, 0), 0.0, mul(exponent, pow(input, sub(exponent, 1))))


@op(dtype="float")
def sqrt(input: Array) -> Array:
    """The square root."""
    return np.sqrt(input)


sqrt.gradient(input=lambda g, out: true_divide(g, mul(out, 2)))


@op(dtype="float", autocast="full")
def rsqrt(input: Array) -> Array:
    """One over the square root."""
    return np.reciprocal(np.sqrt(input))


rsqrt.gradient(input=lambda g, out: mul(g, mul(mul(out, mul(out, out)), -0.5)))


@op(dtype="float", autocast="full")
def reciprocal(input: Array) -> Array:
    """One over each element."""
    return np.reciprocal(input)


reciprocal.gradient(input=lambda g, out: neg(mul(g, mul(out, out))))


@op(dtype="float")
def sin(input: Array) -> Array:
    """The sine of each element, in radians."""
    return np.sin(input)


@op(dtype="float")
def cos(input: Array) -> Array:
    """The cosine of each element, in radians."""
    return np.cos(input)


sin.gradient(input=lambda g, input: mul(g, cos(input)))
cos.gradient(input=lambda g, input: neg(mul(g, sin(input))))


@op(dtype="float")
def tanh(input: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(input)


tanh.gradient(input=lambda g, out: mul(g, sub(1, mul(out, out))))


@op(dtype="float")
def sigmoid(input: Array) -> Array:
    """``1 / (1 + exp(-input))``, by way of tanh so that nothing overflows."""
    half = np.asarray(0.5, input.dtype)
    return np.add(np.multiply(np.tanh(np.multiply(input, half)), half), half)


sigmoid.gradient(input=lambda g, out: mul(g, mul(out, sub(1, out))))


@op()
def relu(input: Array) -> Array:
    """``max(input, 0)``."""
    return np.maximum(input, np.zeros((), input.dtype))


relu.gradient(input=lambda g, out: zero_unless(g, gt(out, 0)))


@op()
def sign(input: Array) -> Array:
    """-1, 0 or 1."""
    return np.sign(input) if input.dtype != np.bool_ else input


sign.gradient(input=lambda g: zero_unless(g, False))


@op()
def abs(input: Array) -> Array:
    """The absolute value."""
    return np.abs(input)


abs.gradient(input=lambda g, input: mul(g, sign(input)))


@op(dtype="promote")
def maximum(input: Array | Scalar, other: Array | Scalar) -> Array:
    """The larger of two elements; where they are equal, both get half of the gradient. Shape: broadcasts."""
    return np.maximum(input, other)


maximum.gradient(
    input=lambda g, input, other: mul(g, _share(gt(input, other), eq(input, other), g)),
    other=lambda g, input, other: mul(g, _share(lt(input, other), eq(input, other), g)),
)


@op(dtype="promote")
def minimum(input: Array | Scalar, other: Array | Scalar) -> Array:
    """The smaller of two elements; where they are equal, both get half of the gradient. Shape: broadcasts."""
    return np.minimum(input, other)


minimum.gradient(
    input=lambda g, input, other: mul(g, _share(lt(input, other), eq(input, other), g)),
    other=lambda g, input, other: mul(g, _share(gt(input, other), eq(input, other), g)),
)


def _share(chosen: Any, tied: Any, like: Any) -> Any:
    """1 where chosen, a half where tied, as floats of the gradient's dtype."""
    dtype = like._array.dtype if isinstance(like, Tensor) else like.dtype
    return add(to_dtype(chosen, dtype), mul(to_dtype(tied, dtype), 0.5))


@op()
def clamp(input: Array, min: Any = None, max: Any = None) -> Array:
    """Each element, moved into [min, max]; bounds are numbers."""
    if min is None and max is None:
        raise ValueError("clamp: at least one of 'min' or 'max' must not be None")
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, bool | int | float):
            raise UnsupportedError(
                f"clamp: {name} must be a number, got {type(bound).__name__}; use maximum() or minimum() with tensors"
            )
    dtype = result_dtype(input, *[bound for bound in (min, max) if bound is not None])
    bounded = input.astype(dtype, copy=False)
    if min is not None:
        bounded = np.maximum(bounded, np.asarray(min, dtype))
    return bounded if max is None else np.minimum(bounded, np.asarray(max, dtype))


clamp.gradient(input=lambda g, input, min, max: zero_unless(g, _within(input, min, max)))


def _within(input: Any, low: Any, high: Any) -> Any:
    if low is None:
        return le(input, high)
    return ge(input, low) if high is None else logical_and(ge(input, low), le(input, high))


@op()
def round(input: Array, *, decimals: int = 0) -> Array:
    """The nearest integer, ties to even."""
    return np.round(input, decimals)


round.gradient(input=lambda g: zero_unless(g, False))


@op()
def floor(input: Array) -> Array:
    """The next integer below."""
    return np.floor(input) if input.dtype in dt.FLOATING_NUMPY else input


floor.gradient(input=lambda g: zero_unless(g, False))


@op()
def ceil(input: Array) -> Array:
    """The next integer above."""
    return np.ceil(input) if input.dtype in dt.FLOATING_NUMPY else input


ceil.gradient(input=lambda g: zero_unless(g, False))


@op(aux=("mask",))
def dropout(input: Array, p: float, generator: np.random.Generator) -> Any:
    """Zeroes each element with probability ``p`` and scales the others by ``1 / (1 - p)``."""
    if p == 1:
        return np.zeros_like(input), np.zeros_like(input)
    draw_dtype = np.float64 if input.dtype == np.float64 else np.float32
    kept = generator.random(input.shape, draw_dtype) >= p
    mask = np.multiply(kept, np.asarray(1 / (1 - p), input.dtype), dtype=input.dtype)
    return np.multiply(input, mask), mask


dropout.gradient(input=lambda g, mask: mul(g, mask))
