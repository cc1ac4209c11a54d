"""The log-normal distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.normal import Normal
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import ExpTransform

__all__ = ["LogNormal"]


class LogNormal(TransformedDistribution):
    """The exponential of a normal variable of mean ``loc`` and standard deviation ``scale``."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return ops.exp(self.loc + self.scale**2 / 2)

    @property
    def mode(self) -> Any:
        return ops.exp(self.loc - self.scale**2)

    @property
    def variance(self) -> Any:
        return ops.expm1(self.scale**2) * ops.exp(2 * self.loc + self.scale**2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc
