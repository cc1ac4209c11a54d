"""Kernels on arrays that NumPy lacks: triangular solves, LU with partial pivoting, how far a Cholesky factor gets.

Each works on whole batches, and recursively, so that most of the time is spent in matrix products.
Source: Golub and Van Loan, Matrix Computations, 3.1 (triangular systems) and 3.4 (pivoting).
"""

from __future__ import annotations

import math

import numpy as np

from distrt.core.arrays import Array

_SMALL = 16  # below this size, column by column


def solve_triangle(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """X with ``tri(a) @ X = b``, where only one triangle of ``a`` is read; a zero on the diagonal gives inf or nan.

    Args:
        a: (…, n, n).
        b: (…, n, k), of the same dtype; batch dims broadcast.
        upper: read the upper triangle, not the lower one.
        unit: take the diagonal as ones.
    """
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, batch + b.shape[-2:]), order="C", like=b)
    _substitute(a, x, upper, unit)
    return x


def _substitute(a: Array, x: Array, upper: bool, unit: bool) -> None:
    """Solves in place."""
    size = a.shape[-1]
    if size > _SMALL:
        half = size // 2
        top, bottom = slice(0, half), slice(half, size)
        first, second = (bottom, top) if upper else (top, bottom)
        _substitute(a[..., first, first], x[..., first, :], upper, unit)
        x[..., second, :] -= np.matmul(a[..., second, first], x[..., first, :])
        _substitute(a[..., second, second], x[..., second, :], upper, unit)
        return
    for row in reversed(range(size)) if upper else range(size):
        known = slice(row + 1, size) if upper else slice(0, row)
        x[..., row, :] -= np.matmul(a[..., row : row + 1, known], x[..., known, :])[..., 0, :]
        if not unit:
            x[..., row, :] /= a[..., row, row, None]


def lu_factors(a: Array) -> tuple[Array, Array]:
    """Both factors of ``a`` in one array, and the pivots: row j was exchanged with row ``pivots[j]`` (from 0).

    Shape: (…, m, n) -> (…, m, n), (…, min(m, n)).
    """
    m, n = a.shape[-2:]
    if not a.size:
        pivots = np.broadcast_to(np.arange(min(m, n), like=a), (*a.shape[:-2], min(m, n)))
        return a.copy(), pivots.copy()
    count = int(np.prod(a.shape[:-2]))
    work = np.array(a, order="C", like=a).reshape(count, m, n)
    pivots = _factor(work)
    return work.reshape(a.shape), pivots.reshape(*a.shape[:-2], min(m, n))


def _factor(a: Array) -> Array:
    """Factors (batch, m, n) in place; returns the pivots."""
    _, m, n = a.shape
    rank = min(m, n)
    if rank <= _SMALL:
        return _factor_columns(a)
    half = rank // 2
    left, right = a[:, :, :half], a[:, :, half:]
    first = _factor(left)
    _exchange(right, first)
    _substitute(left[:, :half], right[:, :half], False, True)
    right[:, half:] -= np.matmul(left[:, half:], right[:, :half])
    second = _factor(right[:, half:])
    _exchange(left[:, half:], second)
    return np.concatenate([first, second + half], axis=1)


def _factor_columns(a: Array) -> Array:
    batch, m, n = a.shape
    everyone = np.arange(batch, like=a)
    pivots = np.zeros((batch, min(m, n)), np.int64, like=a)
    for column in range(min(m, n)):
        below = a[:, column:, column]
        size = np.abs(below.real) + np.abs(below.imag) if a.dtype.kind == "c" else np.abs(below)
        pivots[:, column] = found = column + size.argmax(axis=1)
        kept = a[everyone, found]
        a[everyone, found] = a[:, column]
        a[:, column] = kept
        pivot = a[:, column, column, None]
        a[:, column + 1 :, column] /= np.where(pivot == 0, 1, pivot).astype(a.dtype)
        a[:, column + 1 :, column + 1 :] -= (
            a[:, column + 1 :, column, None] * a[:, column, None, column + 1 :]
        )
    return pivots


def _exchange(rows: Array, pivots: Array) -> None:
    """Applies the pivots to (batch, m, n) in place."""
    rows[...] = np.take_along_axis(rows, permutation(pivots, rows.shape[1])[:, :, None], axis=1)


def permutation(pivots: Array, count: int) -> Array:
    """The order in which the pivots leave ``count`` rows. Shape: (…, k) -> (…, count)."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(count, like=flat), (flat.shape[0], 1))
    everyone = np.arange(flat.shape[0], like=flat)
    for row in range(flat.shape[1]):
        other = flat[:, row]
        kept = order[everyone, other]
        order[everyone, other] = order[:, row]
        order[:, row] = kept
    return order.reshape(*pivots.shape[:-1], count)


def first_zero_pivot(factors: Array) -> Array:
    """For each LU factorisation the position (from 1) of the first zero on U's diagonal, or 0."""
    zero = np.diagonal(factors, axis1=-2, axis2=-1) == 0
    if not zero.shape[-1]:
        return np.zeros(zero.shape[:-1], np.int32, like=zero)
    return np.where(zero.any(axis=-1), zero.argmax(axis=-1) + 1, 0).astype(np.int32)


def partial_cholesky(a: Array) -> tuple[Array, Array]:
    """The Cholesky factor of one (n, n) matrix as far as it exists, and the order of the first minor that fails, or 0.

    What could not be factored stays as it was, in the lower triangle.
    """
    factor = np.tril(a)
    for column in range(a.shape[-1]):
        done = factor[:, :column]
        pivot = a[column, column].real - (np.abs(done[column]) ** 2).sum()
        if not pivot > 0:
            factor[column, column] = pivot
            return factor, np.asarray(column + 1, np.int32, like=a)
        root = np.sqrt(pivot)
        factor[column, column] = root
        below = slice(column + 1, None)
        factor[below, column] = (a[below, column] - done[below] @ done[column].conj()) / root
    return factor, np.zeros((), np.int32, like=a)
