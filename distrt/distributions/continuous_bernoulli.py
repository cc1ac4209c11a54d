"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import rand
from distrt.distributions import constraints
from distrt.distributions.bernoulli import OneChance
from distrt.distributions.utils import broadcast_all, clamp_probs, lazy_property, logits_to_probs

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(OneChance):
    """A density on [0, 1] that is proportional to ``probs**x * (1 - probs)**(1 - x)``.

    Args:
        probs: in (0, 1); despite the name no probability.
        logits: the same on the whole line.
        lims: between these, where formulas lose their digits, series in ``probs - 1/2`` are taken.
        validate_args: see `Distribution`.

    Source: G. Loaiza-Ganem, J. Cunningham, The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders, 2019.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._take_chance(probs, logits)
        self._lims = lims
        if logits is None:
            given = self.__dict__["probs"]
            if validate_args and not bool(ops.all(constraints.unit_interval.check(given))):
                raise ValueError("The parameter probs has invalid values")
            self.__dict__["probs"] = clamp_probs(given)
        super().__init__(self._param.shape, validate_args=validate_args)

    @lazy_property
    def probs(self) -> Any:
        """The parameter in (0, 1)."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    @property
    def mean(self) -> Any:
        safe = self._safe_probs()
        exact = safe / (2 * safe - 1) + 1 / (ops.log1p(-safe) - ops.log(safe))
        x = self.probs - 0.5
        return ops.where(self._is_plain(), exact, 0.5 + (1 / 3 + 16 / 45 * x**2) * x)

    @property
    def variance(self) -> Any:
        safe = self._safe_probs()
        exact = safe * (safe - 1) / (1 - 2 * safe) ** 2 + 1 / (ops.log1p(-safe) - ops.log(safe)) ** 2
        x = (self.probs - 0.5) ** 2
        return ops.where(self._is_plain(), exact, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(
            rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
        )

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        kernel = -ops.binary_cross_entropy_with_logits(logits, value, None, None, "none")
        return kernel + self._cont_bern_log_norm()

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        safe = self._safe_probs()
        exact = (safe**value * (1 - safe) ** (1 - value) + safe - 1) / (2 * safe - 1)
        inside = ops.where(self._is_plain(), exact, value)
        return ops.where(value <= 0, 0.0, ops.where(value >= 1, 1.0, inside))

    def icdf(self, value: Any) -> Any:
        safe = self._safe_probs()
        rise = ops.log1p(-safe + value * (2 * safe - 1)) - ops.log1p(-safe)
        return ops.where(self._is_plain(), rise / (ops.log(safe) - ops.log1p(-safe)), value)

    def entropy(self) -> Any:
        log_probs, log_rest = ops.log(self.probs), ops.log1p(-self.probs)
        return self.mean * (log_rest - log_probs) - self._cont_bern_log_norm() - log_rest

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, *natural_params: Any) -> Any:
        (x,) = natural_params
        is_plain = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        safe = ops.where(is_plain, x, self._lims[0] - 0.5)
        exact = ops.log(ops.expm1(safe).abs()) - ops.log(safe.abs())
        return ops.where(is_plain, exact, 0.5 * x + x**2 / 24 - x**4 / 2880)

    def _is_plain(self) -> Any:
        """Where the formulas keep their digits."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _safe_probs(self) -> Any:
        return ops.where(self._is_plain(), self.probs, self._lims[0])

    def _cont_bern_log_norm(self) -> Any:
        """The logarithm of what the kernel has to be multiplied by."""
        safe = self._safe_probs()
        is_low = safe <= 0.5
        low, high = ops.where(is_low, safe, 0.0), ops.where(is_low, 1.0, safe)
        odds = ops.log((ops.log1p(-safe) - ops.log(safe)).abs())
        exact = odds - ops.where(is_low, ops.log1p(-2 * low), ops.log(2 * high - 1))
        x = (self.probs - 0.5) ** 2
        return ops.where(self._is_plain(), exact, math.log(2) + (4 / 3 + 104 / 45 * x) * x)
