"""The Bernoulli distribution, and what families of one probability share."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import arange
from distrt.core.modes import no_grad
from distrt.distributions import constraints
from distrt.distributions.exp_family import ExponentialFamily
from distrt.distributions.utils import (
    broadcast_all,
    given_one,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

__all__ = ["Bernoulli"]


class OneChance(ExponentialFamily):
    """A family with one probability for each element, given as ``probs`` or as log odds, ``logits``."""

    _given: str

    def _take_chance(self, probs: Any, logits: Any) -> None:
        self._given = given_one(probs=probs, logits=logits)
        (self.__dict__[self._given],) = broadcast_all(probs if logits is None else logits)

    @lazy_property
    def logits(self) -> Any:
        """The log odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def _param(self) -> Any:
        return self.__dict__[self._given]

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.shape


class Bernoulli(OneChance):
    """The Bernoulli distribution: 1 with probability ``probs``, else 0."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take_chance(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        surer = (self.probs >= 0.5).to(self.probs.dtype)
        return ops.where(self.probs == 0.5, math.nan, surer)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return ops.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -ops.binary_cross_entropy_with_logits(logits, value, None, None, "none")

    def entropy(self) -> Any:
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, None, None, "none")

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(arange(2, dtype=self._param.dtype, device=self._param.device), expand)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, *natural_params: Any) -> Any:
        return ops.log1p(ops.exp(natural_params[0]))
