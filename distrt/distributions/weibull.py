"""The Weibull distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.exponential import Exponential
from distrt.distributions.gumbel import EULER
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import AffineTransform, PowerTransform
from distrt.distributions.utils import broadcast_all

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """The Weibull distribution: ``scale`` times a power of an exponential variable."""

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(self.scale.new_full(self.scale.shape, 1.0), validate_args=validate_args)
        parts = [PowerTransform(self.concentration_reciprocal), AffineTransform(0, self.scale)]
        super().__init__(base, parts, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new.concentration_reciprocal = new.concentration.reciprocal()
        return new

    @property
    def mean(self) -> Any:
        return self.scale * ops.exp(ops.lgamma(1 + self.concentration_reciprocal))

    @property
    def mode(self) -> Any:
        return self.scale * ((self.concentration - 1) / self.concentration) ** self.concentration_reciprocal

    @property
    def variance(self) -> Any:
        square = ops.exp(2 * ops.lgamma(1 + self.concentration_reciprocal))
        return self.scale**2 * (ops.exp(ops.lgamma(1 + 2 * self.concentration_reciprocal)) - square)

    def entropy(self) -> Any:
        spread = ops.log(self.scale * self.concentration_reciprocal)
        return EULER * (1 - self.concentration_reciprocal) + spread + 1
