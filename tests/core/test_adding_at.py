"""Adding at places that repeat: the quick ways give what ``np.add.at`` gives, and every way is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.ops.indexing import adding_at
from distrt.core.ops.indexing.adding_at import add_at

_WHOLE = slice(None)


def _keys(rng: np.random.Generator) -> list[tuple[str, tuple[int, ...], Any, bool]]:
    few, many = rng.integers(-7, 7, 200), rng.integers(-7, 7, (10, 180))
    return [
        ("long rows", (7, 64), few, True),
        ("long rows as a tuple", (7, 4, 16), (few,), True),
        ("rows of an index of two dims", (7, 64), many, True),
        ("columns", (5, 7, 9), (_WHOLE, few), True),
        ("last dim", (64, 7), (_WHOLE, few), True),
        ("with a whole dim behind", (7, 64), (few, _WHOLE), True),
        ("short rows", (7, 3), many, True),
        ("numbers", (7,), rng.integers(0, 7, 2000), True),
        ("int32", (7, 64), few.astype(np.int32), True),
        ("two dims", (7, 7), (many, many[::-1]), True),
        ("two dims that broadcast", (7, 7, 3), (many[:, :1], many[:1]), True),
        ("a mask", (7, 300), rng.random((7, 300)) < 0.5, True),
        ("a mask behind a dim", (7, 300), (_WHOLE, rng.random(300) < 0.5), True),
        ("little", (7, 3), few[:5], False),
        ("two dims, long rows", (7, 7, 64), (few, few[::-1]), True),
        ("two dims behind another", (3, 7, 7, 64), (_WHOLE, few, few), False),
        ("dims apart", (7, 64, 7), (few, _WHOLE, few), False),
        ("a mask beside an index", (7, 7, 64), (np.arange(7) < 3, few[:3]), False),
    ]


_NAMES = [name for name, *_ in _keys(np.random.default_rng(0))]


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.complex128])
@pytest.mark.parametrize("name", _NAMES)
def test_every_way_of_adding_gives_what_numpy_gives(name: str, dtype: Any, rng: np.random.Generator) -> None:
    _, shape, key, is_quick = next(row for row in _keys(rng) if row[0] == name)
    target = rng.integers(-9, 9, shape).astype(dtype)
    values = rng.integers(-9, 9, target[key].shape).astype(dtype)  # whole numbers: no rounding
    expected = target.copy()
    np.add.at(expected, key, values)
    assert adding_at._is_quick(target.copy(), key, values) == is_quick
    add_at(target, key, values)
    np.testing.assert_array_equal(target, expected)


def test_values_broadcast(rng: np.random.Generator) -> None:
    target, index = np.zeros((7, 64)), rng.integers(0, 7, 100)
    expected = np.repeat(np.bincount(index, minlength=7)[:, None], 64, 1)
    add_at(target, index, np.ones(()))
    np.testing.assert_array_equal(target, expected)


def test_a_target_that_is_not_contiguous_is_added_to(rng: np.random.Generator) -> None:
    for width in (3, 64):
        target, index = np.zeros((width, 7)).T, rng.integers(0, 7, 500)
        add_at(target, index, np.ones((500, width)))
        np.testing.assert_array_equal(target.sum(1), width * np.bincount(index, minlength=7))


@pytest.mark.parametrize("wrong", [7, -8])
@pytest.mark.parametrize("width", [3, 64])
def test_an_index_out_of_range_changes_nothing(wrong: int, width: int) -> None:
    target, index = np.zeros((7, width)), np.zeros(1000, np.int64)
    index[-1] = wrong
    with pytest.raises(IndexError, match="out of bounds"):
        add_at(target, index, np.ones((1000, width)))
    assert not target.any()


def test_indices_that_do_not_broadcast_are_refused_as_an_index() -> None:
    with pytest.raises(IndexError):
        add_at(np.zeros((7, 64)), (np.zeros(40, np.int64), np.zeros(3, np.int64)), np.ones(40))


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), dt.bfloat16.numpy], ids=str)
def test_long_rows_of_half_precision_are_rounded_once(dtype: Any) -> None:
    target, values = np.zeros((7, 64), dtype), np.ones((4096, 64), dtype)
    add_at(target, np.zeros(4096, np.int64), values)
    assert (target[0] == 4096).all()  # added one by one, both dtypes stand still before
