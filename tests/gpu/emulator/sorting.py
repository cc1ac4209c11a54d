"""Stands in CuPy's wheel for ``cupy/cuda/thrust``, whose kernels are machine code: the same functions, by NumPy."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np
from cupy.cuda import common

available = True


def get_build_version() -> int:
    """Thrust's version, as CuPy prints it."""
    return 300100


def sort(dtype: Any, data: int, keys: int, shape: Sequence[int]) -> None:
    """Sorts along the last dim, in place."""
    _check(dtype, NotImplementedError)
    array = _array(data, dtype, shape)
    array[...] = np.sort(array, axis=-1, kind="stable")


def argsort(dtype: Any, indices: int, data: int, keys: int, shape: Sequence[int]) -> None:
    """Sorts along the last dim, and says where each element was."""
    _check(dtype, NotImplementedError)
    array = _array(data, dtype, shape)
    order = np.argsort(array, axis=-1, kind="stable")
    _array(indices, np.intp, shape)[...] = order
    array[...] = np.take_along_axis(array, order, -1)


def lexsort(dtype: Any, indices: int, keys: int, count: int, length: int) -> None:
    """The order by several keys, the last one first."""
    _check(dtype, TypeError)
    _array(indices, np.intp, (length,))[...] = np.lexsort(_array(keys, dtype, (count, length)))


def _check(dtype: Any, error: type[Exception]) -> None:
    try:
        common._get_dtype_id(dtype)
    except ValueError:
        raise error(f"Sorting arrays with dtype '{dtype}' is not supported") from None


def _array(address: int, dtype: Any, shape: Sequence[int]) -> Any:
    """The GPU's memory, when the GPU has done what the current stream has; in a capture that is refused."""
    cupy.cuda.get_current_stream().synchronize()
    kind, shape = np.dtype(dtype), tuple(shape)
    nbytes = int(np.prod(shape)) * kind.itemsize
    if not nbytes:
        return np.empty(shape, kind)
    return np.frombuffer((ctypes.c_char * nbytes).from_address(address), kind).reshape(shape)
