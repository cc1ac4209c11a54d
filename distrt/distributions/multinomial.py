"""The multinomial distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.modes import no_grad
from distrt.core.tensors.size import Size
from distrt.distributions import constraints
from distrt.distributions.binomial import Binomial
from distrt.distributions.categorical import Categorical
from distrt.distributions.over_categorical import OverCategorical
from distrt.distributions.utils import broadcast_all

__all__ = ["Multinomial"]


class Multinomial(OverCategorical):
    """How often each class is drawn in ``total_count`` draws of a categorical distribution.

    Raises:
        NotImplementedError: for a ``total_count`` that is no int.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        sample_shape = Size(sample_shape)
        with no_grad():
            drawn = self._categorical.sample((self.total_count, *sample_shape))
            counts = self._param.new_zeros(self._extended_shape(sample_shape))
            drawn = drawn.permute(*range(1, drawn.ndim), 0)
            return ops.scatter_add(counts, -1, drawn, self._param.new_full(drawn.shape, 1.0))

    def entropy(self) -> Any:
        total = self._param.new_full((), float(self.total_count))
        chosen = self._categorical.entropy()
        support = self._binomial.enumerate_support(expand=False)[1:]
        weights = ops.exp(Binomial(self.total_count, probs=self.probs).log_prob(support))
        missing = (weights * ops.lgamma(support + 1)).sum((0, -1))
        return total * chosen - ops.lgamma(total + 1) + missing

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        impossible = (value == 0) & (logits == -math.inf)
        logits = ops.where(impossible, 0.0, logits)
        ways = ops.lgamma(value.sum(-1) + 1) - ops.lgamma(value + 1).sum(-1)
        return ways + (logits * value).sum(-1)
