"""Maps of vectors and matrices: to shares that add up to 1, to triangular factors and their products."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import eye
from distrt.core.dtypes.limits import finfo
from distrt.core.ops.linalg.factorisations import linalg_cholesky
from distrt.core.tensors.size import Size
from distrt.distributions import constraints
from distrt.distributions.transforms.base import Transform
from distrt.distributions.transforms.elementwise import _SameKind
from distrt.distributions.utils import tril_matrix_to_vec, vec_to_tril_matrix

__all__ = [
    "CorrCholeskyTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "ReshapeTransform",
    "SoftmaxTransform",
    "StickBreakingTransform",
]


class SoftmaxTransform(_SameKind):
    """Vectors to shares, by exponentials; not bijective, since a constant may be added."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        return ops.softmax(x, -1)

    def _inverse(self, y: Any) -> Any:
        return ops.log(y)

    def forward_shape(self, shape: Any) -> Any:
        return _with_dims(shape, 1)

    inverse_shape = forward_shape


def _with_dims(shape: Any, dims: int) -> Any:
    if len(shape) < dims:
        raise ValueError("Too few dimensions on input")
    return shape


class StickBreakingTransform(_SameKind):
    """Vectors to shares, of which there is one more: each breaks off a part of what is left of a stick."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _call(self, x: Any) -> Any:
        broken = _clamped_sigmoid(x - _log_left(x))
        left = ops.cumprod(1 - broken, -1)
        return _padded(broken, 0, 1) * _padded(left, 1, 0)

    def _inverse(self, y: Any) -> Any:
        parts = y[..., :-1]
        left = (1 - ops.cumsum(parts, -1)).clamp(min=finfo(y.dtype).tiny)
        return ops.log(parts) - ops.log(left) + _log_left(parts)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        x = x - _log_left(x)
        return (-x + ops.log_sigmoid(x) + ops.log(y[..., :-1])).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        shape = _with_dims(shape, 1)
        return Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        shape = _with_dims(shape, 1)
        return Size((*shape[:-1], shape[-1] - 1))


def _log_left(x: Any) -> Any:
    """The logarithm of how many shares are still to come: 0 is mapped to equal shares."""
    n = x.shape[-1]
    return ops.log(ops.cumsum(x.new_full((n,), 1.0), 0).flip(0))


def _clamped_sigmoid(x: Any) -> Any:
    info = finfo(x.dtype)
    return ops.sigmoid(x).clamp(min=info.tiny, max=1 - info.eps)


def _padded(x: Any, before: int, after: int) -> Any:
    one = x.new_full((*x.shape[:-1], 1), 1.0)
    return ops.cat([one] * before + [x] + [one] * after, -1)


class CorrCholeskyTransform(Transform):
    """Vectors of n (n - 1) / 2 numbers to the lower triangular factors of correlation matrices.

    A number's hyperbolic tangent is a partial correlation: the share that it has of what its row has left of length 1.
    Source: Lewandowski, Kurowicka, Joe, *Generating random correlation matrices*, 2009.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        eps = finfo(x.dtype).eps
        partial = vec_to_tril_matrix(ops.tanh(x).clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = ops.cumprod(ops.sqrt(1 - partial**2), -1)
        whole = partial + eye(partial.shape[-1], dtype=partial.dtype, device=partial.device)
        return whole * _padded(left[..., :-1], 1, 0)

    def _inverse(self, y: Any) -> Any:
        left = 1 - ops.cumsum(y * y, -1)
        shifted = _padded(left[..., :-1], 1, 0)
        values = tril_matrix_to_vec(y, diag=-1)
        partial = values / ops.sqrt(tril_matrix_to_vec(shifted, diag=-1))
        return (ops.log1p(partial) - ops.log1p(-partial)) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:
        left = tril_matrix_to_vec(1 - ops.cumsum(y * y, -1), diag=-2)
        rows = 0.5 * ops.log(left).sum(-1)
        tanhs = -2 * (x + ops.softplus(-2 * x) - math.log(2.0)).sum(-1)
        return rows + tanhs

    def forward_shape(self, shape: Any) -> Any:
        count = _with_dims(shape, 1)[-1]
        n = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Any) -> Any:
        shape = _with_dims(shape, 2)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


class LowerCholeskyTransform(_SameKind):
    """Square matrices to lower triangular ones with a positive diagonal, by its exponential."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return ops.tril(x, -1) + ops.diag_embed(ops.exp(x.diagonal(dim1=-2, dim2=-1)))

    def _inverse(self, y: Any) -> Any:
        return ops.tril(y, -1) + ops.diag_embed(ops.log(y.diagonal(dim1=-2, dim2=-1)))


class PositiveDefiniteTransform(_SameKind):
    """Square matrices to positive definite ones: the product of a lower triangular factor with its transpose."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return ops.matmul(factor, factor.mT)

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(linalg_cholesky(y))


class ReshapeTransform(Transform):
    """Events of one shape to events of another, in the same order.

    Raises:
        ValueError: for shapes of different numbers of elements.
    """

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        self.in_shape = Size(in_shape)
        self.out_shape = Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")
        super().__init__(cache_size=cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        """All events of ``in_shape``."""
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        """All events of ``out_shape``."""
        return constraints.independent(constraints.real, len(self.out_shape))

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return ReshapeTransform(self.in_shape, self.out_shape, cache_size=cache_size)

    def _call(self, x: Any) -> Any:
        return x.reshape(x.shape[: x.ndim - len(self.in_shape)] + self.out_shape)

    def _inverse(self, y: Any) -> Any:
        return y.reshape(y.shape[: y.ndim - len(self.out_shape)] + self.in_shape)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> Any:
        return _exchanged(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return _exchanged(shape, self.out_shape, self.in_shape)


def _exchanged(shape: Any, old: Any, new: Any) -> Any:
    cut = len(_with_dims(shape, len(old))) - len(old)
    if shape[cut:] != old:
        raise ValueError(f"Shape mismatch: expected {shape[cut:]} but got {old}")
    return shape[:cut] + new
