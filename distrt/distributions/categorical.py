"""The categorical distribution, and what families of several weights share."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import arange
from distrt.core.dtypes.limits import finfo
from distrt.core.modes import no_grad
from distrt.core.tensors.size import Size
from distrt.distributions import constraints
from distrt.distributions.distribution import Distribution
from distrt.distributions.utils import given_one, lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Categorical"]


class Categorical(Distribution):
    """The categorical distribution: an index, with ``probs`` as weights, or ``logits`` as their logarithms.

    Shape: (…, classes); a draw is int64 and lacks the last dim.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _given: str

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._given = given_one(probs=probs, logits=logits)
        weights = probs if logits is None else logits
        if weights.ndim < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        if probs is not None:
            self.__dict__["probs"] = probs / probs.sum(-1, keepdim=True)
        else:
            self.__dict__["logits"] = logits - ops.logsumexp(logits, -1, keepdim=True)
        self._num_events = weights.shape[-1]
        super().__init__(weights.shape[:-1], validate_args=validate_args)

    @lazy_property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Any:
        """The probabilities."""
        return logits_to_probs(self.logits)

    @property
    def _param(self) -> Any:
        return self.__dict__[self._given]

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.shape

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Any:
        return self.probs.new_full(self._extended_shape(), math.nan)

    @property
    def mode(self) -> Any:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Any:
        return self.probs.new_full(self._extended_shape(), math.nan)

    def sample(self, sample_shape: Any = ()) -> Any:
        sample_shape = Size(sample_shape)
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn = ops.multinomial(rows, sample_shape.numel(), True)
            return drawn.t().reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        at = value.long().unsqueeze(-1)
        shape = ops.broadcast_shapes(at.shape, (*self.logits.shape[:-1], 1))[:-1]
        logits = self.logits.expand(*shape, self._num_events)
        return ops.gather(logits, -1, at.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Any:
        least = finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(arange(self._num_events, device=self._param.device), expand)
