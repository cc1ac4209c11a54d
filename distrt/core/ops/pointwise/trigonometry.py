"""Angles: circular and hyperbolic functions, their inverses, degrees and radians."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import DtypeError
from distrt.core.op import op
from distrt.core.ops.pointwise.arithmetic import add, mul, neg, sub, true_divide
from distrt.core.ops.pointwise.comparison import eq, where
from distrt.core.ops.pointwise.half import refuse, wide
from distrt.core.ops.pointwise.powers import rsqrt

__all__ = [
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "deg2rad",
    "hypot",
    "rad2deg",
    "sin",
    "sinc",
    "sinh",
    "tan",
    "tanh",
]


@op(dtype="float")
def sin(input: Array) -> Array:
    """The sine of each element, in radians."""
    return np.sin(input)


@op(dtype="float")
def cos(input: Array) -> Array:
    """The cosine of each element, in radians."""
    return np.cos(input)


@op(dtype="float")
def tan(input: Array) -> Array:
    """The tangent of each element, in radians."""
    return np.tan(input)


@op(dtype="float")
def asin(input: Array) -> Array:
    """The angle whose sine each element is, in [-pi/2, pi/2]."""
    return np.arcsin(input)


@op(dtype="float")
def acos(input: Array) -> Array:
    """The angle whose cosine each element is, in [0, pi]."""
    return np.arccos(input)


@op(dtype="float")
def atan(input: Array) -> Array:
    """The angle whose tangent each element is, in (-pi/2, pi/2)."""
    return np.arctan(input)


sin.gradient(input=lambda g, input: mul(g, cos(input)))
cos.gradient(input=lambda g, input: neg(mul(g, sin(input))))
tan.gradient(input=lambda g, out: mul(g, add(mul(out, out), 1)))
asin.gradient(input=lambda g, input: mul(g, rsqrt(sub(1, mul(input, input)))))
acos.gradient(input=lambda g, input: neg(mul(g, rsqrt(sub(1, mul(input, input))))))
atan.gradient(input=lambda g, input: true_divide(g, add(mul(input, input), 1)))
arcsin, arccos, arctan = asin, acos, atan


@op(dtype="float")
def sinh(input: Array) -> Array:
    """The hyperbolic sine."""
    return np.sinh(input)


@op(dtype="float")
def cosh(input: Array) -> Array:
    """The hyperbolic cosine."""
    return np.cosh(input)


@op(dtype="float")
def tanh(input: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(input)


@op(dtype="float")
def asinh(input: Array) -> Array:
    """The inverse of the hyperbolic sine."""
    return np.arcsinh(input)


@op(dtype="float")
def acosh(input: Array) -> Array:
    """The inverse of the hyperbolic cosine; nan below 1."""
    return np.arccosh(input)


@op(dtype="float")
def atanh(input: Array) -> Array:
    """The inverse of the hyperbolic tangent; nan outside [-1, 1]."""
    return np.arctanh(input)


sinh.gradient(input=lambda g, input: mul(g, cosh(input)))
cosh.gradient(input=lambda g, input: mul(g, sinh(input)))
tanh.gradient(input=lambda g, out: mul(g, sub(1, mul(out, out))))
asinh.gradient(input=lambda g, input: mul(g, rsqrt(add(mul(input, input), 1))))
# Two roots: of a complex number near the cut, the root of the product would have the wrong sign.
acosh.gradient(input=lambda g, input: mul(g, mul(rsqrt(sub(input, 1)), rsqrt(add(input, 1)))))
atanh.gradient(input=lambda g, input: true_divide(g, sub(1, mul(input, input))))
arcsinh, arccosh, arctanh = asinh, acosh, atanh


@op(dtype="float")
def atan2(input: Array, other: Array) -> Array:
    """The angle of the point (other, input), in [-pi, pi]. Shape: broadcasts."""
    refuse("atan2", input, "c")
    return np.arctan2(input, other)


atan2.gradient(
    input=lambda g, input, other: mul(g, _over_radius(other, input, other)),
    other=lambda g, input, other: neg(mul(g, _over_radius(input, input, other))),
)
arctan2 = atan2


def _over_radius(part: Any, y: Any, x: Any) -> Any:
    return true_divide(part, add(mul(x, x), mul(y, y)))


@op(dtype="promote")
def hypot(input: Array, other: Array) -> Array:
    """``sqrt(input ** 2 + other ** 2)``, without overflow. Shape: broadcasts."""
    refuse("hypot", input, "biuc")
    return np.hypot(wide(input), wide(other)).astype(input.dtype, copy=False)


hypot.gradient(
    input=lambda g, input, out: mul(g, true_divide(input, out)),
    other=lambda g, other, out: mul(g, true_divide(other, out)),
)


@op(dtype="float")
def deg2rad(input: Array) -> Array:
    """Degrees as radians."""
    return _scaled("deg2rad", input, math.pi / 180)


@op(dtype="float")
def rad2deg(input: Array) -> Array:
    """Radians as degrees."""
    return _scaled("rad2deg", input, 180 / math.pi)


def _scaled(operation: str, input: Array, factor: float) -> Array:
    if input.dtype.kind == "c":
        raise DtypeError(f"{operation} is not supported for complex tensors.")
    return np.multiply(wide(input), factor).astype(input.dtype, copy=False)


deg2rad.gradient(input=lambda g: deg2rad(g))
rad2deg.gradient(input=lambda g: rad2deg(g))


@op(dtype="float")
def sinc(input: Array) -> Array:
    """``sin(pi * input) / (pi * input)``, and 1 at 0."""
    angle = np.multiply(wide(input), math.pi)
    zero = np.equal(angle, 0)
    found = np.true_divide(np.sin(angle), np.where(zero, angle.dtype.type(1), angle))
    return np.where(zero, angle.dtype.type(1), found).astype(input.dtype, copy=False)


def _sinc_slope(input: Array) -> Array:
    zero = eq(input, 0)
    safe = where(zero, 1.0, input)
    angle = mul(safe, math.pi)
    slope = true_divide(sub(mul(angle, cos(angle)), sin(angle)), mul(mul(safe, safe), math.pi))
    return where(zero, 0.0, slope)


sinc.gradient(input=lambda g, input: mul(g, _sinc_slope(input)))
