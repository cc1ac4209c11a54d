"""The Gumbel distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.dtypes.limits import finfo
from distrt.distributions import constraints
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import AffineTransform, ExpTransform
from distrt.distributions.uniform import Uniform
from distrt.distributions.utils import broadcast_all

__all__ = ["Gumbel"]


EULER = 0.5772156649015329


class Gumbel(TransformedDistribution):
    """The Gumbel distribution, of the largest of many draws."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        info = finfo(self.loc.dtype)
        low = self.loc.new_full(self.loc.shape, info.tiny)
        high = self.loc.new_full(self.loc.shape, 1 - info.eps)
        parts = [
            ExpTransform().inv,
            AffineTransform(0, -1),
            ExpTransform().inv,
            AffineTransform(self.loc, -self.scale),
        ]
        super().__init__(Uniform(low, high, validate_args=validate_args), parts, validate_args=validate_args)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return y - ops.exp(y) - ops.log(self.scale)

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev**2

    def entropy(self) -> Any:
        return ops.log(self.scale) + (1 + EULER)
