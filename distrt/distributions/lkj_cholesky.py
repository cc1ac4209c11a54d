"""The distribution of Lewandowski, Kurowicka and Joe over correlation matrices, by their factors."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import arange
from distrt.core.dtypes.limits import finfo
from distrt.core.modes import no_grad
from distrt.core.tensors.size import Size
from distrt.distributions import constraints
from distrt.distributions.beta import Beta
from distrt.distributions.distribution import Distribution
from distrt.distributions.utils import broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower triangular factors of correlation matrices, whose density falls with ``det**(concentration - 1)``.

    A concentration of 1 is uniform over correlation matrices. Shape of a draw: (…, dim, dim).

    Raises:
        ValueError: ``dim`` is less than 2.

    Source: D. Lewandowski, D. Kurowicka, H. Joe, Generating random correlation matrices based on vines and extended
    onion method, 2009: section 3.2 for draws, page 1999 for the normalizer.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.shape, Size((dim, dim)), validate_args)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Onion by onion: row i of the factor has a length drawn from a Beta, and a direction of its own."""
        with no_grad():
            lengths = ops.sqrt(self._squared_lengths().sample(sample_shape)).unsqueeze(-1)
            towards = ops.tril(lengths.new_empty(self._extended_shape(sample_shape)).normal_(), -1)
            norms = ops.sqrt((towards**2).sum(-1, keepdim=True))
            rows = lengths * towards / ops.where(norms == 0, 1.0, norms)  # the first row has no direction
            rest = (1 - (rows**2).sum(-1)).clamp(min=finfo(rows.dtype).tiny)
            return rows + ops.diag_embed(ops.sqrt(rest))

    def _squared_lengths(self) -> Beta:
        """Of the part of each row left of the diagonal. Shape: (…, dim)."""
        before = arange(self.dim - 1, dtype=self.concentration.dtype, device=self.concentration.device)
        before = ops.cat([before.new_zeros(1), before])
        around = self.concentration + 0.5 * (self.dim - 2)
        return Beta(before + 0.5, around.unsqueeze(-1) - 0.5 * before, validate_args=False)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        # det**(concentration - 1), and the Jacobian of the product of the factor with itself.
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = (
            2 * (self.concentration - 1).unsqueeze(-1)
            + self.dim
            - arange(2, self.dim + 1, device=self.concentration.device)
        )
        return (order * ops.log(diagonal)).sum(-1) - self._log_normalizer()

    def _log_normalizer(self) -> Any:
        rest = self.dim - 1
        alpha = self.concentration + 0.5 * rest
        pi = 0.5 * rest * math.log(math.pi)
        return pi + ops.mvlgamma(alpha - 0.5, rest) - ops.lgamma(alpha) * rest
