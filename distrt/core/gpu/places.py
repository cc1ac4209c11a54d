"""Where arrays are, and how they get somewhere else."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.device import CPU, device
from distrt.core.gpu import library, memory
from distrt.core.modes import used


@functools.cache
def of_number(number: int) -> device:
    """``cuda:N``."""
    return device("cuda", number)


def device_of(array: Array) -> device:
    """Where an array's memory is."""
    return CPU if isinstance(array, np.ndarray | np.generic) else of_number(array.device.id)


def moved(array: Array, target: device, non_blocking: bool = False, copy: bool = False) -> Array:
    """The elements of ``array`` in the memory of another device; the array itself where it is there already.

    The steps stay, as far as the elements fill their memory. A copy to the CPU is complete when this returns, also
    where ``non_blocking`` is asked for: NumPy has no way to wait for it later.
    """
    if device_of(array) == target:
        return array.copy(order="K") if copy else array
    if target.type == "cpu":
        return _on_host(array)
    cupy = library.find()
    if not used.gpu:
        memory.watch()
        used.gpu = True
    with cupy.cuda.Device(target.index):
        if isinstance(array, np.ndarray):
            return _uploaded(cupy, array)
        return cupy.array(array, copy=True, order="K")  # from another GPU


def _order(array: Array) -> list[int]:
    """The dims from the outermost in memory to the innermost."""
    return sorted(range(array.ndim), key=lambda dim: -abs(array.strides[dim]))


def _uploaded(cupy: Any, array: Array) -> Array:
    order = _order(array)
    packed = cupy.asarray(np.ascontiguousarray(array.transpose(order)))
    return packed.transpose(np.argsort(order).tolist()) if array.ndim > 1 else packed.reshape(array.shape)


def _on_host(array: Array) -> Array:
    with array.device:
        order = _order(array)
        packed = array.transpose(order) if array.ndim > 1 else array
        if not packed.flags.c_contiguous:
            packed = packed.copy()
        host = packed.get()
    return host.transpose(np.argsort(order)) if array.ndim > 1 else host.reshape(array.shape)


@functools.cache
def prototype(target: device) -> Array:
    """An array without elements, to make others beside: ``np.zeros(3, like=prototype(device))``."""
    if target.type == "cpu":
        return np.empty(0, np.float32)
    return moved(np.empty(0, np.float32), target)
