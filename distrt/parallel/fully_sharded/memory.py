"""Where whole parameters and whole gradients lie: memory that goes when nobody needs it, or that ranks have together.

``Arena`` is a rank's own. The graph keeps views of a module's parameters between forward and backward. PyTorch shrinks
the storage below them to nothing and grows it again; here the pages go, and the addresses stay. Without pages it reads
as zeros, which nobody does: a unit counts giving its memory back as an in-place change of its parameters.

``Together`` is one copy for the ranks of a machine: the parts of all ranks, side by side, are the whole parameter.
``Slots`` hold the gradients of a few units at a time, of all ranks, each of which adds up its part of all.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array

__all__ = ["ALIGNMENT", "Arena", "Slots", "Together", "aligned", "laid_out"]

ALIGNMENT = 64  # a cache line: no two parameters share one


def aligned(count_bytes: int) -> int:
    """The next multiple of the alignment."""
    return -(-count_bytes // ALIGNMENT) * ALIGNMENT


def laid_out(sizes_bytes: Sequence[int]) -> list[int]:
    """Where each begins, and where the last one ends."""
    starts = [0]
    for size in sizes_bytes:
        starts.append(starts[-1] + aligned(size))
    return starts


class Arena:
    """A private mapping."""

    def __init__(self, size_bytes: int) -> None:
        self._map = mmap.mmap(-1, max(size_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes: Array = np.frombuffer(self._map, np.uint8)

    def release(self) -> None:
        """Give the pages back; they come again, as zeros, when they are written to."""
        self._map.madvise(mmap.MADV_DONTNEED)


class Together:
    """Bytes that all ranks of a group have in one memory.

    Attributes:
        bytes: to write one's own part of them.
    """

    def __init__(self, memory: Array) -> None:
        self.bytes = memory

    @classmethod
    def of(cls, group: ProcessGroup, size_bytes: int) -> Together | None:
        """New memory; None where the ranks do not share a machine. A collective."""
        memory = _one_copy(group, (max(size_bytes, 1),))
        return None if memory is None else cls(memory)


class Slots:
    """Room for the whole gradients of ``count`` units, of every rank; used in turn.

    Attributes:
        count: how many units.
        rows: (count, ranks, bytes).
    """

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.count: int = rows.shape[0]

    @classmethod
    def of(cls, group: ProcessGroup, count: int, size_bytes: int) -> Slots | None:
        """New room; None where the ranks do not share a machine, or nothing is to lie there. A collective."""
        if not count:
            return None
        rows = _one_copy(group, (count, group.size(), aligned(size_bytes)))
        return None if rows is None else cls(rows)


def _one_copy(group: ProcessGroup, shape: tuple[int, ...]) -> Array | None:
    return group.allocate(shape, np.uint8, copies=1) if group.transport.kind == "shm" else None
