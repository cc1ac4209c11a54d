"""``Arena``: memory that can be given back to the system while arrays still refer to it.

The graph keeps views of a module's parameters between forward and backward. PyTorch shrinks the storage below them to
nothing and grows it again; here the pages go, and the addresses stay. Without pages it reads as zeros, which nobody
does: a unit counts giving its memory back as an in-place change of its parameters.
"""

from __future__ import annotations

import mmap

import numpy as np

from distrt.core.arrays import Array

__all__ = ["ALIGNMENT", "Arena", "aligned"]

ALIGNMENT = 64  # a cache line: no two parameters share one


def aligned(count_bytes: int) -> int:
    """The next multiple of the alignment."""
    return -(-count_bytes // ALIGNMENT) * ALIGNMENT


class Arena:
    """A private mapping."""

    def __init__(self, size_bytes: int) -> None:
        self._map = mmap.mmap(-1, max(size_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes: Array = np.frombuffer(self._map, np.uint8)

    def release(self) -> None:
        """Give the pages back; they come again, as zeros, when they are written to."""
        self._map.madvise(mmap.MADV_DONTNEED)
