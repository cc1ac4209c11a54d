"""Regions of matrices."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.dtypes.limits import finfo
from distrt.core.ops.linalg.factorisations import linalg_cholesky_ex
from distrt.core.ops.linalg.norms import linalg_vector_norm
from distrt.core.ops.linalg.spectral import linalg_eigvalsh
from distrt.distributions.constraints.base import Constraint


class _LowerTriangular(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        return _all_of_matrices(ops.tril(value) == value)


class _LowerCholesky(_LowerTriangular):
    def check(self, value: Any) -> Any:
        return super().check(value) & ops.all(value.diagonal(dim1=-2, dim2=-1) > 0, -1)


class _CorrCholesky(_LowerCholesky):
    def check(self, value: Any) -> Any:
        tolerance = finfo(value.dtype).eps * value.shape[-1] * 10
        unit = ops.all((linalg_vector_norm(value, dim=-1) - 1).abs() <= tolerance, -1)
        return super().check(value) & unit


class _Square(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        fits = value.shape[-2] == value.shape[-1]
        return value.new_full(value.shape[:-2], fits).bool()


class _Symmetric(_Square):
    def check(self, value: Any) -> Any:
        square = super().check(value)
        if not bool(ops.all(square)):
            return square
        return _all_of_matrices(ops.isclose(value, value.mT, atol=1e-6))


class _PositiveSemidefinite(_Symmetric):
    def check(self, value: Any) -> Any:
        symmetric = super().check(value)
        if not bool(ops.all(symmetric)):
            return symmetric
        return ops.all(linalg_eigvalsh(value) >= 0, -1)


class _PositiveDefinite(_Symmetric):
    def check(self, value: Any) -> Any:
        symmetric = super().check(value)
        if not bool(ops.all(symmetric)):
            return symmetric
        return linalg_cholesky_ex(value).info == 0


def _all_of_matrices(found: Any) -> Any:
    return ops.all(found.flatten(-2), -1)
