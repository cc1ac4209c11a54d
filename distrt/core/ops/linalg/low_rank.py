"""Singular values of matrices that are nearly of low rank, by a random projection.

Source: Halko, Martinsson and Tropp, Finding structure with randomness (2009), algorithms 4.4 and 5.1.
"""

# ruff: noqa: N803 - matrices are named as PyTorch names its arguments

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.ops.linalg.matrices import adjoint, require_matrix

__all__ = ["pca_lowrank", "svd_lowrank"]


def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> tuple[Any, Any, Any]:
    """The ``q`` largest singular values of ``A - M`` and their vectors, nearly: U, S and V.

    Args:
        A: matrices. Shape: (…, m, n).
        q: how many; a little more than the rank.
        niter: how often the projection is refined.
        M: what is subtracted from A, broadcast.
    """
    require_matrix("svd_lowrank", A)
    matrix = A if M is None else ops.sub(A, M)
    is_wide = A.shape[-2] < A.shape[-1]
    tall = adjoint(matrix) if is_wide else matrix
    basis = _basis(tall, 6 if q is None else q, 2 if niter is None else niter)
    inner, values, vh = ops.linalg_svd(ops.matmul(adjoint(basis), tall), False)
    left, right = ops.matmul(basis, inner), adjoint(vh)
    return (right, values, left) if is_wide else (left, values, right)


def _basis(matrix: Any, count: int, refinements: int) -> Any:
    """An orthonormal basis of nearly the space that the columns span."""
    from distrt.core.creation import randn

    shape = (*matrix.shape[:-2], matrix.shape[-1], count)
    found = ops.linalg_qr(ops.matmul(matrix, randn(*shape, dtype=matrix.dtype, device=matrix.device)))[0]
    turned = adjoint(matrix)
    for _ in range(refinements):
        found = ops.linalg_qr(ops.matmul(turned, found))[0]
        found = ops.linalg_qr(ops.matmul(matrix, found))[0]
    return found


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Any, Any, Any]:
    """The principal components of the rows of ``A``: U, S and V as from :func:`svd_lowrank`, of the centred rows.

    Raises:
        ValueError: for a ``q`` beyond the matrix's sizes, or a negative ``niter``.
    """
    require_matrix("pca_lowrank", A)
    rows, columns = A.shape[-2:]
    if q is None:
        q = min(6, rows, columns)
    elif not 0 <= q <= min(rows, columns):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(rows, columns)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A, q, niter, ops.mean(A, -2, True) if center else None)
