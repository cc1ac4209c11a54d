"""Where whole parameters and whole gradients lie: memory that goes when nobody needs it, or that ranks have together.

``Arena`` is a rank's own. The graph keeps views of a module's parameters between forward and backward. PyTorch shrinks
the storage below them to nothing and grows it again; here the pages go, and the addresses stay. Without pages it reads
as zeros, which nobody does: a unit counts giving its memory back as an in-place change of its parameters.

``one_copy`` is memory of all ranks of a machine: the parts of all ranks, side by side, are the whole parameter; and in
slots for the gradients of a few units at a time, of every rank, each adds up its part of all.
"""

from __future__ import annotations

import mmap

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array

__all__ = ["Arena", "one_copy"]


class Arena:
    """A private mapping."""

    def __init__(self, size_bytes: int) -> None:
        self._map = mmap.mmap(-1, max(size_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes: Array = np.frombuffer(self._map, np.uint8)

    def release(self) -> None:
        """Give the pages back; they come again, as zeros, when they are written to."""
        self._map.madvise(mmap.MADV_DONTNEED)


def one_copy(group: ProcessGroup, *shape: int) -> Array | None:
    """Bytes that all ranks have in one memory; None where they are no processes of one machine. A collective."""
    return group.allocate(shape, np.uint8, copies=1) if group.transport.kind == "shm" else None
