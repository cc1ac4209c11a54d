"""What distributions over a categorical one have in common."""

from __future__ import annotations

from typing import Any

from distrt.distributions.categorical import Categorical
from distrt.distributions.distribution import Distribution

__all__ = ["OverCategorical"]


class OverCategorical(Distribution):
    """A distribution whose parameters are those of a categorical one, ``_categorical``."""

    _categorical: Categorical

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def _param(self) -> Any:
        return self._categorical._param

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._categorical = self._categorical.expand(batch_shape)
        return new
