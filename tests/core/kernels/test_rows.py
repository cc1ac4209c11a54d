"""Compiled normalisation of rows agrees with NumPy's in float64, forward and backward."""

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import loops, rows
from distrt.core.ops.nn.standardising import View, slopes, standardise

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

SHAPES = [(1, 32), (70, 64), (130, 96)]
ALL = (True, True, True)


@pytest.fixture(autouse=True)
def takes_small_ones(monkeypatch):
    monkeypatch.setattr(rows, "_LEAST", 1)


def both_ways(input, weight, bias, g, is_centred=True, eps=1e-3):
    """The result, and the gradients of input, weight and bias."""
    view = View(input.shape, (1,), (1, input.shape[1]))
    out, average, variance = standardise(input, weight, bias, eps, view, is_centred)
    needs = (True, weight is not None, bias is not None)
    return [out, *slopes(g, input, weight, average, variance, eps, needs, view, is_centred)]


def arrays(rng, shape):
    """Input, weight, bias and the gradient of the result, in float64."""
    return [rng.standard_normal(each) + 0.5 for each in (shape, shape[1:], shape[1:], shape)]


def narrow(values):
    return [each.astype(np.float32) for each in values]


@pytest.mark.parametrize("is_centred", [True, False], ids=["centred", "root mean square"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_and_gradients_are_those_of_float64(rng, shape, is_centred):
    given = arrays(rng, shape)
    if not is_centred:
        given[2] = None
    single = [None if each is None else each.astype(np.float32) for each in given]
    assert rows.suits(single[0]) and not rows.suits(given[0])
    for found, expected in zip(both_ways(*single, is_centred), both_ways(*given, is_centred), strict=True):
        if expected is None:
            assert found is None
            continue
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.ravel(), expected.ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_centred", [True, False], ids=["centred", "root mean square"])
def test_bfloat16_is_computed_in_float32_and_rounded_once(rng, is_centred):
    input, weight, bias, g = narrow(arrays(rng, (70, 64)))
    bias, half = bias if is_centred else None, dt.bfloat16.numpy
    input, g = input.astype(half), g.astype(half)
    assert rows.suits(input)
    found = both_ways(input, weight, bias, g, is_centred)
    expected = both_ways(input.astype(np.float32), weight, bias, g.astype(np.float32), is_centred)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        if other is None:
            assert one is None
        elif number < 2:
            assert one.dtype == half and np.array_equal(one, other.astype(half))
        else:
            assert one.dtype == np.float32 and np.array_equal(one, other)


def test_without_weight_and_bias(rng):
    input, _, _, g = arrays(rng, (9, 32))
    found = both_ways(*narrow([input])[:1], None, None, g.astype(np.float32))
    expected = both_ways(input, None, None, g)
    assert found[2] is found[3] is None
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_agree_with_differences(rng):
    *inputs, g = arrays(rng, (5, 32))
    directions = [rng.standard_normal(each.shape) for each in inputs]

    def along(step):
        moved = [each + step * way for each, way in zip(inputs, directions, strict=True)]
        return (both_ways(*moved, g)[0] * g).sum()

    difference = (along(1e-5) - along(-1e-5)) / 2e-5
    gradients = both_ways(*narrow([*inputs, g]))[1:]
    found = sum((each.ravel() * way.ravel()).sum() for each, way in zip(gradients, directions, strict=True))
    assert found == pytest.approx(difference, rel=1e-4)


def test_a_variance_survives_a_large_mean(rng):
    given = arrays(rng, (4, 256))
    given[0] += 1000
    found = both_ways(*narrow(given))[0]
    exact = both_ways(*[each.astype(np.float64) for each in narrow(given)])[0]
    np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-3)


def test_the_same_call_gives_the_same_bits_wherever_its_arrays_lie(rng):
    given = narrow(arrays(rng, (70, 64)))
    expected = both_ways(*given)
    for offset in range(1, 16):
        moved = []
        for each in given:
            room = np.zeros(each.size + 16, np.float32)
            room[offset : offset + each.size] = each.reshape(-1)
            moved.append(room[offset : offset + each.size].reshape(each.shape))
        assert all(np.array_equal(*pair) for pair in zip(both_ways(*moved), expected, strict=True))


def test_rows_in_another_order_in_memory_are_taken(rng):
    given = narrow(arrays(rng, (20, 32)))
    turned = [np.asfortranarray(each) for each in given]
    assert all(np.array_equal(*pair) for pair in zip(both_ways(*turned), both_ways(*given), strict=True))


def test_numbers_that_are_none_stay_in_their_rows(rng):
    given = narrow(arrays(rng, (9, 32)))
    expected = both_ways(*given)[:2]
    given[0][2, 3], given[0][5, 30] = np.nan, np.inf
    found = both_ways(*given)[:2]
    others = [n for n in range(9) if n not in (2, 5)]
    for one, other in zip(found, expected, strict=True):
        assert np.isnan(one[[2, 5]]).all() and np.array_equal(one[others], other[others])


def test_what_does_not_fit_is_numpys(monkeypatch):
    input = np.zeros((4, 64), np.float32)
    assert rows.suits(input)
    assert not rows.suits(input[:, :40]), "a width that is not in whole pairs of vectors"
    assert not rows.suits(input[:0]), "nothing"
    monkeypatch.setattr(rows, "_LEAST", 1 << 16)
    assert not rows.suits(input), "a small one"
