"""Products of bfloat16 matrices, summed up in float32 and rounded once, by oneDNN.

Taken where the processor multiplies bfloat16 itself. Matrices may lie by rows or by columns; a batch of them lies
anyhow. A call costs a few microseconds beyond its work.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core.arrays import Array
from distrt.core.kernels.onednn.library import OneDNNError, library
from distrt.core.kernels.onednn.primitive import Primitive, description_of

__all__ = ["multiplies_bfloat16", "product"]

_SRC_MD, _WEIGHTS_MD, _DST_MD = 129, 131, 133
_SRC, _DST, _WEIGHTS, _BIAS = 1, 17, 33, 41

# Of multiplications. Below, a call of the library costs more than what is saved.
_LEAST = 1 << 15

_HALF = dt.bfloat16.numpy

Sizes = tuple[int, ...]


def multiplies_bfloat16() -> bool:
    """Whether there is oneDNN, and a processor with instructions for products of bfloat16."""
    onednn = library()
    return onednn is not None and onednn.multiplies_bfloat16


def product(left: Array, right: Array, bias: Array | None, dtype: Any) -> Array | None:
    """``left @ right + bias`` for matrices, or batches of them; None where it is not to be done here.

    Args:
        left: bfloat16, (…, n, k).
        right: bfloat16, (…, k, m); dims in front broadcast.
        bias: bfloat16 or float32, (m,).
        dtype: of the result, bfloat16 or float32.
    """
    if left.dtype != _HALF or right.dtype != _HALF or not suits(left.shape, right.shape):
        return None
    if bias is not None and bias.shape != right.shape[-1:]:
        return None
    left, right = _by_lines(left), _by_lines(right)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    dims = 2 + len(batch)
    shape = (*batch, left.shape[-2], right.shape[-1])
    made = np.empty(shape, dtype)
    given = [_in_dims(left, dims), _in_dims(right, dims)]
    row = None if bias is None else np.ascontiguousarray(bias)
    run = _primitive(
        *((each.shape, each.strides) for each in given),
        shape,
        made.dtype.name,
        None if row is None else row.dtype.name,
    )
    if run is None:
        return None
    run(*given, *(() if row is None else (row,)), made)
    return made


def suits(left: Sizes, right: Sizes) -> bool:
    """Whether a product of these shapes is done here, where the dtype is bfloat16."""
    if not (2 <= len(left) <= 6 and 2 <= len(right) <= 6):
        return False
    return math.prod(left) * right[-1] >= _LEAST and multiplies_bfloat16()


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
    left: tuple[Sizes, Sizes], right: tuple[Sizes, Sizes], shape: Sizes, dtype: str, bias: str | None
) -> Primitive | None:
    """The product of arrays of these (shape, strides); None where oneDNN cannot do it."""
    onednn = library()
    if onednn is None:
        return None
    descriptions = [
        description_of(onednn, sizes, "bfloat16", [step // 2 for step in steps])
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
