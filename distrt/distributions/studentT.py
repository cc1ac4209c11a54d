"""Student's t distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.chi2 import Chi2
from distrt.distributions.distribution import Distribution
from distrt.distributions.utils import broadcast_all

__all__ = ["StudentT"]


class StudentT(Distribution):
    """Student's t distribution: a normal variable over the root of a chi-squared one per degree of freedom."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._chi2 = self._chi2.expand(batch_shape)
        return new

    @property
    def mean(self) -> Any:
        return ops.where(self.df <= 1, math.nan, self.loc)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        spread = self.scale**2 * self.df / (self.df - 2)
        return ops.where(
            self.df > 2, spread, ops.where(self.df > 1, math.inf, self.df.new_full((), math.nan))
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = self.loc.new_empty(self._extended_shape(sample_shape)).normal_()
        return self.loc + self.scale * drawn * ops.rsqrt(self._chi2.rsample(sample_shape) / self.df)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        normalizer = (
            ops.log(self.scale)
            + 0.5 * ops.log(self.df)
            + 0.5 * math.log(math.pi)
            + ops.lgamma(0.5 * self.df)
            - ops.lgamma(0.5 * (self.df + 1))
        )
        return -0.5 * (self.df + 1) * ops.log1p(y**2 / self.df) - normalizer

    def entropy(self) -> Any:
        log_beta = ops.lgamma(0.5 * self.df) + math.lgamma(0.5) - ops.lgamma(0.5 * (self.df + 1))
        slope = ops.digamma(0.5 * (self.df + 1)) - ops.digamma(0.5 * self.df)
        return ops.log(self.scale) + 0.5 * (self.df + 1) * slope + 0.5 * ops.log(self.df) + log_beta
