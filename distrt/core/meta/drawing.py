"""A generator of random numbers that are not there: it draws nothing, and no stream moves on."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray, made

__all__ = ["nothing"]


class _Nothing:
    """The methods of NumPy's generators that tensors are drawn by."""

    def random(self, size: Any, dtype: Any = np.float64) -> MetaArray:
        """Uniform in [0, 1)."""
        return made(size, dtype)

    standard_normal = standard_exponential = random

    def integers(self, low: int, high: int, size: Any) -> MetaArray:
        """Integers."""
        return made(size, np.int64)

    def poisson(self, rates: MetaArray) -> MetaArray:
        """Poisson, of the rates given."""
        return made(rates.shape, np.int64)

    def standard_gamma(self, shapes: MetaArray) -> MetaArray:
        """Gamma, of the shapes given."""
        return made(shapes.shape, np.float64)

    def binomial(self, tries: MetaArray, chances: MetaArray) -> MetaArray:
        """How many of so many tries succeed."""
        return made(np.broadcast_shapes(tries.shape, chances.shape), np.int64)

    def vonmises(self, mu: float, kappa: MetaArray) -> MetaArray:
        """Angles, of the concentrations given."""
        return made(kappa.shape, np.float64)

    def permutation(self, count: int) -> MetaArray:
        """Integers in random order."""
        return made(count, np.int64)


nothing = _Nothing()
