"""The Kumaraswamy distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.dtypes.limits import finfo
from distrt.distributions import constraints
from distrt.distributions.gumbel import EULER
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import AffineTransform, PowerTransform
from distrt.distributions.uniform import Uniform
from distrt.distributions.utils import broadcast_all

__all__ = ["Kumaraswamy"]


class Kumaraswamy(TransformedDistribution):
    """The Kumaraswamy distribution: like a beta distribution, with a cumulative probability in closed form."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        ones = self.concentration0.new_full(self.concentration0.shape, 1.0)
        parts = [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]
        base = Uniform(finfo(ones.dtype).tiny * ones, ones, validate_args=validate_args)
        super().__init__(base, parts, validate_args=validate_args)

    def _moment(self, n: int) -> Any:
        """E[x ** n], by the beta function."""
        ratio = 1 + n / self.concentration1
        log_beta = (
            ops.lgamma(ratio) + ops.lgamma(self.concentration0) - ops.lgamma(ratio + self.concentration0)
        )
        return self.concentration0 * ops.exp(log_beta)

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        found = ((a - 1) / (a * b - 1)) ** a.reciprocal()
        return ops.where((a < 1) | (b < 1), math.nan, found)

    @property
    def variance(self) -> Any:
        return self._moment(2) - self.mean**2

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = ops.digamma(b + 1) + EULER
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - ops.log(a) - ops.log(b)
