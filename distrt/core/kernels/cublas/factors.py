"""What cuBLAS and cuBLASLt are told of matrices: both count by columns."""

from __future__ import annotations

import math
from ctypes import c_void_p
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, row_major
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu.switches import allows_tf32_in_products

__all__ = ["DTYPES", "Factor", "computed_in"]

#: cuBLAS's numbers (``cudaDataType_t``, ``cublasComputeType_t``).
DTYPES = {dt.float32.numpy: 0, dt.float64.numpy: 1, dt.float16.numpy: 2, dt.bfloat16.numpy: 14}
_IN_FLOAT32, _IN_FLOAT64, _IN_TF32 = 68, 70, 77
_AS_IT_IS, _TRANSPOSED = 0, 1

Sizes = tuple[int, ...]


def computed_in(dtype: Any, made: Any) -> int:
    """cuBLAS's number for what products of a dtype into another are computed in."""
    if made == np.float64:
        return _IN_FLOAT64
    return _IN_TF32 if dtype == np.float32 and allows_tf32_in_products() else _IN_FLOAT32


class Factor:
    """A matrix or a batch of them, as cuBLAS takes it.

    Attributes:
        operation: whether it is transposed, seen by columns.
        matrix: the arguments that describe it.
    """

    def __init__(self, array: Array, batch: Sizes) -> None:
        if array.ndim == 2 or math.prod(array.shape[:-2]) == 1:
            array = array.reshape(array.shape[-2:])
        elif array.shape[:-2] != batch:
            array = np.broadcast_to(array, (*batch, *array.shape[-2:]))
        if array.ndim > 2:
            array = _in_a_row(array)
        array, is_by_rows, line = _by_lines(array)
        step = array.strides[0] // array.itemsize if array.ndim == 3 else 0
        self.operation = _AS_IT_IS if is_by_rows else _TRANSPOSED
        self.matrix = (c_void_p(address_of(array)), DTYPES[array.dtype], line, step)
        self._array = array  # which lives as long as its address is needed


def _in_a_row(array: Array) -> Array:
    """(…, n, k) as (batch, n, k): a view where the steps allow it."""
    size, steps = 1, []
    for length, step in zip(reversed(array.shape[:-2]), reversed(array.strides[:-2]), strict=True):
        if length != 1:
            steps.append((step, size))
            size *= length
    unit = steps[0][0] if steps else 0
    is_even = unit > 0 and all(step == unit * before for step, before in steps)
    shape = (math.prod(array.shape[:-2]), *array.shape[-2:])
    return array.reshape(shape) if is_even else row_major(array).reshape(shape)


def _by_lines(array: Array) -> tuple[Array, bool, int]:
    """The array, or a copy, whose matrices have rows or columns in one piece; which, and the step between these."""
    height, width = array.shape[-2:]
    rows, columns = (step // array.itemsize for step in array.strides[-2:])
    if (columns == 1 or width == 1) and rows >= max(width, 1):
        return array, True, rows
    if (rows == 1 or height == 1) and columns >= max(height, 1):
        return array, False, columns
    return row_major(array), True, max(width, 1)
