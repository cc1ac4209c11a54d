"""Rows that come more than once are found, by all their bits, and only where that pays."""

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.ops.indexing.repeats import repeats_of

WIDTH, COLUMNS = 64, 1024


def found(array):
    repeats = repeats_of(array, COLUMNS)
    if repeats is not None:
        rows, places = repeats
        assert rows[places].tobytes() == array.tobytes(), "the rows are those of the array, bit by bit"
        assert len(rows) == len({row.tobytes() for row in array}), "each only once"
    return repeats


@pytest.mark.parametrize("dtype", [np.float32, np.float64, dt.bfloat16.numpy], ids=str)
def test_rows_of_a_table_are_found(rng, dtype):
    table = rng.standard_normal((100, WIDTH)).astype(dtype)
    assert found(table[rng.integers(0, 100, 512)]) is not None
    assert found(table[rng.integers(0, 100, 512)][::-1]) is not None, "rows that lie backwards"


def test_one_hot_rows_and_padding_are_found(rng):
    assert found(np.eye(WIDTH, dtype=np.float32)[rng.integers(0, WIDTH, 512)]) is not None
    padded = rng.standard_normal((512, WIDTH)).astype(np.float32)
    padded[rng.permutation(512)[:300]] = 0
    assert found(padded) is not None


def test_rows_that_differ_in_a_sign_or_in_one_number_are_different(rng):
    rows = np.zeros((512, WIDTH), np.float32)
    rows[1::2] = -0.0
    rows[::4, 5] = np.nan
    rows[::8, 40] = 1e-45
    repeats = found(rows)
    assert repeats is not None and len(repeats.rows) == 4


def test_rows_that_mostly_differ_are_left_alone(rng):
    rows = rng.standard_normal((512, WIDTH)).astype(np.float32)
    assert repeats_of(rows, COLUMNS) is None
    rows[:50] = rows[50]
    assert repeats_of(rows, COLUMNS) is None
    rows[:, 0] = 0
    assert repeats_of(rows, COLUMNS) is None, "they differ behind their first word"


def test_a_small_product_is_not_worth_a_look():
    assert repeats_of(np.zeros((512, WIDTH), np.float32), 8) is None
    assert repeats_of(np.zeros((8, WIDTH), np.float32), 1 << 20) is None
    assert repeats_of(np.zeros((512, 65), np.float32), 1 << 20) is None, "not in whole words"
