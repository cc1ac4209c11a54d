"""Random numbers drawn on the GPU, from a key that the generator of the CPU draws.

So one generator stands behind all, whose state is saved, forked and restored as ever, and nothing is copied.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, is_on_gpu, row_major
from distrt.core.errors import DataError, ShapeError
from distrt.core.gpu.faults import cell, kind_of
from distrt.core.gpu.places import at
from distrt.core.kernels.cuda import ordering
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, kernel

__all__ = ["Source", "kept", "moving", "suits"]

_THREADS = 256


class _Moving:
    """What is added to keys while a graph is captured: an array of one number on the GPU, or None."""

    by: Array | None = None


moving = _Moving()


def suits(like: Array) -> bool:
    """Whether the kernel draws what goes with an array: floating, on a GPU."""
    return is_on_gpu(like) and like.dtype in C_TYPES


def kept(
    shape: tuple[int, ...], p: float, scale: float, key: int, dtype: Any, like: Array, first: int = 0
) -> Array:
    """0 with probability ``p``, else ``scale``, where another array is.

    A part of a larger array's numbers begins with that array's element ``first``, a multiple of 4.
    """
    with at(like):
        made = np.empty(shape, dtype, like=like)
        if made.size:
            blocks = min(MOST_BLOCKS, math.ceil(made.size / (4 * _THREADS)))
            sizes = (np.int64(made.size), np.float64(p), np.float64(scale))
            numbers = (np.uint64(key), np.uint64(first // 4))
            kernel("draws", "kept", T=C_TYPES[np.dtype(dtype)])(
                (blocks,), (_THREADS,), (made, *sizes, *numbers, moving.by)
            )
    return made


class Source:
    """Draws with the names of NumPy's ``Generator``, of arrays on a GPU; each takes one key from the CPU's.

    Args:
        keys: draws the keys.
        like: an array on the GPU.
    """

    def __init__(self, keys: np.random.Generator, like: Array) -> None:
        self._keys, self._like = keys, like

    def random(self, size: Any, dtype: Any = np.float64) -> Array:
        """Uniform in [0, 1)."""
        return self._fractions(size, dtype, 0)

    def standard_normal(self, size: Any, dtype: Any = np.float64) -> Array:
        """Normal with mean 0 and standard deviation 1."""
        return self._fractions(size, dtype, 1)

    def standard_exponential(self, size: Any, dtype: Any = np.float64) -> Array:
        """Exponential with rate 1; never 0."""
        return self._fractions(size, dtype, 2)

    def integers(self, low: int, high: int, size: Any) -> Array:
        """Whole numbers in [low, high)."""
        many = (high - low) % 2**64
        return self._drawn(size, "whole_numbers", np.int64, np.int64(low), np.uint64(many))

    def permutation(self, count: int) -> Array:
        """The numbers below ``count`` in an order of equal chance: that of as many drawn ones."""
        with at(self._like):
            hurry = self.integers(0, 2**63, (count,))
            return ordering.argsort(hurry, 0) if ordering.suits(hurry) else np.argsort(hurry)

    def standard_gamma(self, shape: Array) -> Array:
        """Gamma with rate 1."""
        return self._each("gamma_numbers", ("shape < 0", DataError), shape)

    def poisson(self, lam: Array) -> Array:
        """Poisson; counts are float64, as they are of `binomial`."""
        wrong = "invalid Poisson rate, expected rate to be non-negative"
        return self._each("poisson_numbers", (wrong, ShapeError), lam)

    def binomial(self, n: Array, p: Array) -> Array:
        """How many of ``n`` tries succeed; nobody tries less than 0 times, and chances are bounded. NaN for NaN."""
        return self._each("binomial_numbers", None, n, p)

    def vonmises(self, mu: float, kappa: Array) -> Array:
        """Angles around ``mu``."""
        return mu + self._each("von_mises_numbers", ("kappa < 0", DataError), kappa)

    def _each(self, name: str, wrong: tuple[str, type[Exception]] | None, *parameters: Array) -> Array:
        """A number for each element of the parameters, whose faults are raised where the program waits next."""
        key = int(self._keys.integers(2**63))
        with at(self._like):
            spread = np.broadcast_arrays(*[each.astype(np.float64, copy=False) for each in parameters])
            made = np.empty(spread[0].shape, np.float64, like=self._like)
            if made.size:
                blocks = min(MOST_BLOCKS, math.ceil(made.size / _THREADS))
                fault = (np.uint64(address_of(cell())), np.int64(kind_of(*wrong) if wrong else 0))
                arguments = (made, np.int64(made.size), np.uint64(key), moving.by, *fault)
                code = kernel("families", name)
                code((blocks,), (_THREADS,), (*arguments, *map(row_major, spread)))
        return made

    def _fractions(self, size: Any, dtype: Any, kind: int) -> Array:
        return self._drawn(size, "fractions", dtype, np.int32(kind))

    def _drawn(self, size: Any, name: str, dtype: Any, *numbers: Any) -> Array:
        key = int(self._keys.integers(2**63))
        with at(self._like):
            made = np.empty(size, dtype, like=self._like)
            if made.size:
                blocks = min(MOST_BLOCKS, math.ceil(made.size / (2 * _THREADS)))
                code = kernel("fractions", name, T="double" if made.dtype == np.float64 else "float")
                arguments = (made, np.int64(made.size), np.uint64(key), moving.by, *numbers)
                code((blocks,), (_THREADS,), arguments)
        return made
