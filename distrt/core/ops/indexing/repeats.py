"""Rows that come more than once, as an embedding's do, and one-hot vectors, and what pads sequences.

A product of matrices needs each of them only once. Recurrent layers look for them where their projection is large.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from distrt.core.arrays import Array

# Multiplications that there are for a row of the input. Below, looking takes longer than what may be saved.
_LEAST = 1 << 16

# Rows. Fewer are not worth a look.
_LEAST_ROWS = 256

# What part of the rows may be different.
_MOST_DIFFERENT = 0.75

_WORD = np.dtype(np.int64)


class Repeats(NamedTuple):
    """An array's rows, each only once.

    Attributes:
        rows: the different ones.
        places: for each of the array's rows, which of these it is.
    """

    rows: Array
    places: Array


def repeats_of(array: Array, columns: int) -> Repeats | None:
    """The different rows of a matrix that is to be multiplied by one of so many columns; None where most differ.

    Rows are alike when all their bits are.
    """
    count, width = array.shape
    if count < _LEAST_ROWS or width * columns < _LEAST or width * array.itemsize % _WORD.itemsize:
        return None
    words = np.ascontiguousarray(array).view(_WORD)
    most = int(count * _MOST_DIFFERENT)
    if width > 1 and _differ(words[:, 0], most) and _differ(words[:, -1], most):
        return None
    _, first, places = np.unique(_mixed(words), return_index=True, return_inverse=True)
    if first.size > most or not np.array_equal(words.take(first[places], 0), words):
        return None
    return Repeats(array.take(first, 0), places)


def _differ(words: Array, most: int) -> bool:
    """Whether more than so many numbers are different."""
    ordered = np.sort(words)
    return int((ordered[1:] != ordered[:-1]).sum()) >= most


def _mixed(words: Array) -> Array:
    """A number for each row that tells it from others: almost always, hence the second look."""
    spread = (
        words >> 32
    )  # what counts of small whole numbers are the bits in front, which a product would push out
    spread ^= words
    mixed: Array = np.einsum("ij,j->i", spread, _factors(words.shape[1]))
    return mixed


@functools.lru_cache(maxsize=64)
def _factors(count: int) -> Array:
    """Odd numbers."""
    return np.random.default_rng(0).integers(-(1 << 62), 1 << 62, count) | 1
