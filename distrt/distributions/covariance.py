"""Covariances that are given in one of three ways: whole, inverted, or by their lower triangular factor."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.creation import eye
from distrt.core.ops.linalg.factorisations import linalg_cholesky
from distrt.core.ops.linalg.solving import linalg_solve_triangular
from distrt.distributions.utils import lazy_property

__all__ = ["CovarianceMatrices", "factor_of", "half_log_det", "squared_distance"]


class CovarianceMatrices:
    """The three ways to write the covariance of a distribution, each computed when it is first asked for.

    The distribution sets ``_unbroadcasted_scale_tril``, the factor that all else is computed with.
    """

    _unbroadcasted_scale_tril: Any
    _batch_shape: Any
    _event_shape: Any

    @property
    def _matrix_shape(self) -> Any:
        return self._batch_shape + self._event_shape + self._event_shape

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower triangular factor of the covariance."""
        return self._unbroadcasted_scale_tril.expand(self._matrix_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        factor = self._unbroadcasted_scale_tril
        return ops.matmul(factor, factor.mT).expand(self._matrix_shape)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        return ops.cholesky_inverse(self._unbroadcasted_scale_tril).expand(self._matrix_shape)


def factor_of(name: str, matrix: Any) -> Any:
    """The lower triangular factor of the covariance that is given in one of three ways."""
    if name == "scale_tril":
        return matrix
    return linalg_cholesky(matrix) if name == "covariance_matrix" else _factor_of_inverse(matrix)


def _factor_of_inverse(precision: Any) -> Any:
    """The lower triangular factor of a matrix's inverse: the factor of the matrix, turned around and inverted."""
    turned = linalg_cholesky(ops.flip(precision, (-2, -1)))
    upper = ops.transpose(ops.flip(turned, (-2, -1)), -2, -1)
    return linalg_solve_triangular(
        upper, eye(precision.shape[-1], dtype=precision.dtype, device=precision.device), upper=False
    )


def squared_distance(factor: Any, away: Any) -> Any:
    """Mahalanobis' distance, squared. Shape: (…, n, n), (…, n) -> (…); the batch dims broadcast."""
    # A factor without batch dims serves all vectors in one call.
    if factor.ndim == 2:
        columns = away.reshape(-1, away.shape[-1]).t()
        return (linalg_solve_triangular(factor, columns, upper=False) ** 2).sum(0).reshape(away.shape[:-1])
    return (linalg_solve_triangular(factor, away.unsqueeze(-1), upper=False) ** 2).sum((-2, -1))


def half_log_det(factor: Any) -> Any:
    """Half of the logarithm of the covariance's determinant."""
    return ops.log(factor.diagonal(dim1=-2, dim2=-1)).sum(-1)
