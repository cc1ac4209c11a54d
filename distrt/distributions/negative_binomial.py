"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.modes import no_grad
from distrt.distributions import constraints
from distrt.distributions.bernoulli import OneChance
from distrt.distributions.utils import broadcast_all, given_one

__all__ = ["NegativeBinomial"]


class NegativeBinomial(OneChance):
    """How many tries succeed, each with probability ``probs``, before ``total_count`` have failed."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._given = given_one(probs=probs, logits=logits)
        chance = probs if logits is None else logits
        self.total_count, self.__dict__[self._given] = broadcast_all(total_count, chance)
        self.total_count = self.total_count.type_as(self._param)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * ops.exp(self.logits)

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * ops.exp(self.logits)).floor().clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.mean / ops.sigmoid(-self.logits)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            rate = ops.standard_gamma(self.total_count.expand(shape)) * ops.exp(self.logits)
            return ops.poisson(rate)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        weights = self.total_count * ops.log_sigmoid(-self.logits) + value * ops.log_sigmoid(self.logits)
        ways = ops.lgamma(self.total_count + value) - ops.lgamma(1 + value) - ops.lgamma(self.total_count)
        # No failure is waited for: 0 is certain, and the ways are infinity less infinity.
        return weights + ops.where(self.total_count + value == 0, 0.0, ways)
