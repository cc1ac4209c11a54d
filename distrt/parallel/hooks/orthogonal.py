"""Orthonormal columns, in place: the step between PowerSGD's two products."""

from __future__ import annotations

from distrt.core import ops
from distrt.core.creation import empty
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor

__all__ = ["orthogonalize"]

_HALF = (dt.float16, dt.bfloat16)


def orthogonalize(matrices: Tensor, epsilon: float = 0) -> None:
    """Makes the columns of each matrix orthonormal.

    A QR factorisation does it for many columns; for one or two, and in half precision, Gram-Schmidt.

    Args:
        matrices: (matrices, rows, columns), with no more columns than rows; in place.
        epsilon: is added to a column's norm, so that one of zeros is not divided by zero.
    """
    count, rows, columns = matrices.shape
    if columns > rows:
        raise AssertionError(f"expected no more columns than rows, got {tuple(matrices.shape)}")
    if columns <= 2 or matrices.dtype in _HALF:
        _gram_schmidt(matrices, epsilon)
    else:
        triangles = empty(count, columns, columns, dtype=matrices.dtype)
        ops.linalg_qr(matrices, out=(matrices, triangles))


def _gram_schmidt(matrices: Tensor, epsilon: float) -> None:
    for place in range(matrices.shape[2]):
        column = matrices[:, :, place : place + 1]
        column /= ops.norm(column, dim=1, keepdim=True) + epsilon
        rest = matrices[:, :, place + 1 :]
        if rest.numel():
            rest -= (column * rest).sum(dim=1, keepdim=True) * column
