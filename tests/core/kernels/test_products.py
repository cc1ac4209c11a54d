"""oneDNN's products agree with NumPy's: float32 to its precision, bfloat16 in float32, rounded once."""

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from distrt.core.kernels.onednn import product as products
from distrt.core.ops.linalg import matrix

HALF, SINGLE = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float32)

needs_instructions = pytest.mark.skipif(
    not products.multiplies_bfloat16(), reason="no oneDNN, or a processor that does not multiply bfloat16"
)
needs_long_vectors = pytest.mark.skipif(
    not products.has_long_vectors(), reason="no oneDNN, or a processor without vectors of 16 numbers"
)
both_kinds = pytest.mark.parametrize(
    "kind",
    [pytest.param(HALF, marks=needs_instructions), pytest.param(SINGLE, marks=needs_long_vectors)],
    ids=str,
)


@pytest.fixture(autouse=True)
def takes_small_ones(monkeypatch):
    for name in ("LEAST", "LEAST_OF_HALF"):
        monkeypatch.setattr(products, name, 1)
        monkeypatch.setattr(matrix, name, 1)


def half(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32).astype(HALF)


def turned(array):
    """The same matrices, their columns in one piece."""
    return np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)


def spaced(array):
    """The same, with gaps between the rows."""
    room = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
    room[..., : array.shape[-1]] = array
    return room[..., : array.shape[-1]]


def every_other(array):
    room = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    room[..., ::2] = array
    return room[..., ::2]


LAYOUTS = {"rows": lambda a: a, "columns": turned, "gaps": spaced, "scattered": every_other}
SHAPES = [
    ((5, 7), (7, 3)),
    ((64, 33), (33, 48)),
    ((1, 40), (40, 1)),
    ((4, 6, 10), (4, 10, 9)),
    ((4, 6, 10), (10, 9)),
    ((6, 10), (3, 10, 9)),
    ((2, 1, 6, 10), (3, 10, 9)),
]


@needs_instructions
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_products_round_once(rng, shapes, left, right):
    given = [LAYOUTS[lay](half(rng, *shape)) for lay, shape in zip((left, right), shapes, strict=True)]
    exact = np.matmul(*[each.astype(np.float64) for each in given])
    terms = np.matmul(*[np.abs(each.astype(np.float64)) for each in given])
    for kind, unit in ((np.dtype(np.float32), 2.0**-23), (HALF, 2.0**-7)):
        found = products.product(*given, None, kind)
        assert found.dtype == kind and found.shape == exact.shape and found.flags.c_contiguous
        # Half a unit for rounding the result, and what float32 sums may lose.
        assert (np.abs(found.astype(np.float64) - exact) <= np.abs(exact) * unit / 2 + terms * 2.0**-21).all()


@needs_instructions
@pytest.mark.parametrize("kind", [np.float32, HALF], ids=["float32", "bfloat16"])
def test_a_bias_is_added_before_rounding(rng, kind):
    left, right = half(rng, 6, 50), half(rng, 50, 8)
    bias = rng.standard_normal(8).astype(kind)
    found = products.product(left, right, bias, HALF).astype(np.float32)
    exact = left.astype(np.float32) @ right.astype(np.float32) + bias.astype(np.float32)
    np.testing.assert_allclose(found, exact, rtol=2.0**-8, atol=1e-5)


@both_kinds
def test_the_same_call_gives_the_same_bits_wherever_its_arrays_lie(rng, kind):
    left, right = half(rng, 33, 70).astype(kind), half(rng, 70, 40).astype(kind)
    expected = products.product(left, right)
    for offset in range(1, 32, 3):
        moved = []
        for each in (left, right):
            room = np.zeros(each.size + 32, kind)
            room[offset : offset + each.size] = each.reshape(-1)
            moved.append(room[offset : offset + each.size].reshape(each.shape))
        assert products.product(*moved).tobytes() == expected.tobytes()


@needs_long_vectors
@pytest.mark.parametrize(
    ("left", "right"), [("rows", "columns"), ("columns", "rows"), ("gaps", "scattered")], ids=str
)
@pytest.mark.parametrize("shapes", [each for each in SHAPES if each[0][-2] > 3], ids=str)
def test_float32_is_as_exact_as_its_sums(rng, shapes, left, right):
    given = [
        LAYOUTS[lay](rng.standard_normal(shape).astype(np.float32))
        for lay, shape in zip((left, right), shapes, strict=True)
    ]
    exact = np.matmul(*[each.astype(np.float64) for each in given])
    terms = np.matmul(*[np.abs(each.astype(np.float64)) for each in given])
    bias = rng.standard_normal(exact.shape[-1]).astype(np.float32)
    room = np.empty(exact.shape, np.float32)
    for row, target in ((None, None), (bias, None), (None, room)):
        found = products.product(*given, row, out=target)
        assert found.dtype == SINGLE and found.shape == exact.shape and found.flags.c_contiguous
        assert target is None or found is target
        expected = exact if row is None else exact + row
        assert (np.abs(found - expected) <= (terms + 4) * 2.0**-21).all()


@needs_long_vectors
def test_large_products_of_float32_are_taken_and_small_ones_left(monkeypatch, rng):
    monkeypatch.setattr(products, "LEAST", 1 << 20)
    assert products.suits((64, 128), (128, 128), SINGLE)
    assert not products.suits((64, 128), (128, 127), SINGLE)
    assert not products.suits((3, 1024), (1024, 1024), SINGLE), "a few rows"
    assert not products.suits((64, 128), (128, 128), np.dtype(np.float64))


def test_what_does_not_fit_is_left():
    given = np.ones((8, 8), np.float64)
    assert products.product(given, given) is None
    assert products.product(given.astype(HALF)[0], given.astype(HALF)) is None
    single = given.astype(SINGLE)
    assert products.product(single, single, out=np.empty((8, 16), SINGLE)[:, ::2]) is None


@both_kinds
def test_infinities_and_what_is_no_number_reach_their_row(rng, kind):
    left, right = half(rng, 5, 16).astype(kind), half(rng, 16, 4).astype(kind)
    left[2, 3], left[4, 0] = np.nan, np.inf
    found = products.product(left, right).astype(np.float32)
    assert np.isnan(found[2]).all() and np.isinf(found[4]).all() and np.isfinite(found[[0, 1, 3]]).all()


def test_without_the_instructions_numpy_multiplies_in_float32(monkeypatch, rng):
    monkeypatch.setattr(products, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(matrix, "LEAST", 1 << 20)  # a small one, or oneDNN would multiply in float32
    left, right, bias = half(rng, 6, 50), half(rng, 50, 8), half(rng, 8)
    assert products.product(left, right, bias, HALF) is None
    exact = left.astype(np.float32) @ right.astype(np.float32) + bias.astype(np.float32)
    assert np.array_equal(matrix.multiplied(left, right, bias), exact.astype(HALF))


@pytest.mark.ci
def test_onednns_own_limit_on_instructions_is_followed():
    """A process of its own: the library asks once."""
    program = (
        "from distrt.core.kernels.onednn.product import multiplies_bfloat16\n"
        "assert not multiplies_bfloat16()\n"
        "import distrt as torch\n"
        "x = torch.ones(64, 64, dtype=torch.bfloat16)\n"
        "assert (x @ x).dtype == torch.bfloat16 and (x @ x)[0, 0].item() == 64\n"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


@needs_long_vectors
def test_large_products_of_float16_are_made_in_float32(rng):
    left, right = (rng.standard_normal(shape).astype(np.float16) for shape in ((8, 50), (50, 8)))
    expected = products.product(left.astype(np.float32), right.astype(np.float32))
    assert np.array_equal(matrix.multiplied(left, right), expected.astype(np.float16))


def test_short_integers_wrap_around(rng):
    left, right = (rng.integers(-32768, 32767, (8, 8)).astype(np.int16) for _ in range(2))
    assert np.array_equal(matrix.multiplied(left, right), left @ right)
