"""What the halves of distributions that are symmetric around 0 have in common."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.transformed_distribution import TransformedDistribution

__all__ = ["Half"]


class Half(TransformedDistribution):
    """The absolute value of a variable around 0."""

    support = constraints.nonnegative
    has_rsample = True

    @property
    def scale(self) -> Any:
        """The scale of the variable with both signs."""
        return self.base_dist.scale

    @property
    def mode(self) -> Any:
        return ops.zero_unless(self.scale, False)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        found = self.base_dist.log_prob(value) + math.log(2)
        return ops.where(value >= 0, found, -math.inf)

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, prob: Any) -> Any:
        return self.base_dist.icdf((prob + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)
