"""The inverse gamma distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.creation import tensor
from distrt.distributions import constraints
from distrt.distributions.gamma import Gamma
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import PowerTransform

__all__ = ["InverseGamma"]


class InverseGamma(TransformedDistribution):
    """One over a gamma variable."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        power = PowerTransform(tensor(-1.0, dtype=base.rate.dtype, device=base.rate.device))
        super().__init__(base, power, validate_args=validate_args)

    @property
    def concentration(self) -> Any:
        """The gamma variable's shape."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """The gamma variable's rate."""
        return self.base_dist.rate

    @property
    def mean(self) -> Any:
        found = self.rate / (self.concentration - 1)
        return ops.where(self.concentration > 1, found, float("inf"))

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        shape = self.concentration
        found = self.rate**2 / ((shape - 1) ** 2 * (shape - 2))
        return ops.where(shape > 2, found, float("inf"))

    def entropy(self) -> Any:
        shape = self.concentration
        return shape + ops.log(self.rate) + ops.lgamma(shape) - (1 + shape) * ops.digamma(shape)
