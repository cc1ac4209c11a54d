"""Conversion between float32 and half precision, compiled: one pass of whole vectors, with the bits of NumPy's loops
(which of float16's many numbers that are none comes out is the processor's choice).

Called wherever half precision is computed in float32 (``core/ops/pointwise/half.py``), and by autocast, which casts
every weight at each step.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core.arrays import Array, dense_like, is_dense
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.loops import address, can_compile, function_of, vector_floats

__all__ = ["cast", "cast_into", "wide"]

# Elements. Below, NumPy is done before the code is compiled.
_LEAST = 1 << 14

# The same once there is code: the bits are the same either way.
_LEAST_COMPILED = 1 << 10

_HALVES, _WIDE = (dt.bfloat16.numpy, dt.float16.numpy), dt.float32.numpy


def cast(array: Array, dtype: Any) -> Array:
    """``array.astype(dtype)``: a copy in the same order of dims."""
    if not (array.__class__ is np.ndarray and _is_ours(array.dtype, dtype, array.size)):
        return array.astype(dtype)
    source = array if array.flags.c_contiguous or is_dense(array) else array.copy(order="K")
    made = dense_like(source, dtype)
    _convert(source, made)
    return made


def wide(array: Array) -> Array:
    """The array itself, or a float32 copy of one in float16 or bfloat16."""
    return cast(array, np.float32) if array.dtype.itemsize == 2 and array.dtype.kind in "fV" else array


def cast_into(target: Array, array: Array) -> None:
    """``target[...] = array``."""
    are_here = array.__class__ is target.__class__ is np.ndarray
    if are_here and _is_ours(array.dtype, target.dtype, array.size) and _lie_alike(array, target):
        _convert(array, target)
    else:
        target[...] = array


def _lie_alike(array: Array, other: Array) -> bool:
    """Whether their elements stand in memory in the same order, without gaps."""
    steps = zip(array.strides, other.strides, strict=False)
    return (
        array.shape == other.shape
        and all(one * other.itemsize == two * array.itemsize for one, two in steps)
        and (bool(array.flags.c_contiguous) or is_dense(array))
    )


def _is_ours(given: Any, wanted: Any, size: int) -> bool:
    if size < _LEAST and (size < _LEAST_COMPILED or not _code.cache_info().currsize):
        return False
    half = wanted if given == _WIDE else given if wanted == _WIDE else None
    if half not in _HALVES:
        return False
    name = "bfloat16" if half == _HALVES[0] else "float16"
    return can_compile(name) and bool(vector_floats())


def _convert(source: Array, target: Array) -> None:
    """Goes through both as they lie."""
    is_narrowing = source.dtype == _WIDE
    half = (target if is_narrowing else source).dtype.name
    _code(is_narrowing, half)(address(source), address(target), source.size)


@functools.cache
def _code(is_narrowing: bool, half: str) -> Any:
    from distrt.core.kernels.casting_code import cast_code

    return function_of(cast_code(vector_floats(), is_narrowing, half), 2, 1)
