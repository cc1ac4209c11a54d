"""Compiled conversion between float32 and bfloat16 has the bits of ``ml_dtypes``, for every number there is."""

import ml_dtypes
import numpy as np
import pytest

from distrt.core.kernels import casting, loops
from distrt.core.kernels.onednn.convolution import channels_last

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

HALF = np.dtype(ml_dtypes.bfloat16)


@pytest.fixture(autouse=True)
def takes_small_ones(monkeypatch):
    monkeypatch.setattr(casting, "_LEAST", 1)


def bits(array):
    return array.view(np.uint16 if array.dtype == HALF else np.uint32)


def test_every_bfloat16_becomes_its_float32():
    every = np.arange(1 << 16, dtype=np.uint16).view(HALF)
    assert np.array_equal(bits(casting.cast(every, np.float32)), bits(every.astype(np.float32)))


def test_what_lies_around_every_bfloat16_is_rounded_as_ml_dtypes_does():
    """Ties, their neighbours, subnormal numbers, infinities and what overflows to them, and numbers that are none."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    for lower in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        given = (upper | np.uint32(lower)).view(np.float32)
        assert np.array_equal(bits(casting.cast(given, HALF)), bits(given.astype(HALF))), hex(lower)


@pytest.mark.parametrize("kind", [np.float32, HALF], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    "lay",
    [
        lambda a: a,
        lambda a: a[:, 1:],
        lambda a: a.transpose(0, 2, 3, 1),
        channels_last,
        lambda a: a[:, :, ::2],
        lambda a: a[:0],
        lambda a: a[0, 0, 0, 0],
    ],
    ids=["plain", "offset", "transposed", "channels last", "with gaps", "empty", "a number"],
)
def test_shapes_and_orders_of_dims_are_kept(rng, kind, lay):
    given = lay(rng.standard_normal((3, 5, 7, 6)).astype(kind))
    given = np.asarray(given, kind)
    wanted = HALF if given.dtype == np.float32 else np.float32
    found, expected = casting.cast(given, wanted), given.astype(wanted)
    assert found.dtype == wanted and found.shape == given.shape
    assert found.strides == expected.strides
    assert np.array_equal(bits(found.copy()), bits(expected.copy()))
    target = np.empty_like(expected)
    casting.cast_into(target, given)
    assert np.array_equal(bits(target.copy()), bits(expected.copy()))


def test_other_dtypes_are_numpys(rng):
    given = rng.standard_normal(40)
    for one, other in (
        (np.float64, HALF),
        (np.float32, np.float64),
        (np.float32, np.float16),
        (HALF, np.float64),
    ):
        assert np.array_equal(casting.cast(given.astype(one), other), given.astype(one).astype(other))
