"""Normalisation of images whose channels lie side by side agrees with NumPy's."""

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import channels, loops
from distrt.core.layouts import channels_last

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

SHAPES = [(3, 16, 5, 7), (2, 48, 9, 9), (2, 80, 4, 4), (2, 16, 3, 4, 5)]


def image(shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape) * 2 + 1
    return channels_last(values.astype(np.float32))


def by_channel(values, dims):
    return values.reshape(-1, *[1] * (dims - 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_moments_are_those_of_float64(shape):
    values = image(shape)
    dims = (0, *range(2, values.ndim))
    mean, variance = channels.moments(values)
    wide = values.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(dims), rtol=1e-6)
    np.testing.assert_allclose(variance, wide.var(dims), rtol=1e-6)


def test_a_variance_survives_a_large_mean():
    values = image((4, 16, 20, 20)) + np.float32(10_000)
    wide = values.astype(np.float64)
    np.testing.assert_allclose(channels.moments(values)[1], wide.var((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("first", [0.0, 2.0, 1e6, np.inf])
def test_moments_of_bfloat16_do_not_depend_on_what_the_first_pixel_is(first):
    values = image((4, 16, 20, 20)).astype(dt.bfloat16.numpy)
    values[0, 3, 0, 0] = first
    wide = values.astype(np.float64)
    mean, variance = channels.moments(values)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(mean, wide.mean((0, 2, 3)), rtol=3e-6)
        np.testing.assert_allclose(variance, wide.var((0, 2, 3)), rtol=1e-5)


def test_a_channel_of_one_value_has_no_variance():
    values = channels_last(np.full((4, 16, 20, 20), 3, dt.bfloat16.numpy))
    mean, variance = channels.moments(values)
    assert (mean == 3).all() and (variance == 0).all()


def test_sums_over_pixels_are_those_of_float64():
    for values in (image((4, 16, 20, 20)), image((4, 16, 20, 20)).astype(dt.bfloat16.numpy)):
        np.testing.assert_allclose(channels.sums(values), values.astype(np.float64).sum((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_products_are_those_of_float64(shape):
    first, second = image(shape, 1), image(shape, 2)
    dims = (0, *range(2, first.ndim))
    mean = channels.moments(second)[0]
    sums, of_products = channels.products(first, second, mean)
    apart = second.astype(np.float64) - by_channel(mean, first.ndim)
    np.testing.assert_allclose(sums, first.astype(np.float64).sum(dims), rtol=1e-5)
    np.testing.assert_allclose(of_products, (first * apart).sum(dims), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_affine_is_a_line_for_each_channel(shape):
    others, values = image(shape, 1), image(shape, 2)
    numbers = np.random.default_rng(3).standard_normal((4, shape[1])).astype(np.float32)
    mean, factor, more, scale = (by_channel(each, others.ndim) for each in numbers)
    line = (others - mean) * factor + more
    found = channels.affine(others, *numbers[:3])
    assert found.strides == others.strides
    np.testing.assert_allclose(found, line, rtol=1e-5, atol=1e-5)
    found = channels.affine(others, *numbers[:3], values=values, scale=numbers[3])
    np.testing.assert_allclose(found, line + values * scale, rtol=1e-5, atol=1e-5)


def test_keep_nonzero_keeps_gradients_where_others_are_nan():
    values, others = image((2, 16, 4, 4), 1), image((2, 16, 4, 4), 2)
    others[others < 0] = 0
    others[0, 0, 0, 0], others[1, 3, 2, 2] = np.nan, -0.0
    expected = np.where(others != 0, values, 0)
    assert np.array_equal(channels.keep_nonzero(values, others), expected)


def halved(array):
    """The image in bfloat16, and the float32 of what is left of it."""
    half = channels_last(array.astype(dt.bfloat16.numpy))
    return half, channels_last(half.astype(np.float32))


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_is_computed_in_float32_and_rounded_once(monkeypatch, shape):
    monkeypatch.setattr(channels, "_LEAST", 1)
    (others, wide_others), (values, wide_values) = (halved(image(shape, seed)) for seed in (1, 2))
    assert channels.suits(others) and channels.suits_elements(others, values)
    for found, expected in zip(channels.moments(others), channels.moments(wide_others), strict=True):
        np.testing.assert_allclose(found, expected, rtol=3e-6)
    mean = channels.moments(wide_others)[0]
    sums = channels.products(values, others, mean), channels.products(wide_values, wide_others, mean)
    assert all(np.array_equal(*pair) for pair in zip(*sums, strict=True))
    numbers = np.random.default_rng(3).standard_normal((4, shape[1])).astype(np.float32)
    mean, factor, more, scale = numbers
    pairs = [
        (channels.affine(others, mean, factor, more), channels.affine(wide_others, mean, factor, more)),
        (
            channels.affine(others, mean, factor, more, values=values, scale=scale),
            channels.affine(wide_others, mean, factor, more, values=wide_values, scale=scale),
        ),
        (channels.keep_nonzero(values, others), channels.keep_nonzero(wide_values, wide_others)),
    ]
    for found, expected in pairs:
        assert found.dtype == others.dtype and found.strides == others.strides
        assert np.array_equal(found.view(np.uint16), expected.astype(found.dtype).view(np.uint16))
