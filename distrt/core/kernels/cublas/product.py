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
from distrt.core.gpu import library as gpus
from distrt.core.kernels.casting import wide
from distrt.core.kernels.cublas import epilogues
from distrt.core.kernels.cublas.factors import DTYPES, Factor, computed_in
from distrt.core.kernels.nvidia import NvidiaLibrary, loaded

__all__ = ["library", "multiply", "product"]

_NAMES = ("libcublas.so.13", "libcublas.so.12")

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
    if left.dtype not in DTYPES or right.dtype != left.dtype or left.ndim < 2 or right.ndim < 2:
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
        if made.ndim == 2 and epilogues.add_bias(left, right, bias, made):
            return made
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
    factors = [Factor(each, made.shape[:-2]) for each in (right, left)]
    number = c_double if made.dtype == np.float64 else c_float
    line, step = made.strides[-2] // made.itemsize, made.strides[-3] // made.itemsize if made.ndim > 2 else 0
    place = (c_void_p(address_of(made)), DTYPES[made.dtype], max(line, columns), step)
    cublas.call(
        "cublasGemmStridedBatchedEx",
        *(cublas.handle(), *(each.operation for each in factors), columns, rows, inner),
        *(byref(number(factor)), *factors[0].matrix, *factors[1].matrix, byref(number(onto)), *place),
        *(count, computed_in(left.dtype, made.dtype), _BEST_ALGORITHM),
    )


def _in_one_matrix(array: Array) -> Array:
    """(…, n, k) as (rows, k)."""
    return row_major(array).reshape(-1, array.shape[-1])
