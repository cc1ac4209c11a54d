"""Orthogonal polynomials of any degree: Chebyshev's four kinds in closed form, the others by their recurrences.

Degrees are whole numbers in float64; below 0 the value is 0. Chebyshev's small degrees are recurrences as well, so that
whole numbers give whole numbers. Source: Abramowitz and Stegun, chapter 22.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distrt.core.arrays import Array, known_or


def chebyshev_t(x: Array, n: Array) -> Array:
    """``cos(n t)`` with ``x = cos(t)``; outside of [-1, 1] ``cosh(n t)`` with ``x = cosh(t)``."""
    angle, is_inside = _angle(x)
    value = np.where(is_inside, np.cos(n * angle), np.cosh(n * angle))
    return _for_degrees(x, n, x, _with_sign(value, x, n))


def chebyshev_u(x: Array, n: Array) -> Array:
    """``sin((n + 1) t) / sin(t)``."""
    angle, is_inside = _angle(x)
    value = np.where(
        is_inside,
        _ratio(np.sin((n + 1) * angle), np.sin(angle), n + 1),
        _ratio(np.sinh((n + 1) * angle), np.sinh(angle), n + 1),
    )
    return _for_degrees(x, n, 2 * x, _with_sign(value, x, n))


def chebyshev_v(x: Array, n: Array) -> Array:
    """``cos((n + 1/2) t) / cos(t / 2)``."""
    value = np.where(x < 0, _with_sign(_half(np.abs(x), n, is_sine=True), x, n), _half(x, n, is_sine=False))
    return _for_degrees(x, n, 2 * x - 1, value)


def chebyshev_w(x: Array, n: Array) -> Array:
    """``sin((n + 1/2) t) / sin(t / 2)``."""
    value = np.where(x < 0, _with_sign(_half(np.abs(x), n, is_sine=False), x, n), _half(x, n, is_sine=True))
    return _for_degrees(x, n, 2 * x + 1, value)


def _half(x: Array, n: Array, is_sine: bool) -> Array:
    """The third and the fourth kind for x of 0 and more."""
    angle, is_inside = _angle(x)
    wave, bow = (np.sin, np.sinh) if is_sine else (np.cos, np.cosh)
    limit = 2 * n + 1
    inside = _ratio(wave((n + 0.5) * angle), wave(angle / 2), limit)
    outside = _ratio(bow((n + 0.5) * angle), bow(angle / 2), limit)
    return np.where(is_inside, inside, outside)


def _angle(x: Array) -> tuple[Array, Array]:
    """t with ``|x| = cos(t)`` or ``cosh(t)``, and whether it is the former. |x| is exact near 1 where x is near -1."""
    size = np.abs(x)
    is_inside = size <= 1
    return np.where(is_inside, np.arccos(np.minimum(size, 1)), np.arccosh(np.maximum(size, 1))), is_inside


def _with_sign(value: Array, x: Array, n: Array) -> Array:
    return np.where((x < 0) & (n % 2 == 1), -value, value)


def _ratio(above: Array, below: Array, limit: Array) -> Array:
    return np.where(below == 0, limit, above / np.where(below == 0, 1, below))


_SMALL = 8


def _for_degrees(x: Array, n: Array, first: Array, closed: Array) -> Array:
    """The closed form's values for degrees that are not small."""
    small = _by_recurrence(np.minimum(n, _SMALL), first, lambda k, now, before: 2 * x * now - before)
    return np.where(n <= _SMALL, small, closed)


def hermite_h(x: Array, n: Array) -> Array:
    """The physicists': ``H[k + 1] = 2 x H[k] - 2 k H[k - 1]``."""
    return _by_recurrence(n, 2 * x, lambda k, now, before: 2 * (x * now - k * before))


def hermite_he(x: Array, n: Array) -> Array:
    """The probabilists': ``He[k + 1] = x He[k] - k He[k - 1]``."""
    return _by_recurrence(n, x, lambda k, now, before: x * now - k * before)


def laguerre_l(x: Array, n: Array) -> Array:
    """``(k + 1) L[k + 1] = (2 k + 1 - x) L[k] - k L[k - 1]``."""
    return _by_recurrence(n, 1 - x, lambda k, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1))


def legendre_p(x: Array, n: Array) -> Array:
    """``(k + 1) P[k + 1] = (2 k + 1) x P[k] - k P[k - 1]``."""
    return _by_recurrence(n, x, lambda k, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1))


def _by_recurrence(n: Array, first: Array, following: Callable[[int, Array, Array], Array]) -> Array:
    """The value of degree n, from those of the degrees 0 (which is 1) and 1, and of each from the two below it."""
    found = np.where(n < 0, 0.0, 1.0)
    before, now = np.ones_like(first), first
    for degree in range(1, int(known_or(n.max(), 0) if n.size else 0) + 1):
        np.copyto(found, now, where=n == degree)
        before, now = now, following(degree, now, before)
    return found
