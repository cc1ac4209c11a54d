"""Categorical distributions whose draws are one-hot vectors."""

from __future__ import annotations

from typing import Any

from distrt.core.creation import eye
from distrt.distributions import constraints
from distrt.distributions.categorical import Categorical
from distrt.distributions.over_categorical import OverCategorical

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OneHotCategorical(OverCategorical):
    """The categorical distribution over one-hot vectors of the dtype of ``probs``."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return self._one_hot(self._categorical.mode)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def _one_hot(self, indices: Any) -> Any:
        return eye(self._event_shape[0], dtype=self._param.dtype, device=self._param.device)[indices]

    def sample(self, sample_shape: Any = ()) -> Any:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        n = self._event_shape[0]
        values = eye(n, dtype=self._param.dtype, device=self._param.device).reshape(
            n, *[1] * len(self._batch_shape), n
        )
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """The same, whose draws hand gradients on to the probabilities as if they had been drawn without rounding.

    Source: Bengio, Leonard, Courville, *Estimating or Propagating Gradients Through Stochastic Neurons*, 2013.
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = self.sample(sample_shape)
        return drawn + (self.probs - self.probs.detach())
