"""Householder reflections: the compact form of a QR factorisation, and products with the Q that it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import identity_matrix, require_array
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out
from distrt.core.errors import ShapeError
from distrt.core.ops.linalg.matrices import adjoint, product_of, require_matrix
from distrt.core.tensor import wrap
from distrt.core.tensors.return_types import return_type

__all__ = ["geqrf", "linalg_householder_product", "orgqr", "ormqr"]


@autocasts("full")
@takes_out
def geqrf(input: Any) -> Any:
    """R above the diagonal and, below it, the vectors of the reflections that make Q; their factors ``tau``.

    Shape: (…, m, n) -> (…, m, n), (…, min(m, n)). Not differentiable: see ``linalg.qr``.
    """
    require_matrix("torch.geqrf", input, "input")
    compact, tau = np.linalg.qr(input._array, mode="raw")
    kind = input._array.dtype
    found = wrap(np.swapaxes(compact, -1, -2).astype(kind)), wrap(tau.astype(kind, copy=False))
    return return_type("geqrf", ("a", "tau"))(found)


@autocasts("full")
@takes_out
def linalg_householder_product(input: Any, tau: Any) -> Any:
    """The first n columns of ``H_1 … H_k`` with ``H_i = I - tau_i v_i v_i^H``, v_i from the columns below the diagonal.

    Shape: (…, m, n), (…, k) -> (…, m, n).
    """
    require_matrix("torch.linalg.householder_product", input, "input")
    rows, columns = input.shape[-2:]
    if rows < columns:
        raise ShapeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if tau.ndim < 1 or tau.shape[-1] > columns:
        raise ShapeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if tuple(tau.shape[:-1]) != tuple(input.shape[:-2]):
        raise ShapeError(
            "torch.linalg.householder_product: Expected batch dimensions of tau to be equal to "
            f"input.shape[:-2], but got {list(tau.shape[:-1])}"
        )
    kind = input._array.dtype
    reflections = ops.add(ops.tril(input, -1), identity_matrix(rows, columns, kind, input._array))
    product: Any = wrap(
        np.broadcast_to(identity_matrix(rows, columns, kind, input._array), tuple(input.shape)).copy()
    )
    for number in reversed(range(tau.shape[-1])):
        column = ops.index(reflections, (..., slice(number, number + 1)))
        weight = ops.unsqueeze(ops.index(tau, (..., slice(number, number + 1))), -1)
        shadow = product_of(ops.mul(column, weight), product_of(adjoint(column), product))
        product = ops.sub(product, shadow)
    return product


orgqr = linalg_householder_product


@autocasts("full")
@takes_out
def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """``Q @ other``, ``other @ Q`` without ``left``, with the adjoint of Q for ``transpose``; Q is m by m.

    Shape: (…, m, k), (…, k), (…, m, n) or (…, n, m) -> the shape of ``other``.
    """
    require_matrix("torch.ormqr", input, "input")
    require_array("ormqr", "tau", tau)
    require_matrix("torch.ormqr", other, "other")
    rows = input.shape[-2]
    if other.shape[-2 if left else -1] != rows:
        raise ShapeError(
            f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2], but they are "
            f"{other.shape[-2 if left else -1]} and {rows}"
        )
    if tau.ndim < 1 or tau.shape[-1] != min(rows, input.shape[-1]):
        raise ShapeError("torch.ormqr: tau.shape[-1] must be equal to min(other.shape[-2], input.shape[-1])")
    vectors = ops.add(
        ops.tril(input, -1), identity_matrix(rows, input.shape[-1], input._array.dtype, input._array)
    )
    if not left:  # other @ Q = (Q^H @ other^H)^H
        return adjoint(_reflected(vectors, tau, adjoint(other), not transpose))
    return _reflected(vectors, tau, other, transpose)


def _reflected(vectors: Any, tau: Any, other: Any, transpose: bool) -> Any:
    """``H_1 ... H_k @ other``, or its adjoint, ``H_k^H ... H_1^H @ other``."""
    order = range(tau.shape[-1])
    for number in order if transpose else reversed(order):
        column = ops.index(vectors, (..., slice(number, number + 1)))
        weight = ops.unsqueeze(ops.index(tau, (..., slice(number, number + 1))), -1)
        if transpose and tau.is_complex():
            weight = ops.conj(weight)
        other = ops.sub(other, product_of(ops.mul(column, weight), product_of(adjoint(column), other)))
    return other
