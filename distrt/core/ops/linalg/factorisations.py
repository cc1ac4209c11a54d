"""Cholesky, QR and LU factorisations.

Source of the gradients: torch/csrc/autograd/FunctionsManual.cpp; Murray, Differentiation of the Cholesky
decomposition (2016).
"""

# ruff: noqa: N803 - matrices are named as PyTorch names its arguments

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, identity_matrix, known
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out, write_out
from distrt.core.errors import AutogradError
from distrt.core.op import op
from distrt.core.ops.linalg.factor_kernels import first_zero_pivot, lu_factors, partial_cholesky, permutation
from distrt.core.ops.linalg.matrices import (
    adjoint,
    checked,
    fail_where,
    identity_like,
    product_of,
    require_matrix,
)
from distrt.core.tensor import wrap
from distrt.core.tensors.return_types import return_type

__all__ = [
    "cholesky",
    "linalg_cholesky",
    "linalg_cholesky_ex",
    "linalg_lu",
    "linalg_lu_factor",
    "linalg_lu_factor_ex",
    "linalg_qr",
    "lu",
    "lu_unpack",
    "qr",
]


# Cholesky


@op(holomorphic=False, node="LinalgCholeskyEx")
def _cholesky(input: Array) -> Any:
    """The lower factor of each matrix, as far as it exists, and the order of the first minor that fails, or 0."""
    batch = input.shape[:-2]
    try:
        found = checked(np.linalg.cholesky, input)
        if not known(np.isnan(np.diagonal(found, axis1=-2, axis2=-1)).any()):
            return found, np.zeros(batch, np.int32, like=input)
    except np.linalg.LinAlgError:
        pass
    factors, infos = np.empty(input.shape, input.dtype, like=input), np.zeros(batch, np.int32, like=input)
    for place in np.ndindex(batch):
        factors[place], infos[place] = partial_cholesky(input[place])
    return factors, infos


def _cholesky_rule(g: Any, factor: Any) -> Any:
    inner = ops.tril(product_of(adjoint(factor), g))
    both = ops.mul(ops.add(inner, adjoint(ops.tril(inner, -1))), 0.5)
    left = ops.linalg_solve_triangular(adjoint(factor), both, upper=True)
    return ops.linalg_solve_triangular(factor, left, upper=False, left=False)


_cholesky.outputs("L", "info")
_cholesky.gradient(input=lambda g_L, L: _cholesky_rule(g_L, L))


def _minor_says(order: int) -> str:
    return (
        "The factorization could not be completed because the input is not positive-definite (the leading minor of "
        f"order {order} is not positive-definite)."
    )


def _checked_cholesky(name: str, input: Any, is_upper: bool) -> Any:
    require_matrix(name, input, square=True)
    factor, info = _cholesky(adjoint(input) if is_upper else input)
    fail_where(name, info._array, _minor_says)
    return adjoint(factor) if is_upper else factor


@autocasts("full")
@takes_out
def linalg_cholesky(input: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with ``input = L L^H``; with ``upper`` its adjoint. Shape: (…, n, n) -> (…, n, n).

    Raises:
        LinAlgError: where a matrix is not positive definite.
    """
    return _checked_cholesky("linalg.cholesky", input, upper)


@autocasts("full")
@takes_out
def cholesky(input: Any, upper: bool = False) -> Any:
    """As ``linalg.cholesky``."""
    return _checked_cholesky("cholesky", input, upper)


@autocasts("full")
@takes_out
def linalg_cholesky_ex(input: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """As ``linalg.cholesky``, but what fails is told by ``info`` (the order of the first minor that fails, or 0)."""
    require_matrix("linalg.cholesky_ex", input, square=True)
    factor, info = _cholesky(adjoint(input) if upper else input)
    if check_errors:
        fail_where("linalg.cholesky_ex", info._array, _minor_says)
    returned = return_type("linalg_cholesky_ex", ("L", "info"))
    return returned((adjoint(factor) if upper else factor, info))


# QR


@op(holomorphic=False, autocast="full")
def linalg_qr(A: Array, mode: str = "reduced") -> Any:
    """``A = Q R`` with orthonormal columns in Q and R upper triangular.

    Shape: (…, m, n) -> (…, m, k), (…, k, n), where k is m for the mode "complete" and min(m, n) for "reduced"; the
    mode "r" leaves Q empty.
    """
    require_matrix("linalg.qr", A)
    kinds: dict[str, Any] = {"reduced": "reduced", "complete": "complete", "r": "r"}
    if mode not in kinds:
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    if mode == "r":
        return np.empty(0, A.dtype, like=A), np.linalg.qr(A, "r")
    return tuple(np.linalg.qr(A, kinds[mode]))


def _qr_rule(g_q: Any, g_r: Any, q: Any, r: Any, mode: str) -> Any:
    if mode == "r":
        raise AutogradError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
            "linalg.qr(A, mode='reduced') if you are going to require gradients"
        )
    rows, columns = q.shape[-2], r.shape[-1]
    if mode == "complete" and rows > columns:
        raise AutogradError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    if rows >= columns:
        return _tall_qr_rule(g_q, g_r, q, r)
    # A = [X Y] with X square: X = Q R1 and R2 = Q^H Y.
    square, beside = (..., slice(rows)), (..., slice(rows, None))
    g_first = g_second = None
    if g_r is not None:
        g_second = product_of(q, ops.index(g_r, beside))
        through_q = product_of(product_of(q, ops.index(r, beside)), adjoint(ops.index(g_r, beside)))
        g_q = through_q if g_q is None else ops.add(g_q, through_q)
        g_first = ops.index(g_r, square)
    first = _tall_qr_rule(g_q, g_first, q, ops.index(r, square))
    if g_second is None:
        g_second = ops.mul(product_of(q, ops.index(r, beside)), 0)
    return ops.cat([first, g_second], -1)


def _tall_qr_rule(g_q: Any, g_r: Any, q: Any, r: Any) -> Any:
    inner = None if g_r is None else product_of(g_r, adjoint(r))
    if g_q is not None:
        turn = product_of(adjoint(q), g_q)
        inner = ops.neg(turn) if inner is None else ops.sub(inner, turn)
    inner = ops.triu(inner)
    inner = ops.mul(ops.add(inner, adjoint(inner)), 1 - identity_like(inner).real / 2)
    total = product_of(q, inner)
    if g_q is not None:
        total = ops.add(total, g_q)
    return ops.linalg_solve_triangular(adjoint(r), total, upper=False, left=False)


linalg_qr.outputs("Q", "R")
linalg_qr.gradient(A=lambda g_Q, g_R, Q, R, mode: _qr_rule(g_Q, g_R, Q, R, mode))


@autocasts("full")
@takes_out
def qr(input: Any, some: bool = True) -> Any:
    """As ``linalg.qr``: reduced, or complete without ``some``."""
    return return_type("qr", ("Q", "R"))(tuple(linalg_qr(input, "reduced" if some else "complete")))


# LU


@op(holomorphic=False, node="LinalgLuFactorEx")
def _lu_factor(A: Array) -> Any:
    """Both factors in one matrix, the pivots (from 1), and the position of the first zero pivot, or 0."""
    factors, pivots = lu_factors(A)
    return factors, (pivots + 1).astype(np.int32), first_zero_pivot(factors)


def _lu_rule(g: Any, factors: Any, pivots: Array) -> Any:
    rows, columns = factors.shape[-2:]
    size = min(rows, columns)
    head, rest = slice(size), slice(size, None)
    corner = ops.index(factors, (..., head, head))
    left, right = ops.add(ops.tril(corner, -1), identity_like(corner)), ops.triu(corner)
    g_corner = ops.index(g, (..., head, head))
    g_left, g_right = ops.tril(g_corner, -1), ops.triu(g_corner)
    g_rest = None
    if columns > size:  # A = P [L U1 | L U2]
        g_rest = ops.linalg_solve_triangular(
            adjoint(left), ops.index(g, (..., rest)), upper=True, unitriangular=True
        )
        g_left = ops.sub(g_left, product_of(g_rest, adjoint(ops.index(factors, (..., rest)))))
    elif rows > size:  # A = P [L1 U; L2 U]
        below = ops.index(factors, (..., rest, slice(None)))
        g_rest = ops.linalg_solve_triangular(
            adjoint(right), ops.index(g, (..., rest, slice(None))), upper=False, left=False
        )
        g_right = ops.sub(g_right, product_of(adjoint(below), g_rest))
    inner = ops.add(
        ops.tril(product_of(adjoint(left), g_left), -1), ops.triu(product_of(g_right, adjoint(right)))
    )
    inner = ops.linalg_solve_triangular(adjoint(left), inner, upper=True, unitriangular=True)
    total = ops.linalg_solve_triangular(adjoint(right), inner, upper=False, left=False)
    if g_rest is not None:
        total = ops.cat([total, g_rest], -1 if columns > size else -2)
    return product_of(_permutation_matrix(pivots, rows, total), total)


def _permutation_matrix(pivots: Array, rows: int, like: Any) -> Array:
    """P with ``A = P L U``, as an array."""
    order = permutation(as_array(pivots) - 1, rows)
    kind = getattr(like, "_array", like).dtype
    return np.swapaxes(identity_matrix(rows, None, kind, order)[order], -1, -2)


_lu_factor.outputs("LU", "pivots", "info")
_lu_factor.gradient(
    A=lambda g_LU, LU, pivots: _lu_rule(g_LU, LU, getattr(pivots, "_array", pivots)),
)


def _require_pivot(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU")


@takes_out
def linalg_lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """The LU factorisation with partial pivoting in compact form. Shape: (…, m, n) -> (…, m, n), (…, min(m, n)).

    Raises:
        RuntimeError: where a pivot is zero.
    """
    require_matrix("torch.linalg.lu_factor", A)
    _require_pivot("linalg.lu_factor", pivot)
    factors, pivots, info = _lu_factor(A)
    fail_where(
        "torch.linalg.lu_factor",
        info._array,
        lambda k: (
            f"U[{k},{k}] is zero and using it on lu_solve would result in a division by zero. If you still want to "
            "perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        ),
    )
    return return_type("linalg_lu_factor", ("LU", "pivots"))((factors, pivots))


@takes_out
def linalg_lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """As :func:`linalg_lu_factor`, but a zero pivot is told by ``info`` (its position from 1, or 0)."""
    require_matrix("torch.linalg.lu_factor_ex", A)
    _require_pivot("linalg.lu_factor", pivot)
    found = tuple(_lu_factor(A))
    if check_errors:
        fail_where("torch.linalg.lu_factor_ex", found[2]._array, lambda k: f"U[{k},{k}] is zero")
    return return_type("linalg_lu_factor_ex", ("LU", "pivots", "info"))(found)


@takes_out
def linalg_lu(A: Any, *, pivot: bool = True) -> Any:
    """``A = P L U``. Shape: (…, m, n) -> (…, m, m), (…, m, k), (…, k, n) with k = min(m, n)."""
    require_matrix("linalg.lu", A)
    _require_pivot("linalg.lu_factor", pivot)
    factors, pivots, _ = _lu_factor(A)
    return return_type("linalg_lu", ("P", "L", "U"))(_unpacked(factors, pivots))


def _unpacked(factors: Any, pivots: Any) -> tuple[Any, Any, Any]:
    rows, columns = factors.shape[-2:]
    size = min(rows, columns)
    left = ops.index(factors, (..., slice(size)))
    left = ops.add(ops.tril(left, -1), identity_matrix(rows, size, factors._array.dtype, factors._array))
    right = ops.triu(ops.index(factors, (..., slice(size), slice(None))))
    return wrap(_permutation_matrix(pivots._array, rows, factors)), left, right


@takes_out
def lu_unpack(
    LU_data: Any,
    LU_pivots: Any,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
) -> Any:
    """P, L and U of a factorisation in compact form; what is not asked for is empty."""
    require_matrix("lu_unpack", LU_data, "LU_data")
    if LU_pivots._array.dtype != np.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
        )
    permuted, left, right = _unpacked(LU_data, LU_pivots)
    nothing = wrap(np.empty(0, LU_data._array.dtype, like=LU_data._array))
    if not unpack_data:
        left = right = nothing
    return return_type("lu_unpack", ("P", "L", "U"))((permuted if unpack_pivots else nothing, left, right))


@autocasts("full")
def lu(A: Any, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """The LU factorisation in compact form, with ``get_infos`` also the positions of zero pivots."""
    found = tuple(linalg_lu_factor_ex(A, pivot=pivot))
    made = return_type("_lu_with_info", ("LU", "pivots", "info"))(found) if get_infos else found[:2]
    return made if out is None else write_out("lu", made, out)
