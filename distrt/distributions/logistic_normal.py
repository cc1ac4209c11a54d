"""The logistic normal distribution."""

from __future__ import annotations

from typing import Any

from distrt.distributions import constraints
from distrt.distributions.normal import Normal
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import StickBreakingTransform

__all__ = ["LogisticNormal"]


class LogisticNormal(TransformedDistribution):
    """Shares that a stick is broken into where independent normal variables say. Shape: (…, n) -> (…, n + 1)."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """The normal variables' means."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """The normal variables' standard deviations."""
        return self.base_dist.base_dist.scale
