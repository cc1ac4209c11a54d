"""Bessel's and Airy's functions against differential equations and identities that fix them, and at their edges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import distrt
from distrt.core.arrays import Array
from distrt.core.numerics import airy, bessel, bessel_second, bessel_waves

PLACES = np.concatenate([np.linspace(0.01, 30, 600), [8.0, 2.0, 100.0]])


def _slope(function: Callable[[Array], Array], x: Array) -> Array:
    """The derivative, by the central difference of fourth order."""
    h = 1e-3 * np.minimum(x, 1)
    near, far = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
    return (8 * near - far) / (12 * h)


def test_waves_have_the_wronskian_of_their_equation() -> None:
    x = PLACES
    found = bessel_waves.j1(x) * bessel_waves.y0(x) - bessel_waves.j0(x) * bessel_waves.y1(x)
    np.testing.assert_allclose(found, 2 / (math.pi * x), rtol=1e-12)


def test_decays_have_the_wronskian_of_their_equation() -> None:
    x = PLACES
    found = bessel.i0e(x) * bessel_second.k1e(x) + bessel.i1e(x) * bessel_second.k0e(x)
    np.testing.assert_allclose(found, 1 / x, rtol=1e-12)


@pytest.mark.parametrize(
    ("of_order_0", "of_order_1"),
    [
        (bessel_waves.j0, bessel_waves.j1),
        (bessel_waves.y0, bessel_waves.y1),
        (bessel_second.k0, bessel_second.k1),
    ],
)
def test_order_1_is_the_negative_slope_of_order_0(of_order_0: Callable, of_order_1: Callable) -> None:
    x = PLACES[PLACES > 0.1]
    np.testing.assert_allclose(_slope(of_order_0, x), -of_order_1(x), rtol=1e-8, atol=1e-9)


def test_airys_function_solves_its_equation() -> None:
    x = np.linspace(-12, 6, 400)
    h = 1e-2
    second = (
        -airy.airy_ai(x + 2 * h)
        + 16 * airy.airy_ai(x + h)
        - 30 * airy.airy_ai(x)
        + 16 * airy.airy_ai(x - h)
        - airy.airy_ai(x - 2 * h)
    ) / (12 * h * h)
    np.testing.assert_allclose(second, x * airy.airy_ai(x), atol=1e-5)
    np.testing.assert_allclose(airy.airy_ai(np.zeros(1)), 3 ** (-2 / 3) / math.gamma(2 / 3), rtol=1e-14)


def test_edges_are_those_of_pytorch() -> None:
    x = distrt.tensor([0.0, -1.0, math.nan], dtype=distrt.float64)
    special = distrt.special
    assert special.bessel_y0(x).tolist()[0] == special.bessel_y1(x).tolist()[0] == -math.inf
    assert special.modified_bessel_k0(x).tolist()[0] == special.modified_bessel_k1(x).tolist()[0] == math.inf
    for function in (
        special.bessel_y0,
        special.bessel_y1,
        special.modified_bessel_k0,
        special.modified_bessel_k1,
    ):
        assert all(math.isnan(each) for each in function(x).tolist()[1:])
    assert special.bessel_j0(x).tolist()[0] == pytest.approx(1, rel=1e-15)
    assert special.spherical_bessel_j0(x).tolist()[0] == 1
    assert special.bessel_j1(-x).tolist()[:2] == (-special.bessel_j1(x)).tolist()[:2]
