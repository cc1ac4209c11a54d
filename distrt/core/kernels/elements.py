"""Arithmetic on bfloat16, compiled: computed in float32 and rounded once, with the bits of ``ml_dtypes``'s own loops.

Those go number by number, and take twenty times as long.
"""

from __future__ import annotations

from array import array as packed
from typing import Any

import numpy as np

from distrt.core.arrays import Array, dense_like, is_dense, is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import on_gpu
from distrt.core.kernels.casting import cast
from distrt.core.kernels.loops import Loop, Step, address, compiled
from distrt.core.modes import used

__all__ = ["add_into", "added", "binary", "over", "relu"]

# Elements. Below, ``ml_dtypes`` is done before the code is compiled.
_LEAST = 1 << 14

_HALF = dt.bfloat16.numpy
_VERBS: dict[Any, str] = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div"}


def binary(function: Any, first: Any, second: Any) -> Any:
    """``function(first, second)``, which is one of NumPy's four for arithmetic."""
    if first.__class__ is not np.ndarray or second.__class__ is not np.ndarray:
        return on_gpu.elements.as_they_lie(function, first, second) if used.gpu else function(first, second)
    if not (first.dtype == _HALF and second.dtype == _HALF) or max(first.size, second.size) < _LEAST:
        return function(first, second)
    if _are_alike(first, second):
        made = dense_like(first, _HALF)
        if _ran(_VERBS[function], (first, second, made)):
            return made
    return cast(function(cast(first, np.float32), cast(second, np.float32)), _HALF)


def over(function: Any, first: Any, second: Any) -> Any:
    """The same on a GPU, written over the first array, whose shape and dtype the result must have."""
    return on_gpu.elements.over(function, first, second)


def added(first: Any, second: Any) -> Any:
    """The sum of two arrays, or of two tensors."""
    is_array = first.__class__ is np.ndarray or (used.gpu and is_on_gpu(first))
    return binary(np.add, first, second) if is_array else first + second


def add_into(total: Any, more: Any) -> None:
    """``total += more``, of arrays or of tensors."""
    is_long = total.__class__ is np.ndarray and total.dtype == _HALF and total.size >= _LEAST
    if not (is_long and _are_alike(total, more) and _ran("add", (total, more, total))):
        total += more


def _are_alike(first: Array, second: Array) -> bool:
    """Whether two arrays of one dtype have their elements in the same places, without gaps."""
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and first.strides == second.strides
        and (bool(first.flags.c_contiguous) or is_dense(first))
    )


def relu(input: Array) -> Array:
    """``max(input, 0)``."""
    if input.dtype == _HALF and input.size >= _LEAST and isinstance(input, np.ndarray) and is_dense(input):
        made = dense_like(input, _HALF)
        if _ran("max", (input, made), 0.0):
            return made
    if used.gpu and is_on_gpu(input):
        return on_gpu.elements.as_they_lie(np.maximum, input, input.dtype.type(0))
    return np.maximum(input, input.dtype.type(0))


def _ran(verb: str, arrays: tuple[Array, ...], *constants: float) -> bool:
    """Runs one operation on arrays (the last one takes the result) and constants; False where nothing compiles."""
    count = len(arrays)
    operands = (*range(count - 1), *range(count, count + len(constants)))
    step = Step(verb, operands)
    run = compiled(Loop("bfloat16", count, len(constants), (step,), ((count - 1, count + len(constants)),)))
    if run is None:
        return False
    sizes, numbers = packed("q", [arrays[0].size]), packed("f", constants)
    pointers = packed("Q", map(address, arrays))
    run(1, *(each.buffer_info()[0] for each in (sizes, pointers, numbers)))
    return True
