"""Compiled activations agree with the error function of the standard library, and with NumPy's slopes."""

import math

import numpy as np
import pytest

from distrt.core.kernels import curves, loops

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

VALUES = np.concatenate(
    [np.linspace(-12, 12, 4000), [0.0, -0.0, 1e-30, -1e-30, 100, -100, 1e10, -1e10, 3e38, -3e38], np.zeros(6)]
).astype(np.float32)
CUBE = 0.044715


def chance(x, is_bent):
    x = x.astype(np.float64)
    if is_bent:
        with np.errstate(over="ignore"):
            return (1 + np.tanh(math.sqrt(2 / math.pi) * (x + CUBE * x**3))) / 2
    return np.array([(1 + math.erf(each / math.sqrt(2))) / 2 for each in x.tolist()])


def slope(x, is_bent):
    near, step = x.astype(np.float64), 1e-5
    return ((near + step) * chance(near + step, is_bent) - (near - step) * chance(near - step, is_bent)) / (
        2 * step
    )


@pytest.mark.parametrize("is_bent", [False, True])
def test_gelu_is_exact_to_float32(is_bent):
    expected = VALUES * chance(VALUES, is_bent)
    assert (np.abs(curves.gelu(VALUES, is_bent) - expected) <= 2e-7 * np.abs(VALUES)).all()


@pytest.mark.parametrize("is_bent", [False, True])
def test_its_slope_is_that_of_finite_differences(is_bent):
    values = VALUES[np.abs(VALUES) < 20]
    values = values[: values.size // 16 * 16].copy()
    g = np.random.default_rng(0).standard_normal(values.size).astype(np.float32)
    found = curves.gelu_slope(values, g, is_bent)
    np.testing.assert_allclose(found, g * slope(values, is_bent), rtol=2e-6, atol=2e-6)


def test_what_is_no_number_stays_so():
    values = np.full(16, np.nan, np.float32)
    for is_bent in (False, True):
        assert np.isnan(curves.gelu(values, is_bent)).all()
        assert np.isnan(curves.gelu_slope(values, np.ones_like(values), is_bent)).all()


def test_infinities_are_those_of_the_formula():
    values = np.array([np.inf, -np.inf] * 8, np.float32)
    found = curves.gelu(values, False)
    assert (found[::2] == np.inf).all() and np.isnan(found[1::2]).all()
