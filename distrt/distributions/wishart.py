"""The Wishart distribution."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import arange, tensor
from distrt.core.dtypes.limits import finfo
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.distributions import constraints
from distrt.distributions.chi2 import Chi2
from distrt.distributions.covariance import CovarianceMatrices, factor_of, half_log_det
from distrt.distributions.exp_family import ExponentialFamily

__all__ = ["Wishart"]

_TRIES = 10  # draws again, for a matrix that rounding has made singular


class Wishart(CovarianceMatrices, ExponentialFamily):
    """Of the sum of ``df`` products of normal vectors with themselves, whose covariance is given in one of three ways.

    Shape: (…) and (…, n, n); a draw is (…, n, n).

    Raises:
        AssertionError: none or several of the three are given.
        ValueError: ``df`` is not above n - 1, or a matrix has too few dims.

    Source: T. W. Anderson, An Introduction to Multivariate Statistical Analysis, section 7.2 (Bartlett).
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        every = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: matrix for name, matrix in every.items() if matrix is not None}
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = given.items()
        if matrix.ndim < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch dimensions"
            )
        degrees = df if isinstance(df, Tensor) else tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch_shape = ops.broadcast_shapes(matrix.shape[:-2], degrees.shape)
        self.df = degrees.expand(batch_shape)
        least = matrix.shape[-1] - 1
        if bool(ops.any(self.df <= least)):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {least}.")
        if bool(ops.any(self.df < least + 1)):
            warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim."
            )
        self.__dict__[name] = matrix.expand(*batch_shape, -1, -1)
        super().__init__(batch_shape, matrix.shape[-2:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_of(name, matrix)

    @property
    def _matrix_shape(self) -> Any:  # a draw is a matrix itself
        return self._batch_shape + self._event_shape

    @property
    def mean(self) -> Any:
        return self._matrices(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Any:
        degrees = self.df - self._event_shape[-1] - 1
        return self._matrices(ops.where(degrees <= 0, math.nan, degrees)) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        diagonal = self.covariance_matrix.diagonal(dim1=-2, dim2=-1)
        products = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._matrices(self.df) * (self.covariance_matrix**2 + products)

    @staticmethod
    def _matrices(numbers: Any) -> Any:
        return numbers.unsqueeze(-1).unsqueeze(-1)

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Any:
        """A draw with gradients; matrices that come out singular are drawn again, ``max_try_correction`` times."""
        drawn = self._drawn(sample_shape)
        for _ in range(_TRIES if max_try_correction is None else max_try_correction):
            fits = self.support.check(drawn)
            if bool(ops.all(fits)):
                return drawn
            drawn = ops.where(self._matrices(fits), drawn, self._drawn(sample_shape))
        if not bool(ops.all(self.support.check(drawn))):
            warn("Singular sample detected.")
        return drawn

    def _drawn(self, sample_shape: Any) -> Any:
        """By Bartlett's decomposition: a triangle of normal numbers, on whose diagonal are roots of Chi2's."""
        size = self._event_shape[-1]
        degrees = self.df.unsqueeze(-1) - arange(size, dtype=self.df.dtype, device=self.df.device)
        squares = Chi2(degrees, validate_args=False).rsample(sample_shape)
        diagonal = ops.sqrt(squares).clamp(min=finfo(squares.dtype).eps)
        below = ops.tril(squares.new_empty(self._extended_shape(sample_shape)).normal_(), -1)
        factor = ops.matmul(self._unbroadcasted_scale_tril, below + ops.diag_embed(diagonal))
        return ops.matmul(factor, factor.mT)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        degrees, size = self.df, self._event_shape[-1]
        determinant = ops.slogdet(value).logabsdet
        trace = ops.cholesky_solve(value, self._unbroadcasted_scale_tril).diagonal(dim1=-2, dim2=-1).sum(-1)
        return (
            -degrees * self._half_log_det()
            - ops.mvlgamma(degrees / 2, size)
            + (degrees - size - 1) / 2 * determinant
            - trace / 2
        )

    def entropy(self) -> Any:
        degrees, size = self.df, self._event_shape[-1]
        halves = degrees.unsqueeze(-1) / 2 - arange(size, dtype=degrees.dtype, device=degrees.device) / 2
        return (
            (size + 1) * self._half_log_det()
            + ops.mvlgamma(degrees / 2, size)
            - (degrees - size - 1) / 2 * ops.digamma(halves).sum(-1)
            + degrees * size / 2
        )

    def _half_log_det(self) -> Any:
        """Half of the logarithm of the determinant of twice the covariance."""
        return self._event_shape[-1] * math.log(2) / 2 + half_log_det(self._unbroadcasted_scale_tril)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, *natural_params: Any) -> Any:
        x, y = natural_params
        size = self._event_shape[-1]
        halves = y + (size + 1) / 2
        return halves * (size * math.log(2) - ops.slogdet(-2 * x).logabsdet) + ops.mvlgamma(halves, size)
