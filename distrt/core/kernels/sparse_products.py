"""The product of a sparse matrix, whose elements stand row by row, with a dense one: compiled for float32.

NumPy would first copy a row of the dense matrix for each element of the sparse one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from distrt.core.arrays import Array
from distrt.core.kernels.loops import address, function_of, vector_floats
from distrt.core.kernels.threads import in_parts

__all__ = ["multiply", "sample", "suits"]

# Multiplications. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 16


def suits(count: int, *arrays: Array) -> bool:
    """Whether these kernels do so many multiplications of these arrays' elements."""
    return (
        count >= _LEAST
        and bool(vector_floats())
        and all(each.__class__ is np.ndarray and each.dtype == np.float32 for each in arrays)
    )


def multiply(starts: Array, columns: Array, values: Array, dense: Array) -> Array:
    """The product. Shape: (n + 1), (elements), (elements), (k, m) -> (n, m); all in row-major order, indices int64."""
    rows, width = len(starts) - 1, dense.shape[1]
    made = np.empty((rows, width), np.float32)
    run = _multiply(vector_floats())

    def part(_: int, begin: int, end: int) -> None:
        run(*map(address, (starts, columns, values, dense, made)), begin, end, width)

    in_parts(rows, 64, part)
    return made


def sample(rows: Array, columns: Array, left: Array, right: Array) -> Array:
    """``(left[rows] * right[columns]).sum(1)``. Shape: (n), (n), (·, m), (·, m) -> (n); in row-major order, int64."""
    made = np.empty(len(rows), np.float32)
    run = _sample(vector_floats())

    def part(_: int, begin: int, end: int) -> None:
        run(*map(address, (rows, columns, left, right, made)), begin, end, left.shape[1])

    in_parts(len(rows), 64, part)
    return made


@functools.cache
def _multiply(lanes: int) -> Callable[..., None]:
    from distrt.core.kernels.sparse_products_code import multiply_code  # llvmlite loads with it

    return function_of(multiply_code(lanes), 5, 3)


@functools.cache
def _sample(lanes: int) -> Callable[..., None]:
    from distrt.core.kernels.sparse_products_code import sample_code

    return function_of(sample_code(lanes), 5, 3)
