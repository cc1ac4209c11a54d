"""A generator of random numbers that are not there: it draws nothing, and no stream moves on."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray, made

__all__ = ["nothing"]


class _Nothing:
    """The methods of NumPy's generators that tensors are drawn by."""

    def random(self, size: Any = (), dtype: Any = np.float64) -> MetaArray:
        """Uniform in [0, 1)."""
        return made(size, dtype)

    standard_normal = standard_exponential = random

    def standard_cauchy(self, size: Any = ()) -> MetaArray:
        """Cauchy."""
        return made(size, np.float64)

    def lognormal(self, mean: float, sigma: float, size: Any = ()) -> MetaArray:
        """The exponential of a normal one."""
        return made(size, np.float64)

    def integers(
        self, low: Any, high: Any = None, size: Any = (), dtype: Any = np.int64, endpoint: bool = False
    ) -> MetaArray:
        """Integers."""
        return made(size, dtype)

    def poisson(self, rates: MetaArray) -> MetaArray:
        """Poisson, of the rates given."""
        return made(rates.shape, np.int64)

    def standard_gamma(self, shapes: MetaArray) -> MetaArray:
        """Gamma, of the shapes given."""
        return made(shapes.shape, np.float64)

    def binomial(self, tries: MetaArray, chances: MetaArray) -> MetaArray:
        """How many of so many tries succeed."""
        return made(np.broadcast_shapes(tries.shape, chances.shape), np.int64)

    def permutation(self, count: int) -> MetaArray:
        """Integers in random order."""
        return made(count, np.int64)


nothing = _Nothing()
