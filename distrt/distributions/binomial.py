"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.creation import arange
from distrt.core.modes import no_grad
from distrt.distributions import constraints
from distrt.distributions.bernoulli import OneChance
from distrt.distributions.utils import broadcast_all, given_one

__all__ = ["Binomial"]


class Binomial(OneChance):
    """The binomial distribution: how many of ``total_count`` tries succeed, each with probability ``probs``."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._given = given_one(probs=probs, logits=logits)
        chance = probs if logits is None else logits
        self.total_count, self.__dict__[self._given] = broadcast_all(total_count, chance)
        self.total_count = self.total_count.type_as(self._param)
        super().__init__(self._param.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return ops.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        total = ops.lgamma(self.total_count + 1)
        ways = total - ops.lgamma(value + 1) - ops.lgamma(self.total_count - value + 1)
        # value log p + (n - value) log(1 - p), in terms of the log odds, which may be large.
        return value * self.logits + self.total_count * ops.log_sigmoid(-self.logits) + ways

    def entropy(self) -> Any:
        most = int(self.total_count.max())
        if not bool(self.total_count.min() == most):
            raise NotImplementedError("Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(ops.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        most = int(self.total_count.max())
        if not bool(self.total_count.min() == most):
            raise NotImplementedError("Inhomogeneous total count not supported by `enumerate_support`.")
        return self._enumerated(arange(1 + most, dtype=self._param.dtype, device=self._param.device), expand)
