"""Products of matrices, and of batches of them, by cuBLAS: half precision as it is, summed up in float32, rounded once.

CuPy multiplies too, but bfloat16 by way of float32 copies here, and with TF32 only by a variable of its environment.
"""

from __future__ import annotations

import contextlib
import functools
import math
from ctypes import POINTER, byref, c_double, c_float, c_int, c_longlong, c_void_p
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, row_major
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu import library as gpus
from distrt.core.gpu.switches import allows_tf32_in_products
from distrt.core.kernels.casting import wide
from distrt.core.kernels.nvidia import NvidiaLibrary, loaded

__all__ = ["library", "multiply", "product"]

_NAMES = ("libcublas.so.13", "libcublas.so.12")

#: cuBLAS's numbers (``cudaDataType_t``, ``cublasComputeType_t``).
_DTYPES = {dt.float32.numpy: 0, dt.float64.numpy: 1, dt.float16.numpy: 2, dt.bfloat16.numpy: 14}
_IN_FLOAT32, _IN_FLOAT64, _IN_TF32 = 68, 70, 77
_AS_IT_IS, _TRANSPOSED = 0, 1
_BEST_ALGORITHM = -1

_MATRIX = [c_void_p, c_int, c_int, c_longlong]  # address, dtype, step between lines, step between matrices
_ARGUMENTS: dict[str, list[Any]] = {
    "cublasCreate_v2": [POINTER(c_void_p)],
    "cublasSetStream_v2": [c_void_p, c_void_p],
    "cublasGemmStridedBatchedEx": [
        *[c_void_p, c_int, c_int, c_int, c_int, c_int],
        *[c_void_p, *_MATRIX, *_MATRIX, c_void_p, *_MATRIX],
        *[c_int, c_int, c_int],
    ],
}

Sizes = tuple[int, ...]


@functools.cache
def library() -> NvidiaLibrary | None:
    """The library; None where it is not there."""
    with contextlib.suppress(ImportError, AttributeError):
        _ = gpus.find().cuda.cublas  # CuPy loads the one that fits, from wherever it is
    found = loaded(
        "DISTRT_CUBLAS", ("nvidia.cu13", "nvidia.cublas"), _NAMES, "cuBLAS is off, CuPy multiplies matrices"
    )
    if found is None:
        return None
    return NvidiaLibrary(
        found, _ARGUMENTS, "cublasCreate_v2", "cublasSetStream_v2", lambda it: f"cuBLAS's status {it}"
    )


def product(
    left: Array, right: Array, bias: Array | None = None, dtype: Any = None, out: Array | None = None
) -> Array | None:
    """``left @ right + bias`` for matrices on a GPU, or batches of them; None where it is not to be done here.

    Args:
        left: of a floating dtype, (…, n, k).
        right: of the same dtype, (…, k, m); dims in front broadcast.
        bias: (m,).
        dtype: of the result, float32 or that of the factors; the latter if not given.
        out: where it is to be written.
    """
    kind = np.dtype(left.dtype if dtype is None else dtype)
    if left.dtype not in _DTYPES or right.dtype != left.dtype or left.ndim < 2 or right.ndim < 2:
        return None
    if kind not in (left.dtype, np.float32) or (kind != left.dtype and left.dtype == np.float64):
        return None
    cublas = library()
    if cublas is None or not left.size or not right.size:
        return None
    shape = (*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1])
    made = np.empty(shape, kind, like=left) if out is None else out
    if made.shape != shape or made.dtype != kind or not made.flags.c_contiguous:
        return None
    if bias is not None:
        made[...] = bias
    if right.ndim == 2 and left.ndim > 2:  # one matrix of many rows
        _multiply(cublas, _in_one_matrix(left), right, made.reshape(-1, made.shape[-1]), 1, bias is not None)
    else:
        _multiply(cublas, left, right, made, 1, bias is not None)
    return made


def multiply(left: Array, right: Array, out: Array, factor: float = 1, onto: bool = False) -> None:
    """Writes ``factor * left @ right`` into ``out``, or adds it to what is there; by CuPy where cuBLAS is not here.

    Args:
        left: of a floating dtype, (batch, n, k), or (n, k) for all of the batch.
        right: of the same dtype, (batch, k, m), or (k, m).
        out: of that dtype or of float32, (batch, n, m) or (n, m), each row in one piece.
        factor: see above.
        onto: whether it is added.
    """
    cublas = library()
    if cublas is None or not left.size or not right.size:
        made = np.matmul(wide(left), wide(right)) * out.dtype.type(factor)
        out[...] = made + out if onto else made
        return
    _multiply(cublas, left, right, out, factor, onto)


def _multiply(
    cublas: NvidiaLibrary, left: Array, right: Array, made: Array, factor: float, onto: bool
) -> None:
    """``made = factor * left @ right``, or more by that: cuBLAS counts by columns, so it multiplies the transposes."""
    rows, inner = left.shape[-2:]
    columns, count = right.shape[-1], math.prod(made.shape[:-2])
    factors = [_Factor(each, made.shape[:-2]) for each in (right, left)]
    number = c_double if made.dtype == np.float64 else c_float
    compute = _IN_FLOAT64 if made.dtype == np.float64 else _IN_FLOAT32
    if left.dtype == np.float32 and allows_tf32_in_products():
        compute = _IN_TF32
    line, step = made.strides[-2] // made.itemsize, made.strides[-3] // made.itemsize if made.ndim > 2 else 0
    place = (c_void_p(address_of(made)), _DTYPES[made.dtype], max(line, columns), step)
    cublas.call(
        "cublasGemmStridedBatchedEx",
        *(cublas.handle(), *(each.operation for each in factors), columns, rows, inner),
        *(byref(number(factor)), *factors[0].matrix, *factors[1].matrix, byref(number(onto)), *place),
        *(count, compute, _BEST_ALGORITHM),
    )


def _in_one_matrix(array: Array) -> Array:
    """(…, n, k) as (rows, k)."""
    return row_major(array).reshape(-1, array.shape[-1])


class _Factor:
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
        self.matrix = (c_void_p(address_of(array)), _DTYPES[array.dtype], line, step)
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
