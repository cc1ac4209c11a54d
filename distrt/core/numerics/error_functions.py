"""The error function and its kin: erf, erfc, erfcx, their inverses, and the normal distribution's."""

from __future__ import annotations

import math

import numpy as np

from distrt.core.arrays import Array
from distrt.core.numerics.chebyshev import chebyshev, in_blocks

# erf(x) / x on [0, 1], in 2 x^2 - 1
_ERF = (
    0.9754769393826541,
    -0.14226120510371365,
    0.010035582187599796,
    -0.0005768764699767485,
    2.741993125219606e-05,
    -1.1043175507344507e-06,
    3.8488755420345036e-08,
    -1.1808582533875466e-09,
    3.2334215826050907e-11,
    -7.991015947004549e-13,
    1.7990725113961456e-14,
    -3.718635487818693e-16,
    7.103599003714253e-18,
)

# (1 + 2 x) exp(x^2) erfc(x) on [0, inf), in (x - 3.75) / (x + 3.75).
# Source: M. M. Shepherd, J. G. Laframboise, Math. Comp. 36 (1981), for the transformation.
_ERFCX = (
    1.1775789345674017,
    -0.004590054580646478,
    -0.08424913336651792,
    0.05920993999819189,
    -0.026658668435305753,
    0.009074997670705265,
    -0.002413163540417608,
    0.0004907758365258086,
    -6.916973302501207e-05,
    4.13902798607301e-06,
    7.74038306619849e-07,
    -2.1886401049234397e-07,
    1.076499946567091e-08,
    4.521959811218287e-09,
    -7.754400208831351e-10,
    -6.318088340886684e-11,
    2.86879501093067e-11,
    1.9455868545777347e-13,
    -9.65469674843344e-13,
    3.25254814814874e-14,
    3.3478119482868056e-14,
    -1.864562880419313e-15,
    -1.2507950530688648e-15,
    7.418235256624044e-17,
    5.068148904796111e-17,
    -2.2370566594359995e-18,
    -2.187342944303018e-18,
)

_SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0
_SQRT_HALF = math.sqrt(0.5)


@in_blocks
def erf(x: Array) -> Array:
    """The error function, in float32 or float64."""
    size = np.abs(x)
    small = np.minimum(size, x.dtype.type(1))
    near = x * chebyshev(2 * small * small - 1, _ERF)
    far = np.copysign(1 - gaussian(size) * _erfcx_of_positive(size), x)
    return np.where(size < 1, near, far)


@in_blocks
def erfc(x: Array) -> Array:
    """``1 - erf(x)``, of full precision where that is small."""
    size = np.abs(x)
    small = np.minimum(size, 0.5)
    near = 1 - x * chebyshev(2 * small * small - 1, _ERF)
    tail = gaussian(size) * _erfcx_of_positive(size)
    return np.where(size < 0.5, near, np.where(x < 0, 2 - tail, tail))


@in_blocks
def erfcx(x: Array) -> Array:
    """``exp(x^2) erfc(x)``."""
    found = _erfcx_of_positive(np.abs(x))
    return np.where(x < 0, 2 / gaussian(x) - found, found)


def _erfcx_of_positive(x: Array) -> Array:
    bounded = np.minimum(x, x.dtype.type(1e30))
    t = (bounded - x.dtype.type(3.75)) / (bounded + x.dtype.type(3.75))
    return chebyshev(t, _ERFCX) / (1 + 2 * x)


def gaussian(x: Array) -> Array:
    """``exp(-x^2)``; the square is taken in two parts, because its rounding error would be the result's."""
    bounded = np.clip(x, -200, 200)
    coarse = np.trunc(bounded * 16) / 16
    return np.exp(-coarse * coarse) * np.exp(-(bounded - coarse) * (bounded + coarse))


@in_blocks
def erfinv(y: Array) -> Array:
    """The number whose error function is ``y``; infinite at -1 and 1, nan outside."""
    size = np.abs(y)
    inside = size < 1
    found = np.copysign(_erfcinv(np.where(inside, 1 - size, 0.5), np.where(inside, size, 0.5)), y)
    return np.where(inside, found, np.where(size == 1, np.copysign(np.inf, y), np.nan))


def _erfcinv(q: Array, rest: Array) -> Array:
    """The positive number whose erfc is ``q`` and whose erf is ``rest``, for q in (0, 1].

    A first guess within a few percent (S. Winitzki, 2008), then Halley's steps on erf, or Newton's on the logarithm
    of erfc, which is nearly a parabola.
    """
    spread = -np.log(q * (2 - q))
    middle = 2 / (math.pi * 0.147) - spread / 2
    x = np.sqrt(np.sqrt(middle * middle + spread / 0.147) - middle)
    in_tail = q < 0.1
    log_q = np.log(q)
    for _ in range(4):
        scaled = _erfcx_of_positive(x)
        tail_step = (np.log(scaled) - x * x - log_q) * scaled / _SLOPE
        density = _SLOPE * gaussian(x)
        missing = np.where(q < 0.5, q - density / _SLOPE * scaled, erf(x) - rest) / np.maximum(
            density, 1e-300
        )
        x = np.where(in_tail, x + tail_step, x - missing / (1 + x * missing))
    return x


@in_blocks
def ndtri(p: Array) -> Array:
    """The number below which a normal variable lies with probability ``p``; nan outside [0, 1]."""
    lower = p < 0.5
    inside = (p > 0) & (p < 1)
    q = np.where(inside, 2 * np.where(lower, p, 1 - p), 0.5)
    found = _erfcinv(q, 1 - q) / _SQRT_HALF
    edge = np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan))
    return np.where(inside, np.where(lower, -found, found), edge)


@in_blocks
def log_ndtr(x: Array) -> Array:
    """The logarithm of the probability that a normal variable lies below ``x``."""
    t = x * _SQRT_HALF
    low = np.log(_erfcx_of_positive(np.where(x < -1, -t, 1.0)) / 2) - t * t
    return np.where(x < -1, low, np.log1p(-erfc(np.maximum(t, -1.0)) / 2))
