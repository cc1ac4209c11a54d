"""Random numbers drawn on the GPU, from a key that the generator of the CPU draws.

So one generator stands behind all, whose state is saved, forked and restored as ever, and nothing is copied.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu
from distrt.core.gpu.places import at
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, kernel

__all__ = ["kept", "moving", "suits"]

_THREADS = 256


class _Moving:
    """What is added to keys while a graph is captured: an array of one number on the GPU, or None."""

    by: Array | None = None


moving = _Moving()


def suits(like: Array) -> bool:
    """Whether the kernel draws what goes with an array: floating, on a GPU."""
    return is_on_gpu(like) and like.dtype in C_TYPES


def kept(shape: tuple[int, ...], p: float, scale: float, key: int, dtype: Any, like: Array) -> Array:
    """0 with probability ``p``, else ``scale``, where another array is."""
    with at(like):
        made = np.empty(shape, dtype, like=like)
        if made.size:
            blocks = min(MOST_BLOCKS, math.ceil(made.size / (4 * _THREADS)))
            sizes = (np.int64(made.size), np.float64(p), np.float64(scale), np.uint64(key))
            kernel("draws", "kept", T=C_TYPES[np.dtype(dtype)])(
                (blocks,), (_THREADS,), (made, *sizes, moving.by)
            )
    return made
