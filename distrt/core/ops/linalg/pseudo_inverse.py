"""What rests on singular values: pseudo-inverse, least squares, rank, condition number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, known, known_or, require_array
from distrt.core.autocast import autocasts, lowered
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.modes import modes
from distrt.core.op import op
from distrt.core.ops.linalg.matrices import (
    adjoint,
    checked,
    product_of,
    require_matrix,
    singular_values_of,
    svd_of,
)
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.tensor import wrap
from distrt.core.tensors.return_types import return_type

__all__ = [
    "linalg_cond",
    "linalg_lstsq",
    "linalg_matrix_rank",
    "linalg_pinv",
    "pinverse",
]


def _array_of(value: Any) -> Any:
    return getattr(value, "_array", value)


def _tolerance(matrix: Array, atol: Any, rtol: Any) -> tuple[Array, Array]:
    """Below ``max(atol, rtol * largest)`` a singular value counts as zero: both, each in the matrix's precision."""
    real = matrix.real.dtype
    if rtol is None:
        default = np.finfo(real).eps * max(matrix.shape[-2:])
        rtol = default if atol is None else np.where(as_array(_array_of(atol)) > 0, 0.0, default)
    return (
        np.asarray(0.0 if atol is None else _array_of(atol), real, like=matrix),
        np.asarray(_array_of(rtol), real, like=matrix),
    )


def _cut(values: Array, atol: Array, rtol: Array) -> Array:
    """The bound for each matrix, from its singular values. Shape: (…, k) -> (…, 1)."""
    largest = (
        values.max(axis=-1) if values.shape[-1] else np.zeros(values.shape[:-1], values.dtype, like=values)
    )
    return np.maximum(atol, rtol * largest)[..., None]


# Pseudo-inverse


@op(holomorphic=False, node="LinalgPinv")
def _pinv(input: Array, atol: Any, rtol: Any, hermitian: bool) -> Array:
    """The inverse of what singular values above the tolerance make up."""
    *batch, rows, columns = input.shape
    if not input.size:
        return np.empty((*batch, columns, rows), input.dtype, like=input)
    tolerances = _tolerance(input, atol, rtol)
    if hermitian:
        values, vectors = checked(np.linalg.eigh, input)
        sizes, u, vh = np.abs(values), vectors, vectors.conj().swapaxes(-1, -2)
    else:
        u, values, vh = svd_of("linalg.svd", input)
        sizes = values
    bound = _cut(sizes, *tolerances)
    kept = sizes > bound
    inverted = np.where(kept, 1 / np.where(kept, values, 1), 0).astype(values.dtype)
    return (vh.conj().swapaxes(-1, -2) * inverted[..., None, :]) @ u.conj().swapaxes(-1, -2)


def _pinv_slope(g: Any, a: Any, out: Any) -> Any:
    """Source: Golub and Pereyra, The differentiation of pseudo-inverses (1973), as PyTorch writes it."""
    g_adjoint, out_adjoint = adjoint(g), adjoint(out)
    if a.shape[-2] <= a.shape[-1]:
        k = product_of(g_adjoint, out)
        k_out = product_of(k, out_adjoint)
        left = ops.sub(k_out, adjoint(product_of(out, k)))
        right = product_of(product_of(out_adjoint, out), ops.sub(g_adjoint, product_of(k, a)))
        return ops.add(ops.sub(left, product_of(product_of(a, out), k_out)), right)
    k = product_of(out, g_adjoint)
    out_k = product_of(out_adjoint, k)
    left = ops.sub(
        product_of(ops.sub(g_adjoint, product_of(a, k)), product_of(out, out_adjoint)),
        adjoint(product_of(k, out)),
    )
    return ops.sub(ops.add(left, out_k), product_of(product_of(out_k, out), a))


_pinv.gradient(input=lambda g, input, out: _pinv_slope(g, input, out))


@takes_out
def linalg_pinv(
    input: Any,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """The Moore-Penrose pseudo-inverse. Shape: (…, m, n) -> (…, n, m).

    Args:
        input: the matrices.
        rcond: the same as ``rtol``.
        hermitian: take the matrices as Hermitian, and read their lower triangles only.
        atol: singular values up to this count as zero.
        rtol: and those up to this part of the largest; default ``max(m, n) * eps``, or 0 beside an ``atol``.
    """
    require_array("linalg_pinv", "input", input)
    if input.ndim < 2 or not (input.is_floating_point() or input.is_complex()):
        raise DtypeError(
            f"linalg.pinv({scalar_type(input)}{{{list(input.shape)}}}): expected a tensor with 2 or more dimensions of "
            "float, double, cfloat or cdouble types"
        )
    require_matrix("linalg.pinv", input, square=hermitian)
    found = _pinv(input, atol, rcond if rtol is None else rtol, hermitian)
    return found if modes.autocast is None else lowered(found)  # PyTorch ends with a matrix product


@autocasts("full")
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """As ``linalg.pinv``, by default with a tolerance of 1e-15."""
    return linalg_pinv(input, rcond)


# Least squares

_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@autocasts("full")
@takes_out
def linalg_lstsq(input: Any, b: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """X that makes ``|input X - b|`` smallest, and itself the smallest of those.

    Shape: (…, m, n), (…, m, k) or (…, m) -> (…, n, k) or (…, n); residuals (…, k) where the rank is known to be full
    and m > n, else empty; rank (…), empty for the driver "gels"; singular values for "gelsd" and "gelss", else empty.
    """
    require_matrix("torch.linalg.lstsq", input, "input")
    require_array("linalg_lstsq", "b", b)
    if input.dtype != b.dtype:
        raise DtypeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's dtype "
            f"{scalar_type(input)} and other's dtype {scalar_type(b)}"
        )
    if driver is not None and driver not in _DRIVERS:
        raise RuntimeError(
            f"torch.linalg.lstsq: parameter `driver` should be one of ({', '.join(_DRIVERS)}), got {driver!r}"
        )
    if b.ndim < 1:
        raise ShapeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    is_vector = b.ndim == 1 or (b.ndim == input.ndim - 1 and tuple(b.shape) == tuple(input.shape[:-1]))
    matrix = ops.unsqueeze(b, -1) if is_vector else b
    if input.shape[-2] != matrix.shape[-2]:
        which = "size(-1)" if is_vector else "size(-2)"
        raise ShapeError(f"torch.linalg.lstsq: input.size(-2) should match other.{which}")
    return _least_squares(input, matrix, is_vector, rcond, driver or "gelsy")


def _least_squares(a: Any, b: Any, is_vector: bool, rcond: float | None, driver: str) -> Any:
    rows, columns = a.shape[-2:]
    kind = a._array.real.dtype
    rtol = float(np.finfo(kind).eps) * max(rows, columns) if rcond is None else rcond
    solution = product_of(linalg_pinv(a, rtol=0.0 if driver == "gels" else rtol), b)
    values = singular_values_of("linalg.svd", a._array)
    rank = (values > _cut(values, kind.type(0), kind.type(rtol))).sum(axis=-1)
    miss = ops.abs(ops.sub(product_of(a, solution), b))
    residuals = ops.sum(ops.mul(miss, miss), -2)
    if (
        rows <= columns
        or driver == "gelsy"
        or not (driver == "gels" or known_or((rank == columns).all(), True))
    ):
        residuals = ops.index(ops.reshape(residuals, (-1,)), (slice(0),))
    nothing = np.empty(0, np.int64, like=values)
    with_values = driver in ("gelsd", "gelss")
    fields = ("solution", "residuals", "rank", "singular_values")
    return return_type("linalg_lstsq", fields)(
        (
            ops.squeeze(solution, -1) if is_vector else solution,
            residuals,
            wrap(nothing if driver == "gels" else rank.astype(np.int64)),
            wrap(values if with_values else np.empty(0, kind, like=values)),
        )
    )


# Rank and condition


@autocasts("full")
@takes_out
def linalg_matrix_rank(
    input: Any,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """The number of singular values above the tolerance. Shape: (…, m, n) -> (…), int64.

    Args:
        input: the matrices.
        tol: the same as ``atol`` with an ``rtol`` of 0.
        hermitian: take the matrices as Hermitian, and read their lower triangles only.
        atol: singular values up to this count as zero.
        rtol: and those up to this part of the largest; default ``max(m, n) * eps``, or 0 beside an ``atol``.
    """
    require_matrix("torch.linalg.matrix_rank", input, "input", square=hermitian)
    matrix = input._array
    atol, rtol = _tolerance(matrix, atol, rtol) if tol is None else _tolerance(matrix, tol, 0.0)
    if not matrix.size:
        return wrap(np.zeros(matrix.shape[:-2], np.int64, like=matrix))
    values = (
        np.abs(checked(np.linalg.eigvalsh, matrix)) if hermitian else singular_values_of("linalg.svd", matrix)
    )
    bound = np.maximum(atol, rtol * values.max(axis=-1))
    return wrap(as_array((values > bound[..., None]).sum(axis=-1)).astype(np.int64, copy=False))


@autocasts("full")
@takes_out
def linalg_cond(input: Any, p: Any = None) -> Any:
    """How much a matrix magnifies relative errors, in the norm ``p`` (by default 2). Shape: (…, n, n) -> (…)."""
    require_array("linalg_cond", "input", input)
    if input.ndim < 2:
        raise ShapeError("linalg.cond: The input tensor input must have at least 2 dimensions.")
    if not input.numel():  # PyTorch's answer for matrices without elements
        return wrap(np.zeros(tuple(input.shape[:-2]), input._array.real.dtype, like=input._array))
    if p is None or p in (2, -2):
        values = ops.linalg_svdvals(input)
        largest, smallest = ops.index(values, (..., 0)), ops.index(values, (..., -1))
        return ops.true_divide(smallest, largest) if p == -2 else ops.true_divide(largest, smallest)
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    require_matrix(f"linalg.cond(ord={p})" if not isinstance(p, str) else "linalg.cond", input, square=True)
    if p == "nuc":
        values = ops.linalg_svdvals(input)
        return ops.mul(ops.sum(values, -1), ops.sum(ops.reciprocal(values), -1))
    inverse, info = ops.linalg_inv_ex(input)
    found = ops.mul(ops.linalg_matrix_norm(input, p), ops.linalg_matrix_norm(inverse, p))
    singular = as_array(info._array != 0)
    return ops.where(singular, math.inf, found) if known(singular.any()) else found
