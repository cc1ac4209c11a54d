"""The Pareto distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.exponential import Exponential
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import AffineTransform, ExpTransform
from distrt.distributions.utils import broadcast_all

__all__ = ["Pareto"]


class Pareto(TransformedDistribution):
    """The Pareto distribution from ``scale`` on, whose tail falls with the power ``alpha``."""

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        parts = [ExpTransform(), AffineTransform(0, self.scale)]
        super().__init__(
            Exponential(self.alpha, validate_args=validate_args), parts, validate_args=validate_args
        )

    @property
    def mean(self) -> Any:
        power = self.alpha.clamp(min=1)
        return power * self.scale / (power - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        power = self.alpha.clamp(min=2)
        return self.scale**2 * power / ((power - 1) ** 2 * (power - 2))

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    def entropy(self) -> Any:
        return ops.log(self.scale / self.alpha) + (1 + self.alpha.reciprocal())
