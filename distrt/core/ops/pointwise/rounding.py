"""Rounding, signs and absolute values, and what takes the place of nan."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from distrt.core.arrays import Array, Scalar, chosen, require_array
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.promotion import convert
from distrt.core.errors import DtypeError
from distrt.core.op import op
from distrt.core.ops.pointwise.arithmetic import mul, sub, true_divide
from distrt.core.ops.pointwise.comparison import eq, isfinite, ne, where, zero_unless, zeros_of
from distrt.core.ops.pointwise.complex_numbers import conj, is_complex_array, real
from distrt.core.ops.pointwise.half import no_derivative, refuse, wide

__all__ = [
    "abs",
    "absolute",
    "ceil",
    "copysign",
    "fix",
    "floor",
    "frac",
    "heaviside",
    "nan_to_num",
    "nextafter",
    "round",
    "sgn",
    "sign",
    "signbit",
    "trunc",
]


# Rounding


@op()
def round(input: Array, *, decimals: int = 0) -> Array:
    """The nearest integer, ties to even; or the nearest number of so many decimals."""
    refuse("round", input, "bc" if decimals == 0 else "biuc")
    if input.dtype not in dt.FLOATING_NUMPY:
        return input.copy()
    return np.round(wide(input), decimals).astype(input.dtype, copy=False)


@op()
def floor(input: Array) -> Array:
    """The next integer below."""
    refuse("floor", input, "bc")
    return np.floor(input) if input.dtype in dt.FLOATING_NUMPY else input.copy()


@op()
def ceil(input: Array) -> Array:
    """The next integer above."""
    refuse("ceil", input, "bc")
    return np.ceil(input) if input.dtype in dt.FLOATING_NUMPY else input.copy()


@op()
def trunc(input: Array) -> Array:
    """The next integer towards zero."""
    refuse("trunc", input, "bc")
    return np.trunc(input) if input.dtype in dt.FLOATING_NUMPY else input.copy()


@op()
def frac(input: Array) -> Array:
    """What :func:`trunc` takes away."""
    refuse("frac", input, "biuc")
    return np.subtract(input, np.trunc(input))


round.gradient(input=lambda g: zeros_of(g))
floor.gradient(input=lambda g: zeros_of(g))
ceil.gradient(input=lambda g: zeros_of(g))
trunc.gradient(input=lambda g: zeros_of(g))
frac.gradient(input=lambda g: g)
fix = trunc


# Signs


@op()
def sign(input: Array) -> Array:
    """-1, 0 or 1."""
    refuse("sign", input, "c")
    if input.dtype == np.bool_:
        return input.copy()
    if input.dtype.kind in "iu":
        return np.sign(input)
    return np.subtract(np.greater(input, 0).astype(input.dtype), np.less(input, 0).astype(input.dtype))


sign.gradient(input=lambda g: zeros_of(g))


@op(holomorphic=False)
def sgn(input: Array) -> Array:
    """-1, 0 or 1; of a complex number the number of size 1 in its direction, or 0."""
    if input.dtype.kind != "c":
        return sign.definition.forward(input)
    size = np.abs(input)
    return chosen(size == 0, 0, np.true_divide(input, chosen(size == 0, 1, size))).astype(input.dtype)


def _sgn_slope(g: Array, input: Array, out: Array) -> Array:
    if not is_complex_array(input):
        return zeros_of(g)
    size = abs(input)
    nowhere = eq(size, 0)
    along = mul(real(mul(g, conj(out))), out)
    return where(nowhere, 0.0, true_divide(sub(g, along), where(nowhere, 1.0, size)))


sgn.gradient(input=lambda g, input, out: _sgn_slope(g, input, out))


@op(holomorphic=False)
def abs(input: Array) -> Array:
    """The absolute value."""
    refuse("abs", input, "b")
    return np.abs(input)


abs.gradient(input=lambda g, input: mul(g, sgn(input)))
absolute = abs


@op()
def signbit(input: Array) -> Array:
    """True where the sign is set, of -0.0 too."""
    refuse("signbit", input, "c")
    return np.less(input, 0) if input.dtype.kind in "iu" else _signbit(input)


def _signbit(input: Array) -> Array:
    return np.zeros(input.shape, np.bool_, like=input) if input.dtype == np.bool_ else np.signbit(input)


@op(dtype="float")
def copysign(input: Array, other: Array | Scalar) -> Array:
    """The size of ``input`` with the sign of ``other``. Shape: broadcasts."""
    refuse("copysign", input, "c")
    return np.copysign(input, other)


def _copysign_slope(g: Array, input: Array, out: Array) -> Array:
    zero = eq(input, 0)
    return zero_unless(mul(g, true_divide(out, where(zero, 1.0, input))), eq(zero, False))


copysign.gradient(input=lambda g, input, out: _copysign_slope(g, input, out), other=lambda g: zeros_of(g))


@op()
def heaviside(input: Array, values: Array) -> Array:
    """0 below zero, 1 above, and ``values`` at zero. Shape: broadcasts.

    Raises:
        DtypeError: where the dtypes differ, and for complex numbers.
    """
    require_array("heaviside", "input", input)
    require_array("heaviside", "values", values)
    if input.dtype.kind == "c" or values.dtype.kind == "c":
        raise DtypeError("heaviside is not yet implemented for complex tensors.")
    if input.dtype != values.dtype:
        raise DtypeError(
            f"heaviside is not yet implemented for tensors with different dtypes: {input.dtype} and {values.dtype}"
        )
    above = np.greater(input, input.dtype.type(0)).astype(input.dtype)
    return chosen(np.equal(input, input.dtype.type(0)), values, above)


heaviside.gradient(input=lambda g: no_derivative("heaviside"), values=lambda g: no_derivative("heaviside"))


@op(dtype="promote")
def nextafter(input: Array, other: Array) -> Array:
    """The next number that the dtype has after ``input``, towards ``other``. Shape: broadcasts."""
    refuse("nextafter", input, "biuc")
    return np.nextafter(input, other)


nextafter.gradient(input=lambda g, input, other: zero_unless(g, ne(input, other)), other=lambda g: mul(g, 0))


@op()
def nan_to_num(
    input: Array, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """``nan`` (0) in the place of nan, ``posinf`` and ``neginf`` (the dtype's bounds) in that of infinities."""
    if input.dtype not in dt.FLOATING_NUMPY:
        return input.copy()
    if input.dtype.kind == "c":
        made = np.empty(input.shape, input.dtype, like=input)
        made.real = _replaced(input.real, nan, posinf, neginf)
        made.imag = _replaced(input.imag, nan, posinf, neginf)
        return made
    return _replaced(input, nan, posinf, neginf)


def _replaced(input: Array, nan: float | None, posinf: float | None, neginf: float | None) -> Array:
    bounds = ml_dtypes.finfo(input.dtype)  # type: ignore[no-untyped-call]
    high = bounds.max if posinf is None else posinf
    low = bounds.min if neginf is None else neginf
    made = chosen(np.isnan(input), convert(0.0 if nan is None else nan, input.dtype)[()], input)
    infinite = np.isinf(input)
    made = chosen(infinite & (input > 0), convert(high, input.dtype)[()], made)
    return chosen(infinite & (input < 0), convert(low, input.dtype)[()], made)


nan_to_num.gradient(input=lambda g, input: zero_unless(g, isfinite(input)))
