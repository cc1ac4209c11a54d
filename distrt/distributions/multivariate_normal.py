"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.distributions import constraints
from distrt.distributions.covariance import CovarianceMatrices, factor_of, half_log_det, squared_distance
from distrt.distributions.distribution import Distribution
from distrt.distributions.utils import given_one

__all__ = ["MultivariateNormal"]


class MultivariateNormal(CovarianceMatrices, Distribution):
    """The normal distribution of vectors, of mean ``loc`` and a covariance that is given in one of three ways.

    ``scale_tril`` is the lower triangular factor of the covariance, which all else is computed with.
    Shape: (…, n) and (…, n, n).

    Raises:
        ValueError: for none or several of the three, and for too few dims.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        name = given_one(**given)
        batch_shape, matrix = batched_matrix(name, given[name], loc.shape[:-1])
        self.__dict__[name] = matrix
        self.loc = loc.expand(*batch_shape, -1)
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_of(name, given[name])

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return (self._unbroadcasted_scale_tril**2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = self.loc.new_empty(self._extended_shape(sample_shape)).normal_()
        return self.loc + ops.matmul(self._unbroadcasted_scale_tril, drawn.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        distance = squared_distance(self._unbroadcasted_scale_tril, value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self) -> Any:
        found = 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + self._half_log_det()
        return found.expand(self._batch_shape) if self._batch_shape else found

    def _half_log_det(self) -> Any:
        return half_log_det(self._unbroadcasted_scale_tril)


def batched_matrix(name: str, matrix: Any, rows: Any) -> tuple[Any, Any]:
    """The batch shape of vectors and matrices together, and the matrices expanded to it."""
    if matrix.ndim < 2:
        raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
    shape = ops.broadcast_shapes(matrix.shape[:-2], rows)
    return shape, matrix.expand(*shape, -1, -1)
