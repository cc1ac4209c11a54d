"""Functions of square matrices: determinants, powers, the exponential; Vandermonde matrices."""

# ruff: noqa: N803 - matrices are named as PyTorch names its arguments

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, beside, filled, identity_matrix, known_or, require_array
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import op
from distrt.core.ops.linalg.matrices import (
    adjoint,
    columns_scaled,
    identity_like,
    is_complex,
    product_of,
    require_matrix,
    transposed,
)
from distrt.core.ops.pointwise.half import wide
from distrt.core.tensor import wrap
from distrt.core.tensors.return_types import return_type

__all__ = [
    "det",
    "linalg_det",
    "linalg_matrix_exp",
    "linalg_matrix_power",
    "linalg_slogdet",
    "linalg_vander",
    "logdet",
    "matrix_exp",
    "matrix_power",
    "slogdet",
    "vander",
]


# Determinants


@op(node="LinalgDet")
def _det(A: Array) -> Array:
    """The determinant of each matrix."""
    return np.linalg.det(A)


def _det_slope(g: Any, a: Any, out: Any) -> Any:
    """``g * det * inv(A)^T``, or through singular values where the determinant is 0, as it is smooth there too."""
    scale = ops.mul(g, out)
    if known_or(np.all(getattr(out, "_array", out)), True):
        turned = transposed(a)
        spread = ops.diag_embed(ops.expand(ops.unsqueeze(scale, -1), tuple(a.shape[:-1])))
        return ops.linalg_solve(turned, spread)
    u, s, vh = ops.linalg_svd(a, False)
    sign = ops.mul(_det(u), _det(vh))
    cofactors = ops.conj(product_of(columns_scaled(u, _products_of_others(s)), vh))
    return ops.mul(ops.reshape(ops.mul(g, sign), (*g.shape, 1, 1)), cofactors)


def _products_of_others(values: Any) -> Any:
    """For each value, the product of all the others."""
    size = values.shape[-1]
    repeated = ops.where(
        identity_matrix(size, None, np.bool_, beside(values)), 1.0, ops.unsqueeze(values, -2)
    )
    result = ops.index(repeated, (..., 0))
    for number in range(1, size):
        result = ops.mul(result, ops.index(repeated, (..., number)))
    return result


_det.gradient(A=lambda g, A, out: _det_slope(g, A, out))


@takes_out
def linalg_det(A: Any) -> Any:
    """The determinant. Shape: (…, n, n) -> (…)."""
    require_matrix("linalg.det", A, square=True)
    return _det(A)


def det(input: Any) -> Any:
    """As ``linalg.det``."""
    return linalg_det(input)


@op(holomorphic=False, node="LinalgSlogdet")
def _slogdet(A: Array) -> Any:
    """The determinant's sign (or phase) and the logarithm of its size."""
    sign, size = np.linalg.slogdet(A)
    return as_array(sign).astype(A.dtype, copy=False), as_array(size).astype(A.real.dtype, copy=False)


def _slogdet_slope(g_sign: Any, g_size: Any, a: Any, sign: Any) -> Any:
    """``conj(c) inv(A)^H`` with c = g_size + i Im(conj(g_sign) sign): the phase turns where the trace is imaginary."""
    weight = g_size
    if is_complex(a) and g_sign is not None:
        turn = ops.imag(ops.mul(ops.conj(g_sign), sign))
        weight = ops.complex(ops.mul(turn, 0) if g_size is None else g_size, ops.neg(turn))
    elif g_size is None:
        weight = ops.mul(ops.real(sign), 0)  # the sign is constant wherever it has a derivative
    spread = ops.expand(ops.unsqueeze(weight, -1), tuple(a.shape[:-1]))
    if is_complex(a) and not is_complex(spread):
        spread = ops.to_dtype(spread, getattr(a, "_array", a).dtype)
    return ops.linalg_solve(adjoint(a), ops.diag_embed(spread))


_slogdet.outputs("sign", "logabsdet")
_slogdet.gradient(
    A=lambda g_sign, g_logabsdet, A, sign: _slogdet_slope(g_sign, g_logabsdet, A, sign),
)


@takes_out
def linalg_slogdet(A: Any) -> Any:
    """The determinant's sign (or phase) and the logarithm of its absolute value. Shape: (…, n, n) -> (…), (…)."""
    require_matrix("linalg.slogdet", A, square=True)
    return return_type("linalg_slogdet", ("sign", "logabsdet"))(tuple(_slogdet(A)))


@takes_out
def slogdet(input: Any) -> Any:
    """As ``linalg.slogdet``."""
    require_matrix("linalg.slogdet", input, square=True)
    return return_type("slogdet", ("sign", "logabsdet"))(tuple(_slogdet(input)))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant; nan where that is negative."""
    require_matrix("logdet", input, square=True)
    sign, size = _slogdet(input)
    if is_complex(input):
        return ops.add(ops.log(sign), size)
    return ops.where(ops.eq(sign, -1), float("nan"), size)


# Powers and the exponential


def matrix_power(input: Any, n: int) -> Any:
    """The product of ``n`` copies; of the inverse for a negative ``n``. Shape: (…, m, m) -> (…, m, m)."""
    return linalg_matrix_power(input, n)


@takes_out
def linalg_matrix_power(input: Any, n: int) -> Any:
    """The product of ``n`` copies; of the inverse for a negative ``n``. Shape: (…, m, m) -> (…, m, m).

    Raises:
        LinAlgError: for a singular matrix and a negative ``n``.
    """
    require_array("linalg_matrix_power", "input", input)
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        require_matrix("linalg.matrix_power", input, square=True)
    if not isinstance(n, int):
        raise TypeError(
            f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}"
        )
    if n == 0:
        return ops.where(False, input, identity_like(input))  # in the graph, with a gradient of zeros
    if n == 1:
        return ops.clone(input)
    base = ops.linalg_inv(input) if n < 0 else input
    result, left = None, abs(n)
    while left:
        if left % 2:
            result = base if result is None else ops.matmul(result, base)
        left //= 2
        if left:
            base = ops.matmul(base, base)
    return result


@op(node="LinalgMatrixExp")
def linalg_matrix_exp(A: Array) -> Array:
    """The exponential of square matrices.

    Shape: (…, n, n) -> (…, n, n).
    Source: Higham, The scaling and squaring method for the matrix exponential revisited (2005).
    """
    require_matrix("linalg.matrix_exp", A, square=True, low=True)
    work = wide(A)
    if not work.size:
        return A.copy()
    largest = np.abs(work).sum(axis=-2).max(axis=-1)  # the 1-norm of each matrix
    halvings = np.where(
        np.isfinite(largest), np.maximum(0, np.ceil(np.log2(np.maximum(largest, 1e-30) / 5.37))), 0
    )
    scaled = (work / (2.0**halvings)[..., None, None]).astype(work.dtype)
    result = _pade(scaled)
    for step in range(int(known_or(halvings.max(), 0))):
        squared = np.matmul(result, result)
        result = np.where((halvings > step)[..., None, None], squared, result)
    return result.astype(A.dtype, copy=False)


_PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)


def _pade(a: Array) -> Array:
    """The Padé approximant of degree 13 of the exponential, for matrices of 1-norm below 5.37."""
    weight = [c / _PADE[0] for c in _PADE]  # so that float32 can hold them
    one = identity_like(a)
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a6 @ (weight[13] * a6 + weight[11] * a4 + weight[9] * a2)
    odd = a @ (odd + weight[7] * a6 + weight[5] * a4 + weight[3] * a2 + weight[1] * one)
    even = a6 @ (weight[12] * a6 + weight[10] * a4 + weight[8] * a2)
    even = even + weight[6] * a6 + weight[4] * a4 + weight[2] * a2 + weight[0] * one
    return np.linalg.solve((even - odd).astype(a.dtype, copy=False), (even + odd).astype(a.dtype, copy=False))


def _exp_slope(g: Any, a: Any) -> Any:
    """The upper right block of ``exp([[A^T, g], [0, A^T]])``. Source: Al-Mohy and Higham (2009)."""
    turned, size = transposed(a), a.shape[-1]
    above = ops.cat([turned, g], -1)
    below = ops.cat([ops.mul(turned, 0), turned], -1)
    return ops.index(linalg_matrix_exp(ops.cat([above, below], -2)), (..., slice(size), slice(size, None)))


linalg_matrix_exp.gradient(A=lambda g, A: _exp_slope(g, A))


def matrix_exp(input: Any) -> Any:
    """The exponential of square matrices. Shape: (…, n, n) -> (…, n, n)."""
    return linalg_matrix_exp(input)


# Vandermonde matrices


def linalg_vander(x: Any, *, N: int | None = None) -> Any:
    """The powers 0 to N - 1 of each element, along a new last dim. Shape: (…, n) -> (…, n, N), N being n by default."""
    require_array("linalg_vander", "x", x)
    if x._array.dtype == np.bool_:
        raise DtypeError("linalg.vander supports floating point, complex, and integer tensors, but got Bool")
    if not x.ndim:
        x = ops.reshape(x, (1,))
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise ShapeError(f"N must be greater than 1, got {count}")
    kind = np.result_type(x._array.dtype, np.int64) if x._array.dtype.kind in "iu" else x._array.dtype
    powers = [
        wrap(filled(tuple(x.shape), 1, kind, x._array)),
        ops.to_dtype(x, kind) if kind != x._array.dtype else x,
    ]
    for _ in range(2, count):
        powers.append(ops.mul(powers[-1], powers[1]))
    return ops.stack(powers, -1)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers N - 1 to 0 of each element of a vector, or 0 to N - 1 for ``increasing``. Shape: (n) -> (n, N)."""
    require_array("vander", "x", x)
    if x.ndim != 1:
        raise ShapeError("x must be a one-dimensional tensor.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise ShapeError("N must be non-negative.")
    kind = x._array.dtype if x._array.dtype in dt.FLOATING_NUMPY else np.dtype(np.int64)
    powers = [wrap(filled(tuple(x.shape), 1, kind, x._array))]
    base = x if kind == x._array.dtype else ops.to_dtype(x, kind)
    for _ in range(1, count):
        powers.append(ops.mul(powers[-1], base))
    if not count:
        return wrap(np.empty((x.shape[0], 0), kind, like=x._array))
    return ops.stack(powers if increasing else powers[::-1], -1)
