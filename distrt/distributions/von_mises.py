"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.random.families import draw_von_mises
from distrt.core.tensor import wrap
from distrt.distributions import constraints
from distrt.distributions.distribution import Distribution
from distrt.distributions.utils import broadcast_all

__all__ = ["VonMises"]


class VonMises(Distribution):
    """A distribution of angles around ``loc``, in radians in [-pi, pi); ``concentration`` 0 would be uniform."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        # log I0(k) = log(exp(-k) I0(k)) + k does not overflow.
        normalizer = math.log(2 * math.pi) + ops.log(ops.i0e(self.concentration)) + self.concentration
        return self.concentration * ops.cos(value - self.loc) - normalizer

    def sample(self, sample_shape: Any = ()) -> Any:
        strengths = self.concentration.detach().expand(self._extended_shape(sample_shape))
        drawn = wrap(draw_von_mises(strengths._array, None))
        turned = (drawn + self.loc.detach().double() + math.pi) % (2 * math.pi) - math.pi
        return turned.to(self.loc.dtype)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        """The circular variance."""
        return 1 - ops.i1e(self.concentration) / ops.i0e(self.concentration)
