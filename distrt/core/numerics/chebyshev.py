"""Sums of Chebyshev polynomials, and loops over blocks that stay in the cache.

The coefficients in this folder are the discrete cosine transforms of values in 90-digit decimal arithmetic.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from distrt.core.arrays import Array

_BLOCK = 8192


def chebyshev(t: Array, coefficients: Sequence[float]) -> Array:
    """``sum of coefficients[k] * T_k(t)`` for t in [-1, 1], by Clenshaw's recurrence, in the dtype of ``t``.

    In float32 the terms that it cannot hold are left out.
    """
    wanted = list(coefficients)
    if t.dtype == np.float32:
        bound = 1e-9 * max(abs(each) for each in wanted)
        while abs(wanted[-1]) < bound:
            wanted.pop()
    doubled = t + t
    later, latest = np.zeros_like(t), np.full_like(t, wanted[-1])
    for coefficient in reversed(wanted[1:-1]):
        later, latest = latest, doubled * latest - later + t.dtype.type(coefficient)
    return t * latest - later + t.dtype.type(wanted[0])


def in_blocks(function: Callable[..., Array]) -> Callable[..., Array]:
    """The function of equally long vectors, for arrays of any shapes that broadcast; it sees one block at a time."""

    @functools.wraps(function)
    def over_blocks(*arrays: Array) -> Array:
        place = next((array for array in arrays if not isinstance(array, np.ndarray | np.generic)), None)
        if place is not None:
            arrays = tuple(np.asarray(array, like=place) for array in arrays)
        arrays = tuple(np.broadcast_arrays(*arrays)) if len(arrays) > 1 else arrays
        if place is not None:  # a GPU takes all at once
            return function(*[array.reshape(-1) for array in arrays]).reshape(arrays[0].shape)
        rows = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
        made = np.empty(rows[0].shape, rows[0].dtype)
        for start in range(0, made.size, _BLOCK):
            made[start : start + _BLOCK] = function(*[row[start : start + _BLOCK] for row in rows])
        return made.reshape(arrays[0].shape)

    return over_blocks
