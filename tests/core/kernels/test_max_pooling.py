"""Compiled max pooling of images whose channels lie side by side has NumPy's bits, and its winners."""

from importlib import import_module

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import loops, max_pooling
from distrt.core.layouts import channels_last
from distrt.core.ops.spatial.pooling_shapes import pool_counts

pooling = import_module("distrt.core.ops.spatial.pooling")

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

CASES = {  # kernel, stride, padding, ceil_mode
    "halves": ((2, 2), (2, 2), (0, 0), False),
    "overlapping": ((3, 3), (2, 2), (1, 1), False),
    "with gaps": ((1, 2), (2, 3), (0, 0), False),
    "last windows go beyond the image": ((3, 2), (2, 2), (1, 0), True),
}
KINDS = pytest.mark.parametrize("kind", [np.float32, dt.bfloat16.numpy], ids=["float32", "bfloat16"])


def image(rng, kind, shape=(2, 16, 7, 9)):
    """With ties, and with numbers that are none among the others."""
    values = rng.integers(-3, 3, shape).astype(np.float32)
    values.reshape(-1)[rng.integers(0, values.size, 20)] = np.nan
    values[0, 0] = -np.inf
    return channels_last(values.astype(kind))


@KINDS
@pytest.mark.parametrize("name", CASES)
def test_largest_elements_winners_and_the_way_back_are_numpys(monkeypatch, rng, name, kind):
    kernel, stride, padding, ceil_mode = CASES[name]
    given, options = image(rng, kind), (kernel, stride, padding, (1, 1))
    out = pool_counts(given, *options, ceil_mode)
    expected = pooling._largest("max_pool2d", given, *options, ceil_mode)
    monkeypatch.setattr(max_pooling, "_LEAST", 1)
    assert max_pooling.suits(given.shape, given, given.dtype, kernel, (1, 1))
    found = max_pooling.largest(given, out, kernel, stride, padding)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.strides == other.strides
        assert np.array_equal(one.astype(np.float32), other.astype(np.float32), equal_nan=True)

    g = channels_last(rng.standard_normal(found[0].shape).astype(kind))
    back = max_pooling.route(g, found[1], given.shape, kernel, stride, padding)
    monkeypatch.setattr(max_pooling, "_LEAST", 1 << 16)
    expected = pooling.max_pool_route(g, found[1], given.shape, *options)
    assert back.dtype == expected.dtype == given.dtype and back.strides == expected.strides
    np.testing.assert_allclose(back.astype(np.float32), expected.astype(np.float32), rtol=1e-6)


def test_what_does_not_fit_is_numpys(monkeypatch, rng):
    given = image(rng, np.float32)
    monkeypatch.setattr(max_pooling, "_LEAST", 1)
    suits, two, one = max_pooling.suits, (2, 2), (1, 1)
    assert suits(given.shape, given, given.dtype, two, one)
    assert not suits(given.shape, np.ascontiguousarray(given), given.dtype, two, one), "rows of an image"
    assert not suits(given.shape, given, np.dtype(np.float64), two, one)
    assert not suits(given.shape, given, given.dtype, two, two), "dilated"
    assert not suits(given.shape, given, given.dtype, (12, 12), one), "more positions than a byte counts"
    assert not suits((2, 15, 7, 9), given, given.dtype, two, one), "channels not in whole vectors"
