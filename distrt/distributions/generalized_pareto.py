"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import rand
from distrt.distributions import constraints
from distrt.distributions.distribution import Distribution
from distrt.distributions.utils import broadcast_all

__all__ = ["GeneralizedPareto"]

_NONE = 1e-8  # a concentration that is none


class GeneralizedPareto(Distribution):
    """What lies beyond a high threshold: from ``loc`` on, with a tail that ``concentration`` makes heavy or cuts.

    A concentration of 0 is the exponential distribution, of -1 the uniform one.
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        end = ops.where(self.concentration < 0, self.loc - self.scale / self.concentration, math.inf)
        return constraints.interval(self.loc, end)

    @property
    def mean(self) -> Any:
        has_one = self.concentration < 1
        safe = ops.where(has_one, self.concentration, 0.5)
        return ops.where(has_one, self.loc + self.scale / (1 - safe), math.nan)

    @property
    def variance(self) -> Any:
        has_one = self.concentration < 0.5
        safe = ops.where(has_one, self.concentration, 0.25)
        return ops.where(has_one, self.scale**2 / ((1 - safe) ** 2 * (1 - 2 * safe)), math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(
            rand(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        )

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        is_exponential, shape = self._shape_parameter()
        beyond = (value - self.loc) / self.scale
        power = 1 / shape + 1
        tail = ops.where(
            power == 0, power, power * ops.log1p(shape * beyond)
        )  # 0 for the uniform distribution
        return -ops.log(self.scale) - ops.where(is_exponential, beyond, tail)

    def log_survival_function(self, value: Any) -> Any:
        """The logarithm of the probability of a draw of more than ``value``."""
        if self._validate_args:
            self._validate_sample(value)
        is_exponential, shape = self._shape_parameter()
        beyond = (value - self.loc) / self.scale
        return ops.where(is_exponential, -beyond, -ops.log1p(shape * beyond) / shape)

    def log_cdf(self, value: Any) -> Any:
        """The logarithm of :meth:`cdf`."""
        return ops.log1p(-ops.exp(self.log_survival_function(value)))

    def cdf(self, value: Any) -> Any:
        return ops.exp(self.log_cdf(value))

    def icdf(self, value: Any) -> Any:
        is_exponential, shape = self._shape_parameter()
        log_survival = ops.log1p(-value)
        beyond = ops.where(is_exponential, -log_survival, ops.expm1(-shape * log_survival) / shape)
        return self.loc + self.scale * beyond

    def entropy(self) -> Any:
        return ops.log(self.scale) + self.concentration + 1

    def _shape_parameter(self) -> tuple[Any, Any]:
        """Where the concentration is 0, and the concentration with 1 in these places."""
        is_exponential = self.concentration.abs() <= _NONE
        return is_exponential, ops.where(is_exponential, 1.0, self.concentration)
