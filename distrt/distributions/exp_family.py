"""Exponential families: densities whose logarithm is linear in natural parameters."""

from __future__ import annotations

from typing import Any

from distrt.core.autograd.roots import grad
from distrt.distributions.distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A density ``exp(<t(x), theta> - F(theta) + k(x))``; what theta and F are gives the entropy and the divergence."""

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        raise NotImplementedError

    def entropy(self) -> Any:
        """``F(theta) - <theta, grad F(theta)> - E[k(x)]``."""
        found = -self._mean_carrier_measure
        params = [each.detach().requires_grad_() for each in self._natural_params]
        normalizer = self._log_normalizer(*params)
        slopes = grad(normalizer.sum(), params, create_graph=True)
        found = found + normalizer
        for param, slope in zip(params, slopes, strict=True):
            found = found - (param * slope).reshape(*self._batch_shape, -1).sum(-1)
        return found
