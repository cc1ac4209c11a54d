"""Where whole parameters and whole gradients lie: memory that goes when nobody needs it, or that ranks have together.

``Arena`` is a rank's own. The graph keeps views of a module's parameters between forward and backward. PyTorch shrinks
the storage below them to nothing and grows it again; here the pages go, and the addresses stay. Without pages it reads
as zeros, which nobody does: a unit counts giving its memory back as an in-place change of its parameters.

``one_copy`` is memory of all ranks of a machine: the parts of all ranks, side by side, are the whole parameter; and in
slots for the gradients of a few units at a time, of every rank, each adds up its part of all.

``HostMemory`` is what a unit takes memory from whose parameters are on the CPU; on a GPU it is ``DeviceMemory``
(``device_memory.py``), which has the same methods.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array

__all__ = ["Arena", "HostMemory", "one_copy"]


class Arena:
    """A private mapping."""

    def __init__(self, size_bytes: int) -> None:
        self._map = mmap.mmap(-1, max(size_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes: Array = np.frombuffer(self._map, np.uint8)

    def acquire(self) -> Array:
        """All of it, to be written to."""
        return self.bytes

    def release(self) -> None:
        """Give the pages back; they come again, as zeros, when they are written to."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def outline(self, place: slice, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """What stands for an array in it while nothing is there."""
        return self.bytes[place].view(dtype).reshape(shape)


class HostMemory:
    """The memory of the CPU: of parts, of whole parameters, and of what travels."""

    zeros: Any = staticmethod(np.zeros)
    empty: Any = staticmethod(np.empty)
    row: Any = staticmethod(np.zeros)  # of a unit's parts

    #: Where arrays must go to, from where a script has put them; None where any array will do.
    device: Any = None
    #: Whether parts are in other memory than whole parameters.
    is_apart = False

    @staticmethod
    def arena(size_bytes: int) -> Arena:
        """Room for whole parameters."""
        return Arena(size_bytes)

    @staticmethod
    def fetched(row: Array) -> Array:
        """Parts, where they can be sent from."""
        return row

    @staticmethod
    def brought(row: Array) -> Array:
        """Reduced gradients, where the parts are."""
        return row


def one_copy(group: ProcessGroup, *shape: int) -> Array | None:
    """Bytes that all ranks have in one memory; None where they are no processes of one machine. A collective."""
    return group.allocate(shape, np.uint8, copies=1) if group.transport.kind == "shm" else None
