"""Special functions: error functions, gamma and its kin, Bessel functions, logarithms that take 0 times infinity as 0.

They compute in float64 and round once; the numbers are in ``core/numerics``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core import numerics
from distrt.core.arrays import Array, Scalar, as_array, chosen, is_on_gpu
from distrt.core.definitions.out import takes_out
from distrt.core.errors import ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.op import op
from distrt.core.ops.pointwise.arithmetic import add, mul, neg, sub, true_divide
from distrt.core.ops.pointwise.comparison import eq, le, logical_and, where
from distrt.core.ops.pointwise.half import no_derivative, refuse
from distrt.core.ops.pointwise.powers import exp, log, log1p
from distrt.core.ops.pointwise.rounding import sgn

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "igamma",
    "igammac",
    "lgamma",
    "log_ndtr",
    "mvlgamma",
    "ndtr",
    "ndtri",
    "polygamma",
    "xlog1py",
    "xlogy",
    "zeta",
]

_SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0


def _rounded(name: str, function: Callable[..., Array], *inputs: Array) -> Array:
    """The function of the inputs as float64, in their own dtype."""
    refuse(name, inputs[0], "c")
    made = function(*[each.astype(np.float64, copy=False) for each in inputs])
    return made.astype(inputs[0].dtype, copy=False)


# Error functions


@op(dtype="float")
def erf(input: Array) -> Array:
    """The error function."""
    if input.dtype == np.float32:
        return numerics.single.erf(input)
    return _rounded("erf", numerics.error_functions.erf, input)


@op(dtype="float")
def erfc(input: Array) -> Array:
    """``1 - erf(input)``, of full precision where that is small."""
    return _rounded("erfc", numerics.error_functions.erfc, input)


@op(dtype="float", node="SpecialErfcx")
def erfcx(input: Array) -> Array:
    """``exp(input ** 2) * erfc(input)``."""
    return _rounded("erfcx", numerics.error_functions.erfcx, input)


@op(dtype="float")
def erfinv(input: Array) -> Array:
    """The number whose error function ``input`` is; infinite at -1 and 1."""
    return _rounded("erfinv", numerics.error_functions.erfinv, input)


erf.gradient(input=lambda g, input: mul(g, mul(exp(neg(mul(input, input))), _SLOPE)))
erfc.gradient(input=lambda g, input: mul(g, mul(exp(neg(mul(input, input))), -_SLOPE)))
erfcx.gradient(input=lambda g, input, out: mul(g, sub(mul(mul(input, out), 2), _SLOPE)))
erfinv.gradient(input=lambda g, out: mul(g, mul(exp(mul(out, out)), 1 / _SLOPE)))


@takes_out
def ndtr(input: Any) -> Any:
    """The probability that a normal variable lies below ``input``."""
    return mul(erfc(mul(input, -math.sqrt(0.5))), 0.5)


@op(dtype="float", node="SpecialNdtri")
def ndtri(input: Array) -> Array:
    """The number below which a normal variable lies with probability ``input``."""
    return _rounded("ndtri", numerics.error_functions.ndtri, input)


@op(dtype="float", node="SpecialLogNdtr")
def log_ndtr(input: Array) -> Array:
    """The logarithm of the probability that a normal variable lies below ``input``."""
    return _rounded("log_ndtr", numerics.error_functions.log_ndtr, input)


ndtri.gradient(input=lambda g, out: mul(g, mul(exp(mul(mul(out, out), 0.5)), math.sqrt(2 * math.pi))))
log_ndtr.gradient(
    input=lambda g, input: mul(true_divide(g, erfcx(mul(input, -math.sqrt(0.5)))), math.sqrt(2 / math.pi))
)


# Gamma and zeta


@op(dtype="float")
def lgamma(input: Array) -> Array:
    """The logarithm of the absolute value of the gamma function."""
    return _rounded("lgamma", numerics.gamma.lgamma, input)


@op(dtype="float")
def digamma(input: Array) -> Array:
    """The derivative of :func:`lgamma`."""
    return _rounded("digamma", numerics.gamma.digamma, input)


@op(dtype="float")
def polygamma(n: int, input: Array) -> Array:
    """The ``n``-th derivative of :func:`digamma`.

    Raises:
        ShapeError: for a negative ``n``.
    """
    if n < 0:
        raise ShapeError(f"polygamma(n, x) does not support negative n, got {n}")
    return _rounded("polygamma", lambda x: numerics.gamma.polygamma(n, x), input)


lgamma.gradient(input=lambda g, input: mul(g, digamma(input)))
digamma.gradient(input=lambda g, input: mul(g, polygamma(1, input)))
polygamma.gradient(input=lambda g, n, input: mul(g, polygamma(n + 1, input)))


@takes_out
def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension ``p``.

    Raises:
        ShapeError: for ``p < 1``.
    """
    if p < 1:
        raise ShapeError(f"p has to be greater than or equal to 1, got {p}")
    total = lgamma(input)
    for k in range(1, p):
        total = add(total, lgamma(sub(input, k / 2)))
    return add(total, p * (p - 1) / 4 * math.log(math.pi))


@op(dtype="float", node="SpecialZeta")
def zeta(input: Array | Scalar, other: Array | Scalar) -> Array:
    """Hurwitz' zeta function: the sum of ``(other + k) ** -input`` over k >= 0. Shape: broadcasts."""
    return _rounded("zeta", numerics.gamma.zeta, as_array(input), as_array(other))


zeta.gradient(
    input=lambda g: no_derivative("special_zeta"),
    other=lambda g, input, other: neg(mul(g, mul(input, zeta(add(input, 1), other)))),
)


def _gamma_of(input: Array) -> Any:
    """What has the incomplete functions: on a GPU a kernel, where the loops of arrays would wait at every term."""
    return on_gpu.special if is_on_gpu(input) else numerics.gamma


@op(dtype="promote")
def igamma(input: Array, other: Array) -> Array:
    """The regularised lower incomplete gamma function of ``input`` at ``other``. Shape: broadcasts."""
    refuse("igamma", input, "biu")
    return _rounded("igamma", _gamma_of(input).gammainc, input, other)


@op(dtype="promote")
def igammac(input: Array, other: Array) -> Array:
    """The regularised upper incomplete gamma function of ``input`` at ``other``. Shape: broadcasts."""
    refuse("igammac", input, "biu")
    return _rounded("igammac", _gamma_of(input).gammaincc, input, other)


def _density(g: Any, shape: Any, at: Any) -> Any:
    return mul(g, exp(sub(sub(mul(sub(shape, 1), log(at)), at), lgamma(shape))))


igamma.gradient(
    input=lambda g: no_derivative("igamma"), other=lambda g, input, other: _density(g, input, other)
)
igammac.gradient(
    input=lambda g: no_derivative("igammac"), other=lambda g, input, other: neg(_density(g, input, other))
)


# Bessel functions


@op(dtype="float")
def i0(input: Array) -> Array:
    """The modified Bessel function of the first kind, of order 0."""
    return _rounded("i0", numerics.bessel.i0, input)


@op(dtype="float", node="SpecialI0E")
def i0e(input: Array) -> Array:
    """``exp(-|input|) * i0(input)``."""
    return _rounded("i0e", numerics.bessel.i0e, input)


@op(dtype="float", node="SpecialI1")
def i1(input: Array) -> Array:
    """The modified Bessel function of the first kind, of order 1."""
    return _rounded("i1", numerics.bessel.i1, input)


@op(dtype="float", node="SpecialI1E")
def i1e(input: Array) -> Array:
    """``exp(-|input|) * i1(input)``."""
    return _rounded("i1e", numerics.bessel.i1e, input)


def _over_input(out: Any, input: Any) -> Any:
    """``out / input``, a half where that is 0 / 0."""
    zero = eq(input, 0)
    return where(zero, 0.5, true_divide(out, where(zero, 1.0, input)))


i0.gradient(input=lambda g, input: mul(g, i1(input)))
i0e.gradient(input=lambda g, input, out: mul(g, sub(i1e(input), mul(sgn(input), out))))
i1.gradient(input=lambda g, input, out: mul(g, sub(i0(input), _over_input(out, input))))
i1e.gradient(
    input=lambda g, input, out: mul(g, sub(sub(i0e(input), mul(sgn(input), out)), _over_input(out, input)))
)


# Logarithms


@op(dtype="float")
def xlogy(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input * log(other)``, and 0 where ``input`` is 0 and ``other`` is a number. Shape: broadcasts."""
    return _product("xlogy", input, other, np.log)


@op(dtype="float", node="SpecialXlog1Py")
def xlog1py(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input * log1p(other)``, and 0 where ``input`` is 0 and ``other`` is a number. Shape: broadcasts."""
    return _product("xlog1py", input, other, np.log1p)


def _product(name: str, factor: Any, argument: Any, logarithm: Any) -> Array:
    refuse(name, factor, "c")
    argument = as_array(argument)
    if argument.dtype.kind not in "fV":
        argument = argument.astype(factor.dtype)
    plain = np.multiply(factor, logarithm(argument).astype(getattr(factor, "dtype", argument.dtype)))
    empty = np.logical_and(np.equal(factor, 0), ~np.isnan(argument))
    return chosen(empty, plain.dtype.type(0), plain)


def _logarithm_or_zero(logarithm: Any, input: Any, other: Any, lowest: float) -> Any:
    unused = logical_and(eq(input, 0), le(other, lowest))
    return where(unused, 0.0, logarithm(where(unused, 1.0, other)))


def _as_array(value: Any) -> Any:
    return value if hasattr(value, "dtype") else np.asarray(value)


xlogy.gradient(
    input=lambda g, input, other: mul(g, _logarithm_or_zero(log, input, _as_array(other), 0)),
    other=lambda g, input, other: true_divide(mul(g, input), other),
)
xlog1py.gradient(
    input=lambda g, input, other: mul(g, _logarithm_or_zero(log1p, input, _as_array(other), -1)),
    other=lambda g, input, other: true_divide(mul(g, input), add(other, 1)),
)


@op(dtype="float", node="SpecialEntr")
def entr(input: Array) -> Array:
    """``-input * log(input)``: 0 at 0, minus infinity below."""
    refuse("entr", input, "c")
    wider = input.astype(np.float64, copy=False)
    product = -wider * np.log(np.where(wider > 0, wider, 1.0))
    found = np.where(wider > 0, product, np.where(wider == 0, 0.0, np.where(np.isnan(wider), wider, -np.inf)))
    return found.astype(input.dtype, copy=False)


entr.gradient(input=lambda g, input: mul(g, sub(neg(log(input)), 1)))
