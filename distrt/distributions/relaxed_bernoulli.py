"""Bernoulli distributions made continuous."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.bernoulli import OneChance
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import SigmoidTransform
from distrt.distributions.utils import broadcast_all, clamp_probs

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(OneChance):
    """The log odds of a relaxed Bernoulli variable.

    Source: Maddison, Mnih, Teh, *The Concrete Distribution*, 2017.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        self._take_chance(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        drawn = clamp_probs(probs.new_empty(shape).uniform_())
        noise = ops.log(drawn) - ops.log1p(-drawn)
        return (noise + ops.log(probs) - ops.log1p(-probs)) / self.temperature

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        away = logits - value * self.temperature
        return ops.log(self.temperature) + away - 2 * ops.log1p(ops.exp(away))


class RelaxedBernoulli(TransformedDistribution):
    """A number in (0, 1) that is nearly 0 or 1 where ``temperature`` is low, with gradients."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """How soft the draws are."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The log odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist.probs
