"""Stands in CuPy's wheel for ``cupy/cuda/thrust``, whose kernels are machine code: the same functions, by NumPy."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
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

    def work() -> None:
        array = _array(data, dtype, shape)
        array[...] = np.sort(array, axis=-1, kind="stable")

    _queue(work)


def argsort(dtype: Any, indices: int, data: int, keys: int, shape: Sequence[int]) -> None:
    """Sorts along the last dim, and says where each element was."""
    _check(dtype, NotImplementedError)

    def work() -> None:
        array = _array(data, dtype, shape)
        order = np.argsort(array, axis=-1, kind="stable")
        _array(indices, np.intp, shape)[...] = order
        array[...] = np.take_along_axis(array, order, -1)

    _queue(work)


def lexsort(dtype: Any, indices: int, keys: int, count: int, length: int) -> None:
    """The order by several keys, the last one first."""
    _check(dtype, TypeError)

    def work() -> None:
        order = np.lexsort(_array(keys, dtype, (count, length)))
        _array(indices, np.intp, (length,))[...] = order

    _queue(work)


def _check(dtype: Any, error: type[Exception]) -> None:
    try:
        common._get_dtype_id(dtype)
    except ValueError:
        raise error(f"Sorting arrays with dtype '{dtype}' is not supported") from None


def _queue(work: Callable[[], None]) -> None:
    """Has the stream do the work behind what is before it, and waits; or has a graph keep it, as Thrust does."""
    stream = cupy.cuda.get_current_stream()
    call = _CALLBACK(lambda _: work())
    if status := ctypes.CDLL("libcudart.so.13").cudaLaunchHostFunc(ctypes.c_void_p(stream.ptr), call, None):
        raise RuntimeError(f"a sort could not be queued: {status}")
    if stream.is_capturing():
        _kept.append(call)
    else:
        stream.synchronize()


_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
#: A graph may be replayed at any time, and CuPy's own way to call back forgets the function after once.
_kept: list[Any] = []


def _array(address: int, dtype: Any, shape: Sequence[int]) -> Any:
    """The GPU's memory."""
    kind, shape = np.dtype(dtype), tuple(shape)
    nbytes = int(np.prod(shape)) * kind.itemsize
    if not nbytes:
        return np.empty(shape, kind)
    return np.frombuffer((ctypes.c_char * nbytes).from_address(address), kind).reshape(shape)
