"""The multivariate normal distribution whose covariance is of low rank, plus a diagonal."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import eye
from distrt.core.ops.linalg.factorisations import linalg_cholesky
from distrt.core.ops.linalg.solving import linalg_solve_triangular
from distrt.distributions import constraints
from distrt.distributions.covariance import half_log_det, squared_distance
from distrt.distributions.distribution import Distribution
from distrt.distributions.utils import lazy_property

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of covariance ``cov_factor @ cov_factor.mT + diag(cov_diag)``.

    Determinant and inverse are those of a matrix of the factor's rank. Shape: (…, n), (…, n, rank), (…, n).
    Source: Woodbury's identity and the matrix determinant lemma.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.ndim < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch dimensions"
            )
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m")
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        try:
            batch = ops.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from error
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        self.loc = loc.expand(*batch, -1)
        self.cov_factor = cov_factor.expand(*batch, -1, -1)
        self.cov_diag = cov_diag.expand(*batch, -1)
        super().__init__(batch, event_shape, validate_args=validate_args)
        self._capacitance_tril = self._capacitance_factor()

    def _capacitance_factor(self) -> Any:
        weighted = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        inner = ops.matmul(weighted, self._unbroadcasted_cov_factor)
        return linalg_cholesky(inner + eye(inner.shape[-1], dtype=inner.dtype, device=inner.device))

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The variance."""
        found = (self._unbroadcasted_cov_factor**2).sum(-1) + self._unbroadcasted_cov_diag
        return found.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance, as a whole matrix."""
        factor = self._unbroadcasted_cov_factor
        whole = ops.matmul(factor, factor.mT) + ops.diag_embed(self._unbroadcasted_cov_diag)
        return whole.expand(self._matrix_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower triangular factor of the covariance."""
        return linalg_cholesky(self.covariance_matrix)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        weighted = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        solved = linalg_solve_triangular(self._capacitance_tril, weighted, upper=False)
        whole = ops.diag_embed(self._unbroadcasted_cov_diag.reciprocal()) - ops.matmul(solved.mT, solved)
        return whole.expand(self._matrix_shape)

    @property
    def _matrix_shape(self) -> Any:
        return self._batch_shape + self._event_shape + self._event_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        for name in ("variance", "covariance_matrix", "scale_tril", "precision_matrix"):
            new.__dict__.pop(name, None)  # computed anew, in the new shape
        return new

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        inner = self.loc.new_empty((*shape[:-1], self.cov_factor.shape[-1])).normal_()
        outer = self.loc.new_empty(shape).normal_()
        along = ops.matmul(self._unbroadcasted_cov_factor, inner.unsqueeze(-1)).squeeze(-1)
        return self.loc + along + ops.sqrt(self._unbroadcasted_cov_diag) * outer

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        distance = self._squared_distance(value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + self._log_det() + distance)

    def _squared_distance(self, away: Any) -> Any:
        weighted = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        seen = ops.matmul(weighted, away.unsqueeze(-1)).squeeze(-1)
        plain = (away**2 / self._unbroadcasted_cov_diag).sum(-1)
        return plain - squared_distance(self._capacitance_tril, seen)

    def _log_det(self) -> Any:
        return 2 * half_log_det(self._capacitance_tril) + ops.log(self._unbroadcasted_cov_diag).sum(-1)

    def _half_log_det(self) -> Any:
        return 0.5 * self._log_det()

    def entropy(self) -> Any:
        found = 0.5 * (self._event_shape[0] * (1 + math.log(2 * math.pi)) + self._log_det())
        return found.expand(self._batch_shape) if self._batch_shape else found
