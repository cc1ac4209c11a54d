"""The memory that the ranks of one machine share: one file without a name, mapped piece by piece.

Rank 0 creates it, the others open it through /proc. It never has a name, so nothing is left of a job that was
killed; and as a memfd it is not bound by the size of /dev/shm (64 MB in many containers).
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from pathlib import Path

from distrt.core.errors import DistributedError
from distrt.core.storage.shared_memory import PAGE, map_pages, require_mapped, round_up
from distrt.core.storage.unnamed import open_unnamed_file

__all__ = ["PAGE", "Segment", "available_bytes", "discard", "make_private", "populate", "round_up"]

_MADV_POPULATE_WRITE = 23  # Linux 5.14; the mmap module of Python 3.11 has no name for it


class Segment:
    """A growing, sparse file. All ranks reserve the same lengths in the same order and so agree on every offset."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._reserved = 0

    @classmethod
    def create(cls) -> Segment:
        """A new, empty segment (rank 0)."""
        return cls(open_unnamed_file("shared memory"))

    @classmethod
    def open(cls, path: str) -> Segment:
        """The segment behind another process's `path`."""
        try:
            return cls(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise DistributedError(
                f"cannot open rank 0's shared memory {path}: {error.strerror}; the ranks of one machine must run as "
                "one user and see one /proc (one container, or containers with a shared process namespace)"
            ) from None

    @property
    def path(self) -> str:
        """Where other processes of this user can open the segment while this one lives."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @property
    def descriptor(self) -> int:
        """Of the file, in this process."""
        return self._fd

    def reserve(self, length: int) -> int:
        """The offset of the next ``length`` bytes. They can be touched once some rank has called `grow`."""
        offset = self._reserved
        self._reserved += round_up(length, PAGE)
        return offset

    def grow(self) -> bool:
        """Make the file long enough for all that is reserved, if it can be (one rank; memory comes with first use)."""
        try:
            os.ftruncate(self._fd, self._reserved)
        except OSError:
            return False
        return True

    def map(self, offset: int, length: int) -> mmap.mmap:
        """Map a reserved range. The mapping goes away with the last array on it."""
        return mmap.mmap(self._fd, length, mmap.MAP_SHARED, offset=offset)

    def close(self) -> None:
        """Let go of the file; ranges that are mapped stay usable."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def populate(mapping: mmap.mmap, offset: int, length: int) -> None:
    """Fetch the memory of a range now, from this core's memory node, and not fault by fault in the first use."""
    with contextlib.suppress(OSError):  # an older kernel: the first use is slower, nothing else
        mapping.madvise(_MADV_POPULATE_WRITE, offset, length)


def discard(mapping: mmap.mmap, offset: int, length: int) -> None:
    """Give a range's memory back to the machine; whoever still reads there sees zeros."""
    mapping.madvise(mmap.MADV_REMOVE, offset, length)


def make_private(address: int, length: int, offset: int, kept: int) -> None:
    """Have a mapped range refer to memory of this process alone, which nobody else writes to, in one go.

    Args:
        address: of the range, in this process.
        length: of the range.
        offset, kept: the bytes of it that stay as they are; what the others become is not defined.

    Raises:
        OSError: there is no memory for it.
    """
    private = map_pages(None, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memmove(private + offset, address + offset, kept)
    require_mapped(_mremap(private, length, length, _MREMAP_MAYMOVE | _MREMAP_FIXED, address))


_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2

_mremap = ctypes.CDLL(None, use_errno=True).mremap
_mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
_mremap.restype = ctypes.c_void_p


def available_bytes() -> int:
    """What this process and its peers can still use: the machine's memory, bounded by the container's."""
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(meminfo["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            available = min(available, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no cgroup v2, or its root
    return max(0, available)
