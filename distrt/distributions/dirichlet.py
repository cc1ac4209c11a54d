"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.exp_family import ExponentialFamily

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    """The Dirichlet distribution: shares that add up to 1. Shape of ``concentration``: (…, parts)."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return ops.sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return (
            ops.xlogy(self.concentration - 1, value).sum(-1)
            + ops.lgamma(self.concentration.sum(-1))
            - ops.lgamma(self.concentration).sum(-1)
        )

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0)
        inside = above / above.sum(-1, True)
        # Where all are below 1, the density is largest in a corner.
        corner = ops.all(self.concentration < 1, -1, keepdim=True)
        highest = self.concentration.argmax(-1, keepdim=True)
        one_hot = ops.scatter(ops.zero_unless(self.concentration.detach(), False), -1, highest, 1.0)
        return ops.where(corner, one_hot, inside)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def entropy(self) -> Any:
        total = self.concentration.sum(-1)
        return (
            ops.lgamma(self.concentration).sum(-1)
            - ops.lgamma(total)
            - (self.concentration.shape[-1] - total) * ops.digamma(total)
            - ((self.concentration - 1) * ops.digamma(self.concentration)).sum(-1)
        )

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.concentration,)

    def _log_normalizer(self, *natural_params: Any) -> Any:
        return ops.lgamma(natural_params[0]).sum(-1) - ops.lgamma(natural_params[0].sum(-1))
