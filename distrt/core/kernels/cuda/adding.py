"""Values added up at places that are named more than once, always in one order: atomic additions come as they come."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, kernel

__all__ = ["add_in_order", "suits"]

_THREADS = 256


def suits(target: Array) -> bool:
    """Whether `add_in_order` adds to an array: floating, in row-major order, on a GPU. Whole numbers add up alike."""
    return is_on_gpu(target) and target.dtype in C_TYPES and target.flags.c_contiguous


def add_in_order(target: Array, key: Any, values: Array) -> None:
    """Adds ``values`` to ``target[key]``, every time that an element is named, the first value first."""
    places = np.arange(target.size, like=target).reshape(target.shape)[key]
    count = places.size
    if not count:
        return
    given = row_major(np.broadcast_to(values, places.shape).astype(target.dtype, copy=False))
    sorted_ = np.sort(places.reshape(-1) * count + np.arange(count, like=target))
    blocks = min(MOST_BLOCKS, -(-count // _THREADS))
    code = kernel("adding", "add_in_order", T=C_TYPES[target.dtype])
    code((blocks,), (_THREADS,), (target, sorted_, given, np.int64(count)))
