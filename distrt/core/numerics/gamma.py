"""The gamma function's logarithm and derivatives, its incomplete forms, and Hurwitz' zeta function."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from distrt.core.arrays import Array, known, known_or
from distrt.core.numerics.chebyshev import chebyshev, in_blocks

# lgamma(x) / ((x - 1) (x - 2)) on [1, 3], in x - 2
_LGAMMA = (
    0.44148902545501423,
    -0.11119580321752523,
    0.01951044826068884,
    -0.003922461463025264,
    0.0008478989895953857,
    -0.00019153855341365593,
    4.454470184975607e-05,
    -1.05728743735943e-05,
    2.5474336873408417e-06,
    -6.208535880776316e-07,
    1.5268677399071546e-07,
    -3.782637660291326e-08,
    9.428100823624284e-09,
    -2.361999702184645e-09,
    5.943541905817546e-10,
    -1.501312977072867e-10,
    3.8050196458110534e-11,
    -9.672485299656325e-12,
    2.465348198355661e-12,
    -6.298868140791711e-13,
    1.6128460030283787e-13,
    -4.137949206814042e-14,
    1.0635701227757898e-14,
    -2.7382420786652826e-15,
    7.060670507214892e-16,
    -1.8232177141662118e-16,
    4.714169006756272e-17,
    -1.2204107319639856e-17,
    3.1630451661790255e-18,
    -8.206746544166728e-19,
)


def _bernoulli(count: int) -> list[Fraction]:
    """The Bernoulli numbers B_2, B_4 and so on."""
    numbers = [Fraction(1)]
    for m in range(1, 2 * count + 1):
        numbers.append(-sum(math.comb(m + 1, k) * numbers[k] for k in range(m)) / Fraction(m + 1))
    return numbers[2::2]


_BERNOULLI = _bernoulli(12)
_STIRLING = [float(b / (2 * k * (2 * k - 1))) for k, b in enumerate(_BERNOULLI[:10], 1)]
_PSI = [float(b / (2 * k)) for k, b in enumerate(_BERNOULLI[:10], 1)]
_EULER_MACLAURIN = [float(b / math.factorial(2 * k)) for k, b in enumerate(_BERNOULLI, 1)]


@in_blocks
def lgamma(x: Array) -> Array:
    """The logarithm of the absolute value of the gamma function; infinite at 0, -1, -2 and so on."""
    mirrored = x < 0.5
    z = np.where(mirrored, 1 - x, x)
    lifted = np.where(z < 1, z + 1, z)
    bounded = np.clip(lifted, 1, 3)
    near = (bounded - 1) * (bounded - 2) * chebyshev(bounded - 2, _LGAMMA)
    near = near - np.where(z < 1, np.log(np.where(z < 1, z, 1)), 0)
    found = np.where(lifted <= 3, near, _stirling(np.maximum(lifted, 3)))
    distance = np.abs(x - np.round(x))
    found = np.where(mirrored, math.log(math.pi) - np.log(np.sin(math.pi * distance)) - found, found)
    found = np.where(mirrored & (distance == 0), np.inf, found)
    return np.where(np.isinf(x), np.inf, found)


def _stirling(z: Array) -> Array:
    """Stirling's series, for z >= 3: small arguments are raised by 6 first."""
    small = z < 9
    product = z * (z + 1) * (z + 2) * (z + 3) * (z + 4) * (z + 5)
    w = np.where(small, z + 6, z)
    tail = _polynomial(1 / (w * w), _STIRLING) / w
    whole = (w - 0.5) * np.log(w) - w + 0.5 * math.log(2 * math.pi) + tail
    return whole - np.where(small, np.log(np.where(small, product, 1)), 0)


def _polynomial(x: Array, coefficients: list[float]) -> Array:
    found = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        found = found * x + coefficient
    return found


@in_blocks
def digamma(x: Array) -> Array:
    """The derivative of lgamma; nan at -1, -2 and so on, infinite at 0."""
    mirrored = x < 0.5
    z = np.where(mirrored, 1 - x, x)
    small = z < 10
    lifts = sum(1 / (z + k) for k in range(10))
    w = np.where(small, z + 10, z)
    found = np.log(w) - 0.5 / w - _polynomial(1 / (w * w), _PSI) / (w * w) - np.where(small, lifts, 0)
    part = x - np.round(x)
    found = np.where(mirrored, found - math.pi / np.tan(math.pi * part), found)
    found = np.where(mirrored & (part == 0), np.where(x == 0, -np.copysign(np.inf, x), np.nan), found)
    return np.where(x == -np.inf, np.nan, found)


@in_blocks
def zeta(s: Array, q: Array) -> Array:
    """Hurwitz' zeta function, the sum of ``(q + k)^-s`` over k >= 0, by the Euler-Maclaurin formula.

    Infinite at s = 1 and at the poles in q; nan for s < 1, and for a negative q and a fractional s.
    """
    finite = np.where(np.isfinite(q), q, 1.0)
    terms = 12 + int(min(max(0.0, -float(known_or(finite.min(), 0)) if finite.size else 0.0), 1e4))
    total = np.zeros_like(q)
    for k in range(terms):
        total = total + np.power(q + k, -s)
    w = q + terms
    total = total + np.power(w, 1 - s) / (s - 1) + np.power(w, -s) / 2
    rising, power = s, np.power(w, -s - 1)
    for k, coefficient in enumerate(_EULER_MACLAURIN):
        total = total + coefficient * rising * power
        rising, power = rising * (s + 2 * k + 1) * (s + 2 * k + 2), power / (w * w)
    whole = q == np.floor(q)
    total = np.where((q <= 0) & whole, np.inf, total)
    total = np.where((q <= 0) & ~whole & (s != np.floor(s)), np.nan, total)
    total = np.where(q == np.inf, 0.0, total)
    return np.where(s == 1, np.inf, np.where(s < 1, np.nan, total))


def polygamma(n: int, x: Array) -> Array:
    """The n-th derivative of digamma."""
    if n == 0:
        return digamma(x)
    return (-1.0) ** (n + 1) * math.gamma(n + 1) * zeta(np.full_like(x, n + 1.0), x)


@in_blocks
def gammainc(a: Array, x: Array) -> Array:
    """The regularised lower incomplete gamma function, for a >= 0 and x >= 0; nan elsewhere."""
    return _incomplete(a, x)[0]


@in_blocks
def gammaincc(a: Array, x: Array) -> Array:
    """The regularised upper incomplete gamma function, ``1 - gammainc(a, x)``."""
    return _incomplete(a, x)[1]


def _incomplete(a: Array, x: Array) -> tuple[Array, Array]:
    """Both functions: the power series below ``x = a + 1``, the continued fraction above."""
    known = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    safe_a, safe_x = np.where(known, a, 1.0), np.where(known, x, 1.0)
    factor = np.exp(safe_a * np.log(safe_x) - safe_x - lgamma(safe_a))
    by_series = safe_x < safe_a + 1
    lower = factor * _series(safe_a, np.where(by_series, safe_x, 0.0))
    upper = factor * _fraction(safe_a, np.where(by_series, safe_a + 2, safe_x))
    lower, upper = np.where(by_series, lower, 1 - upper), np.where(by_series, 1 - lower, upper)
    full = ((a == 0) & (x > 0)) | ((x == np.inf) & (a >= 0) & np.isfinite(a))
    none = ((x == 0) & (a > 0)) | ((a == np.inf) & (x >= 0) & np.isfinite(x))
    edge = np.where(full, 1.0, np.where(none, 0.0, np.nan))
    return np.where(known, lower, edge), np.where(known, upper, 1 - edge)


_STEPS = 5000


def _series(a: Array, x: Array) -> Array:
    term = 1 / a
    total, divisor = term, a
    for _ in range(_STEPS):
        divisor = divisor + 1
        term = term * x / divisor
        total = total + term
        if not known(np.any(term > total * 1e-17)):
            break
    return total


def _fraction(a: Array, x: Array) -> Array:
    """Lentz' evaluation of the continued fraction of the upper function."""
    b = x + 1 - a
    c = np.full_like(x, 1e300)
    d = 1 / b
    found = d
    for k in range(1, _STEPS):
        weight = -k * (k - a)
        b = b + 2
        d = 1 / _apart_from_zero(weight * d + b)
        c = _apart_from_zero(b + weight / c)
        change = c * d
        found = found * change
        if not known(np.any(np.abs(change - 1) > 1e-16)):
            break
    return found


def _apart_from_zero(value: Array) -> Array:
    return np.where(np.abs(value) < 1e-300, 1e-300, value)
