"""Singular values and eigenvalues.

The gradients are PyTorch's: those of singular and eigenvectors are finite where the values are distinct, and mean
something for functions that do not depend on the vectors' phases (or signs).
Source: torch/csrc/autograd/FunctionsManual.cpp; Giles, An extended collection of matrix derivative results (2008).
"""

# ruff: noqa: N803 - matrices are named as PyTorch names its arguments

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, beside, identity_matrix, known
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out
from distrt.core.errors import AutogradError
from distrt.core.modes import modes
from distrt.core.op import IndexArray, op
from distrt.core.ops.linalg.matrices import (
    adjoint,
    checked,
    columns_scaled,
    identity_like,
    is_complex,
    matrix_diagonal,
    not_converged,
    product_of,
    require_matrix,
    rows_scaled,
    singular_values_of,
    svd_of,
)
from distrt.core.tensor import wrap
from distrt.core.tensors.return_types import return_type

__all__ = [
    "linalg_eig",
    "linalg_eigh",
    "linalg_eigvals",
    "linalg_eigvalsh",
    "linalg_svd",
    "linalg_svdvals",
    "svd",
]


def _recorded(value: Any) -> bool:
    """Whether an operation on ``value`` will be differentiated."""
    return bool(modes.grad and getattr(value, "requires_grad", False))


def _differences(values: Any) -> Any:
    """``values[j] - values[i]`` for each i, j, with ones on the diagonal, to divide by."""
    return ops.add(
        ops.sub(ops.unsqueeze(values, -2), ops.unsqueeze(values, -1)),
        identity_like(values),
    )


def _require_no_phase(name: str, diagonal: Any) -> None:
    """Raises AutogradError where a loss depends on the phase of complex vectors, which are given only up to one."""
    found = np.abs(getattr(diagonal, "_array", diagonal).imag)
    if found.size and known(
        found.max() > 1e-2 * np.maximum(1.0, np.abs(getattr(diagonal, "_array", diagonal)).max())
    ):
        raise AutogradError(
            f"{name}: The vectors in the complex case are specified up to multiplication by e^{{i phi}}. The specified "
            "loss function depends on this phase term, making it ill-defined."
        )


# Singular values


@op(holomorphic=False, autocast="full")
def linalg_svd(A: Array, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """The singular value decomposition ``A = U diag(S) Vh``.

    Shape: (…, m, n) -> (…, m, m), (…, k), (…, n, n) with k = min(m, n); without ``full_matrices`` (…, m, k), (…, k),
    (…, k, n).
    """
    require_matrix("linalg.svd", A)
    _require_no_driver("linalg.svd", driver)
    return svd_of("linalg.svd", A, full_matrices)


@op()
def _svdvals(A: IndexArray) -> Array:
    """The singular values alone."""
    require_matrix("linalg.svd", A)
    return singular_values_of("linalg.svd", A)


def _require_no_driver(name: str, driver: str | None) -> None:
    if driver is not None:
        raise RuntimeError(
            f"{name}: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER"
        )


def _svd_rule(g_u: Any, g_s: Any, g_vh: Any, u: Any, s: Any, vh: Any) -> Any:
    rank = s.shape[-1]
    rows, columns = u.shape[-2], vh.shape[-1]
    u, vh = ops.index(u, (..., slice(rank))), ops.index(vh, (..., slice(rank), slice(None)))
    g_u = None if g_u is None else ops.index(g_u, (..., slice(rank)))
    g_vh = None if g_vh is None else ops.index(g_vh, (..., slice(rank), slice(None)))
    if g_u is None and g_vh is None:
        return product_of(columns_scaled(u, g_s), vh)
    inner = _svd_core(g_u, g_vh, u, s, vh)
    if g_s is not None:
        inner = ops.add(inner, ops.diag_embed(g_s))
    if rows > columns and g_u is not None:
        outside = ops.true_divide(g_u, ops.unsqueeze(s, -2))
        outside = ops.sub(outside, product_of(u, product_of(adjoint(u), outside)))
        return product_of(ops.add(product_of(u, inner), outside), vh)
    if rows < columns and g_vh is not None:
        outside = ops.true_divide(g_vh, ops.unsqueeze(s, -1))
        outside = ops.sub(outside, product_of(product_of(outside, adjoint(vh)), vh))
        return product_of(u, ops.add(product_of(inner, vh), outside))
    return product_of(u, inner, vh)


def _svd_core(g_u: Any, g_vh: Any, u: Any, s: Any, vh: Any) -> Any:
    """What the gradients of both kinds of vectors give, seen from these vectors."""
    gaps = _differences(ops.mul(s, s))
    inner = None
    if g_u is not None:
        turn = product_of(adjoint(u), g_u)
        turn = ops.sub(turn, adjoint(turn))
        inner = ops.true_divide(columns_scaled(turn, s), gaps)
        if is_complex(u):
            phase = matrix_diagonal(turn)
            inner = ops.add(inner, ops.diag_embed(ops.true_divide(phase, ops.mul(s, 2))))
    if g_vh is not None:
        turn = product_of(vh, adjoint(g_vh))
        turn = ops.sub(turn, adjoint(turn))
        other = ops.true_divide(rows_scaled(s, turn), gaps)
        inner = other if inner is None else ops.add(inner, other)
    return inner


linalg_svd.outputs("U", "S", "Vh")
linalg_svd.gradient(A=lambda g_U, g_S, g_Vh, U, S, Vh: _svd_rule(g_U, g_S, g_Vh, U, S, Vh))


@autocasts("full")
@takes_out
def linalg_svdvals(A: Any, *, driver: str | None = None) -> Any:
    """The singular values, the largest first. Shape: (…, m, n) -> (…, min(m, n))."""
    require_matrix("linalg.svd", A)
    _require_no_driver("linalg.svd", driver)
    return linalg_svd(A, False)[1] if _recorded(A) else _svdvals(A)


@autocasts("full")
@takes_out
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """The decomposition ``input = U diag(S) V^H``; without ``compute_uv`` U and V are zeros."""
    returned = return_type("svd", ("U", "S", "V"))
    if compute_uv:
        u, s, vh = linalg_svd(input, not some)
        return returned((u, s, adjoint(vh)))
    s = linalg_svdvals(input)
    *batch, rows, columns = input.shape
    kind = input._array.dtype
    empty = [wrap(np.zeros((*batch, size, size), kind, like=input._array)) for size in (rows, columns)]
    return returned((empty[0], s, empty[1]))


# Symmetric (Hermitian) matrices


def _uplo(given: str) -> Any:
    if given not in ("L", "U", "l", "u"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {given}")
    return given.upper()


@op(holomorphic=False, autocast="full")
def linalg_eigh(input: Array, UPLO: str = "L") -> Any:
    """Eigenvalues (ascending) and eigenvectors of symmetric or Hermitian matrices; one triangle is read.

    Shape: (…, n, n) -> (…, n), (…, n, n).
    """
    require_matrix("linalg.eigh", input, square=True)
    try:
        return tuple(checked(np.linalg.eigh, input, UPLO=_uplo(UPLO)))
    except np.linalg.LinAlgError:
        raise not_converged("linalg.eigh", input) from None


@op()
def _eigvalsh(input: IndexArray, UPLO: str) -> Array:
    """The eigenvalues alone."""
    require_matrix("linalg.eigh", input, square=True)
    try:
        return checked(np.linalg.eigvalsh, input, UPLO=_uplo(UPLO))
    except np.linalg.LinAlgError:
        raise not_converged("linalg.eigh", input) from None


def _eigh_rule(g_values: Any, g_vectors: Any, values: Any, vectors: Any) -> Any:
    if g_vectors is None:
        return product_of(columns_scaled(vectors, g_values), adjoint(vectors))
    turn = product_of(adjoint(vectors), g_vectors)
    if is_complex(vectors):
        _require_no_phase("linalg_eigh_backward", matrix_diagonal(turn))
    turn = ops.mul(ops.sub(turn, adjoint(turn)), 0.5)  # what turns vectors and keeps them orthogonal is skew
    inner = ops.mul(
        ops.true_divide(turn, _differences(values)),
        1 - identity_matrix(values.shape[-1], None, np.int8, beside(values)),
    )
    if g_values is not None:
        inner = ops.add(inner, ops.diag_embed(g_values))
    return product_of(vectors, inner, adjoint(vectors))


linalg_eigh.outputs("eigenvalues", "eigenvectors")
linalg_eigh.gradient(
    input=lambda g_eigenvalues, g_eigenvectors, eigenvalues, eigenvectors: _eigh_rule(
        g_eigenvalues, g_eigenvectors, eigenvalues, eigenvectors
    )
)


@autocasts("full")
@takes_out
def linalg_eigvalsh(input: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of symmetric or Hermitian matrices, ascending. Shape: (…, n, n) -> (…, n)."""
    require_matrix("linalg.eigh", input, square=True)
    return linalg_eigh(input, UPLO)[0] if _recorded(input) else _eigvalsh(input, UPLO)


# General matrices


@op(holomorphic=False, autocast="full")
def linalg_eig(input: Array) -> Any:
    """Complex eigenvalues and eigenvectors. Shape: (…, n, n) -> (…, n), (…, n, n)."""
    require_matrix("linalg.eig", input, square=True)
    kind = np.result_type(input.dtype, np.complex64)
    _require_finite("torch.linalg.eig", input)
    try:
        values, vectors = checked(np.linalg.eig, input)
    except np.linalg.LinAlgError:
        raise not_converged("linalg.eig", input) from None
    return values.astype(kind, copy=False), vectors.astype(kind, copy=False)


@op()
def _eigvals(input: IndexArray) -> Array:
    """The eigenvalues alone."""
    require_matrix("linalg.eig", input, square=True)
    _require_finite("torch.linalg.eig", input)
    try:
        return checked(np.linalg.eigvals, input).astype(np.result_type(input.dtype, np.complex64), copy=False)
    except np.linalg.LinAlgError:
        raise not_converged("linalg.eig", input) from None


def _require_finite(name: str, matrix: Array) -> None:
    if known(~np.isfinite(matrix).all()):
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")


def _eig_rule(g_values: Any, g_vectors: Any, values: Any, vectors: Any) -> Any:
    to_left = adjoint(vectors)
    if g_vectors is None:
        return ops.linalg_solve(to_left, rows_scaled(g_values, to_left))
    turn = product_of(to_left, g_vectors)
    along = matrix_diagonal(turn)
    _require_no_phase("linalg_eig_backward", along)
    sizes = ops.real(along)  # the vectors' length is fixed
    inner = ops.sub(turn, product_of(to_left, columns_scaled(vectors, sizes)))
    inner = ops.true_divide(inner, ops.conj(_differences(values)))
    inner = ops.mul(inner, 1 - identity_matrix(values.shape[-1], None, np.int8, beside(values)))
    if g_values is not None:
        inner = ops.add(inner, ops.diag_embed(g_values))
    return ops.linalg_solve(to_left, product_of(inner, to_left))


linalg_eig.outputs("eigenvalues", "eigenvectors")
linalg_eig.gradient(
    input=lambda g_eigenvalues, g_eigenvectors, eigenvalues, eigenvectors: _eig_rule(
        g_eigenvalues, g_eigenvectors, eigenvalues, eigenvectors
    )
)


@autocasts("full")
@takes_out
def linalg_eigvals(input: Any) -> Any:
    """The eigenvalues, complex. Shape: (…, n, n) -> (…, n)."""
    require_matrix("linalg.eig", input, square=True)
    return linalg_eig(input)[0] if _recorded(input) else _eigvals(input)
