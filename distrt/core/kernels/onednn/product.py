"""Products of float32 and of bfloat16 matrices by oneDNN; the latter are summed up in float32 and rounded once.

Taken where the processor has long vectors, or multiplies bfloat16 itself: NumPy's matrix library takes some makers'
processors for older ones, and has half their speed there. Matrices may lie by rows or by columns; a batch of them lies
anyhow. A call costs a few microseconds beyond its work, the first one of its shapes up to three milliseconds.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.onednn.library import OneDNNError, library
from distrt.core.kernels.onednn.primitive import NUMPY_TYPES, Primitive, description_of

__all__ = ["LEAST", "LEAST_OF_HALF", "has_long_vectors", "multiplies_bfloat16", "product", "suits"]

_SRC_MD, _WEIGHTS_MD, _DST_MD = 129, 131, 133
_SRC, _DST, _WEIGHTS, _BIAS = 1, 17, 33, 41

#: Multiplications. Below, a call of the library costs more than what is saved.
LEAST, LEAST_OF_HALF = 1 << 20, 1 << 15

# Rows of float32. For fewer, the right factor would be put in order for next to nothing.
_LEAST_ROWS = 4

_HALF, _SINGLE = dt.bfloat16.numpy, dt.float32.numpy

Sizes = tuple[int, ...]


def multiplies_bfloat16() -> bool:
    """Whether there is oneDNN, and a processor with instructions for products of bfloat16."""
    onednn = library()
    return onednn is not None and onednn.multiplies_bfloat16


def has_long_vectors() -> bool:
    """Whether there is oneDNN, and a processor that multiplies 16 float32 numbers at once."""
    onednn = library()
    return onednn is not None and onednn.has_long_vectors


def product(
    left: Array, right: Array, bias: Array | None = None, dtype: Any = None, out: Array | None = None
) -> Array | None:
    """``left @ right + bias`` for matrices, or batches of them; None where it is not to be done here.

    Args:
        left: float32 or bfloat16, (…, n, k).
        right: of the same dtype, (…, k, m); dims in front broadcast.
        bias: bfloat16 or float32, (m,).
        dtype: of the result, bfloat16 or float32; that of the factors if not given.
        out: where it is to be written.
    """
    if (
        left.__class__ is not np.ndarray
        or left.dtype != right.dtype
        or not suits(left.shape, right.shape, left.dtype)
    ):
        return None
    if bias is not None and bias.shape != right.shape[-1:]:
        return None
    left, right = _by_lines(left), _by_lines(right)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    dims = 2 + len(batch)
    shape = (*batch, left.shape[-2], right.shape[-1])
    made = np.empty(shape, left.dtype if dtype is None else dtype) if out is None else out
    if made.shape != shape or not made.flags.c_contiguous:
        return None
    given = [_in_dims(left, dims), _in_dims(right, dims)]
    row = None if bias is None else np.ascontiguousarray(bias)
    run = _primitive(
        left.dtype.name,
        *((each.shape, each.strides) for each in given),
        shape,
        made.dtype.name,
        None if row is None else row.dtype.name,
    )
    if run is None:
        return None
    run(*given, *(() if row is None else (row,)), made)
    return made


def suits(left: Sizes, right: Sizes, dtype: Any) -> bool:
    """Whether a product of these shapes is done here."""
    if not (2 <= len(left) <= 6 and 2 <= len(right) <= 6):
        return False
    count = math.prod(left) * right[-1]
    if dtype == _HALF:
        return count >= LEAST_OF_HALF and multiplies_bfloat16()
    return dtype == _SINGLE and count >= LEAST and left[-2] >= _LEAST_ROWS and has_long_vectors()


def _by_lines(array: Array) -> Array:
    """The array, or a copy, whose matrices have their rows or their columns in one piece."""
    rows, columns = array.strides[-2:]
    height, width = array.shape[-2:]
    size = array.itemsize
    is_by_rows = columns == size and rows >= width * size
    is_by_columns = rows == size and columns >= height * size
    if (is_by_rows or is_by_columns) and not any(step <= 0 or step % size for step in array.strides):
        return array
    return np.ascontiguousarray(array)


def _in_dims(array: Array, dims: int) -> Array:
    return array.reshape((1,) * (dims - array.ndim) + array.shape) if array.ndim < dims else array


@functools.lru_cache(maxsize=1024)
def _primitive(
    factors: str,
    left: tuple[Sizes, Sizes],
    right: tuple[Sizes, Sizes],
    shape: Sizes,
    dtype: str,
    bias: str | None,
) -> Primitive | None:
    """The product of arrays of these (shape, strides); None where oneDNN cannot do it."""
    onednn = library()
    if onednn is None:
        return None
    size = NUMPY_TYPES[factors].itemsize
    descriptions = [
        description_of(onednn, sizes, factors, [step // size for step in steps])
        for sizes, steps in (left, right)
    ]
    arguments = [(_SRC, _SRC_MD, 0), (_WEIGHTS, _WEIGHTS_MD, 0)]
    added = None
    if bias is not None:
        row = (1,) * (len(shape) - 1) + shape[-1:]
        added = description_of(onednn, row, bias, _row_major(row))
        arguments.append((_BIAS, _WEIGHTS_MD, 1))
    made = description_of(onednn, shape, dtype, _row_major(shape))
    try:
        described = onednn.make(
            "dnnl_matmul_primitive_desc_create",
            *(onednn.engine, *descriptions, added, made, onednn.attributes),
        )
    except OneDNNError:
        return None
    return Primitive(onednn, described, [*arguments, (_DST, _DST_MD, 0)])


def _row_major(shape: Sizes) -> list[int]:
    return [math.prod(shape[position + 1 :]) for position in range(len(shape))]
