"""The geometric distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.dtypes.limits import finfo
from distrt.core.modes import no_grad
from distrt.distributions import constraints
from distrt.distributions.bernoulli import OneChance
from distrt.distributions.utils import broadcast_all

__all__ = ["Geometric"]


class Geometric(OneChance):
    """The geometric distribution: how many tries fail before the first success, each with probability ``probs``.

    Raises:
        ValueError: for a probability of 0 as well.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take_chance(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and probs is not None:
            valid = self.probs > 0
            if not bool(valid.all()):
                raise ValueError(
                    f"Expected parameter probs ({type(self.probs).__name__} of shape {tuple(self.probs.shape)}) of "
                    f"distribution {self!r} to be positive but found invalid values:\n{self.probs[~valid]}"
                )

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return ops.zero_unless(self.probs.detach(), False)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            drawn = self.probs.new_empty(self._extended_shape(sample_shape)).uniform_()
            drawn = drawn.clamp(min=finfo(drawn.dtype).tiny)
            return (ops.log(drawn) / ops.log1p(-self.probs)).floor()

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        certain = (probs == 1) & (value == 0)
        return value * ops.log1p(-ops.where(certain, 0.0, probs)) + ops.log(self.probs)

    def entropy(self) -> Any:
        loss = ops.binary_cross_entropy_with_logits(self.logits, self.probs, None, None, "none")
        return loss / self.probs
