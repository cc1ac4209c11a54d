"""Powers and roots, exponentials and logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar, as_array, is_on_gpu, known, require_array
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.op import op
from distrt.core.ops.pointwise.arithmetic import add, mul, neg, sub, to_dtype, true_divide
from distrt.core.ops.pointwise.comparison import eq, ge, logical_and, where
from distrt.core.ops.pointwise.complex_numbers import imag, is_complex_array, real
from distrt.core.ops.pointwise.half import refuse, wide

__all__ = [
    "exp",
    "exp2",
    "expm1",
    "float_power",
    "frexp",
    "ldexp",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "pow",
    "reciprocal",
    "rsqrt",
    "sqrt",
    "square",
]

_LN2 = math.log(2)


# Exponentials and logarithms


@op(dtype="float")
def exp(input: Array) -> Array:
    """e to the power of each element."""
    return np.exp(input)


exp.gradient(input=lambda g, out: mul(g, out))


@op(dtype="float")
def exp2(input: Array) -> Array:
    """2 to the power of each element."""
    return np.exp(np.multiply(input, _LN2)) if input.dtype.kind == "c" else np.exp2(input)


exp2.gradient(input=lambda g, out: mul(g, mul(out, _LN2)))


@op(dtype="float")
def expm1(input: Array) -> Array:
    """``exp(input) - 1``, exact near 0 too."""
    return np.expm1(input)


expm1.gradient(input=lambda g, out: mul(g, add(out, 1)))


@op(dtype="float")
def log(input: Array) -> Array:
    """The natural logarithm."""
    return np.log(input)


log.gradient(input=lambda g, input: true_divide(g, input))


@op(dtype="float")
def log2(input: Array) -> Array:
    """The logarithm to base 2."""
    return np.log2(input)


log2.gradient(input=lambda g, input: true_divide(g, mul(input, _LN2)))


@op(dtype="float")
def log10(input: Array) -> Array:
    """The logarithm to base 10."""
    return np.log10(input)


log10.gradient(input=lambda g, input: true_divide(g, mul(input, math.log(10))))


@op(dtype="float")
def log1p(input: Array) -> Array:
    """``log(1 + input)``, exact near 0 too."""
    return np.log1p(input)


log1p.gradient(input=lambda g, input: true_divide(g, add(input, 1)))


@op(dtype="promote")
def logaddexp(input: Array, other: Array) -> Array:
    """``log(exp(input) + exp(other))``, without overflow. Shape: broadcasts."""
    refuse("logaddexp", input, "biu")
    if input.dtype.kind == "c":
        larger = np.where(input.real >= other.real, input, other)
        smaller = np.where(input.real >= other.real, other, input)
        return np.add(larger, np.log1p(np.exp(np.subtract(smaller, larger))))
    return np.logaddexp(input, other)


logaddexp.gradient(
    input=lambda g, input, other: true_divide(g, add(exp(sub(other, input)), 1)),
    other=lambda g, input, other: true_divide(g, add(exp(sub(input, other)), 1)),
)


@op(dtype="promote")
def logaddexp2(input: Array, other: Array) -> Array:
    """``log2(2 ** input + 2 ** other)``, without overflow. Shape: broadcasts."""
    refuse("logaddexp2", input, "biuc")
    return np.logaddexp2(input, other)


logaddexp2.gradient(
    input=lambda g, input, other: true_divide(g, add(exp2(sub(other, input)), 1)),
    other=lambda g, input, other: true_divide(g, add(exp2(sub(input, other)), 1)),
)


# Powers and roots


#: What PyTorch computes instead of a power, for the exponents that are cheaper otherwise.
_SHORT_CUTS: dict[Any, Any] = {
    -2: lambda x: np.reciprocal(np.multiply(x, x)),
    -1: np.reciprocal,
    -0.5: lambda x: np.reciprocal(np.sqrt(x)),
    0.5: np.sqrt,
    2: lambda x: np.multiply(x, x),
    3: lambda x: np.multiply(np.multiply(x, x), x),
}


@op(dtype="power")
def pow(input: Array | Scalar, exponent: Array | Scalar) -> Array:
    """``input ** exponent``. Shape: broadcasts.

    Raises:
        DtypeError: for an integer tensor and a negative Python int.
    """
    if exponent.__class__ is int or exponent.__class__ is float:
        short_cut = _SHORT_CUTS.get(exponent)
        return np.power(input, exponent) if short_cut is None else short_cut(input)
    refuse("pow", exponent, "b")
    signed = [getattr(each, "dtype", np.dtype(float)).kind == "i" for each in (input, exponent)]
    return _integer_power(input, exponent) if all(signed) else np.power(input, exponent)


def _integer_power(input: Any, exponent: Array) -> Array:
    """A negative exponent leaves 1 and -1 as they are in absolute value, and makes all others 0."""
    if exponent.size and (is_on_gpu(exponent) or known(exponent.min() < 0)):
        negative = np.less(exponent, 0)
        unit = np.where(np.equal(np.abs(input), 1), np.power(input, np.bitwise_and(exponent, 1)), 0)
        found = np.where(negative, unit, np.power(input, np.where(negative, 0, exponent)))
        return as_array(found).astype(exponent.dtype, copy=False)
    return np.power(input, exponent)


pow.node(lambda node: "Pow2" if node.metas[0] is None else "Pow" if node.metas[1] is None else "Pow1")
pow.gradient(
    input=lambda g, input, exponent: mul(g, _power_slope(input, exponent)),
    exponent=lambda g, input, exponent, out: mul(g, _exponent_slope(input, exponent, out)),
)


def _exponent_slope(input: Any, exponent: Any, out: Any) -> Any:
    """``out * log(input)``; 0 to a power that is not negative stays 0 or 1, whatever the exponent."""
    if is_complex_array(exponent):
        rising = logical_and(eq(imag(exponent), 0), ge(real(exponent), 0))
    else:
        rising = ge(exponent, 0)
    flat = logical_and(eq(input, 0), rising)
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


@takes_out
def float_power(input: Any, exponent: Any) -> Any:
    """``input ** exponent`` in float64 (complex128). Shape: broadcasts."""
    wide_type = np.complex128 if is_complex_array(input) or is_complex_array(exponent) else np.float64
    return pow(_converted(input, wide_type), _converted(exponent, wide_type))


def _converted(value: Any, dtype: Any) -> Any:
    if not hasattr(value, "dtype"):
        return value
    return to_dtype(value, np.dtype(dtype)) if getattr(value, "_array", value).dtype != dtype else value


@op(dtype="float")
def sqrt(input: Array) -> Array:
    """The square root."""
    return np.sqrt(input)


sqrt.gradient(input=lambda g, out: true_divide(g, mul(out, 2)))


@op(dtype="float")
def rsqrt(input: Array) -> Array:
    """One over the square root."""
    return np.reciprocal(np.sqrt(wide(input))).astype(input.dtype, copy=False)


rsqrt.gradient(input=lambda g, out: mul(g, mul(mul(out, mul(out, out)), -0.5)))


@op(dtype="float")
def reciprocal(input: Array) -> Array:
    """One over each element."""
    return np.reciprocal(input)


reciprocal.gradient(input=lambda g, out: neg(mul(g, mul(out, out))))


@op(node="Pow")
def square(input: Array) -> Array:
    """``input * input``; bools become int64."""
    input = input.astype(np.int64) if input.dtype == np.bool_ else input
    return np.multiply(input, input)


square.gradient(input=lambda g, input: mul(g, mul(input, 2)))


# Mantissa and exponent


@takes_out
def ldexp(input: Any, other: Any) -> Any:
    """``input * 2 ** other``, in the dtype of ``input`` where that is floating. Shape: broadcasts."""
    mantissa, exponent = getattr(input, "_array", input), getattr(other, "_array", other)
    require_array("ldexp", "input", mantissa)
    require_array("ldexp", "other", exponent)
    if mantissa.dtype in dt.FLOATING_NUMPY and exponent.dtype not in dt.FLOATING_NUMPY:
        refuse("ldexp", exponent, "" if mantissa.dtype.kind == "c" else "b")
        other = to_dtype(other, mantissa.dtype)
    return mul(input, pow(2.0, other))


@op()
def frexp(input: Array) -> Any:
    """Mantissas in (-1, -0.5], 0 or [0.5, 1), and integer exponents: ``mantissa * 2 ** exponent`` is the input."""
    refuse("frexp", input, "biuc")
    mantissa, exponent = np.frexp(wide(input))
    return as_array(mantissa).astype(input.dtype, copy=False), as_array(exponent).astype(np.int32, copy=False)


frexp.outputs("mantissa", "exponent")
frexp.gradient(
    input=lambda g_mantissa, exponent: (
        None if g_mantissa is None else true_divide(g_mantissa, pow(2.0, exponent))
    )
)
