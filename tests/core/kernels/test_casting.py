"""Compiled conversion between float32 and half precision has NumPy's bits."""

import ml_dtypes
import numpy as np
import pytest

from distrt.core.kernels import casting, loops
from distrt.core.layouts import channels_last

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

HALF, OTHER = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)
HALVES = pytest.mark.parametrize("half", [HALF, OTHER], ids=["bfloat16", "float16"])


@pytest.fixture(autouse=True)
def takes_small_ones(monkeypatch):
    monkeypatch.setattr(casting, "_LEAST", 1)


def bits(array):
    return array.view(np.uint16 if array.itemsize == 2 else np.uint32)


def require_same(found, expected, half):
    """Of the same bits; what is no number in float16 may be one of several."""
    is_any = np.isnan(expected.astype(np.float32)) & (half == OTHER)
    assert np.isnan(found.astype(np.float32)[is_any]).all()
    assert np.array_equal(bits(found)[~is_any], bits(expected)[~is_any])


@HALVES
def test_every_number_in_half_precision_becomes_its_float32(half):
    every = np.arange(1 << 16, dtype=np.uint16).view(half)
    require_same(casting.cast(every, np.float32), every.astype(np.float32), half)


@HALVES
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_lies_around_every_number_is_rounded_to_it(half):
    """Ties, their neighbours, subnormal numbers, infinities and what overflows to them, and numbers that are none."""
    exact = np.arange(1 << 16, dtype=np.uint16).view(half).astype(np.float32).view(np.uint32)
    middle = 0x8000 if half == HALF else 0x1000
    for more in (0, 1, middle - 1, middle, middle + 1, 2 * middle - 1):
        given = (exact + np.uint32(more)).view(np.float32)
        require_same(casting.cast(given, half), given.astype(half), half)


@pytest.mark.parametrize("kind", [np.float32, HALF, OTHER], ids=["float32", "bfloat16", "float16"])
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
