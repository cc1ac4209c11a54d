"""Compiled arithmetic on bfloat16 has the bits of ``ml_dtypes``."""

import ml_dtypes
import numpy as np
import pytest

from distrt.core.kernels import elements, loops
from distrt.core.layouts import channels_last

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

HALF = np.dtype(ml_dtypes.bfloat16)
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38)


@pytest.fixture(autouse=True)
def takes_small_ones(monkeypatch):
    monkeypatch.setattr(elements, "_LEAST", 1)


def arrays(rng, shape=(3, 16, 5, 4)):
    """Two of random numbers, with every pair of special ones among them."""
    pairs = np.array([(a, b) for a in SPECIAL for b in SPECIAL]).T
    made = []
    for special in pairs:
        each = rng.standard_normal(shape).astype(np.float32)
        each.reshape(-1)[: special.size] = special
        made.append(each.astype(HALF))
    return made


def require_same(found, expected):
    """Of the same bits, but for the sign of what is no number."""
    assert found.dtype == expected.dtype == HALF and found.strides == expected.strides
    is_none = np.isnan(expected.astype(np.float32))
    assert np.array_equal(np.isnan(found.astype(np.float32)), is_none)
    assert np.array_equal(found.view(np.uint16)[~is_none], expected.view(np.uint16)[~is_none])


@pytest.mark.parametrize(
    "function", [np.add, np.subtract, np.multiply, np.true_divide], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("lay", [lambda a: a, channels_last], ids=["plain", "channels last"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_arithmetic_rounds_once(rng, function, lay):
    first, second = map(lay, arrays(rng))
    require_same(elements.binary(function, first, second), function(first, second))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_shapes_are_broadcast(rng):
    first, second = (each[:, :, 3:] for each in arrays(rng))
    for other in (second[:1], second[..., :1], second[0, 0], second):
        require_same(elements.binary(np.add, first, other), first + other)


def test_gradients_are_added_in_place(rng):
    total, more = (each[1:].copy() for each in arrays(rng))
    expected, before = total + more, total
    elements.add_into(total, more)
    assert total is before
    require_same(total, expected)


@pytest.mark.parametrize(
    "lay", [lambda a: a, channels_last, lambda a: a[:, ::2]], ids=["plain", "last", "gaps"]
)
def test_relu_keeps_what_is_no_number(rng, lay):
    given = lay(arrays(rng)[0]) + np.zeros((), HALF)  # no -0, which may stay or not
    require_same(elements.relu(given), np.maximum(given, np.zeros((), HALF)))


def test_other_dtypes_are_numpys(rng):
    given = rng.standard_normal((4, 4)).astype(np.float32)
    assert np.array_equal(elements.binary(np.add, given, 2.0), given + 2)
    assert np.array_equal(elements.relu(given), np.maximum(given, 0))
