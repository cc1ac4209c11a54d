"""Memory that processes share: a file without a name, mapped whole, for as long as an array lies in it.

Who has the file's descriptor can map it: the workers of a ``DataLoader`` send it through their sockets, and the ranks
of a machine open each other's through /proc (``comm/shm/segment.py``, which maps its one file piece by piece).
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any

import numpy as np

from distrt.core.arrays import Array

__all__ = ["PAGE", "SharedMemory", "SharedRow", "map_pages", "require_mapped", "round_up"]

PAGE = mmap.ALLOCATIONGRANULARITY
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


class SharedMemory:
    """A mapped file of `length` bytes. It holds no descriptor: thousands of them may live at once."""

    __slots__ = ("__weakref__", "_address", "length")

    def __init__(self, descriptor: int, length: int) -> None:
        """Maps the file; the descriptor stays the caller's.

        Raises:
            OSError: there is no memory for it, or too many mappings.
        """
        self._address = 0
        self.length = length
        self._address = map_pages(None, length, mmap.MAP_SHARED, descriptor)

    def __del__(self) -> None:
        if self._address:
            _munmap(self._address, self.length)

    @property
    def address(self) -> int:
        """Of the first byte."""
        return self._address


class SharedRow:
    """Who owns ``length`` bytes of shared memory in the eyes of NumPy; subclasses learn when it is let go."""

    __slots__ = ("__array_interface__", "__weakref__", "memory", "offset")

    def __init__(self, memory: SharedMemory, length: int, offset: int = 0) -> None:
        self.memory, self.offset = memory, offset
        self.__array_interface__: dict[str, Any] = {
            "data": (memory.address + offset, False),
            "shape": (length,),
            "typestr": "|u1",
            "version": 3,
        }

    def row(self) -> Array:
        """The bytes, as an array that keeps this owner as long as it, or a view of it, lives."""
        return np.asarray(self)


def map_pages(address: int | None, length: int, flags: int, descriptor: int = -1) -> int:
    """Maps memory for reading and writing, as mmap(2) does; its address.

    Python's ``mmap`` would keep a copy of the descriptor open with each map.
    """
    return require_mapped(_mmap(address, length, _READ_WRITE, flags, descriptor, 0))


def require_mapped(found: int) -> int:
    """An address that mmap or mremap has returned; OSError where it says that it has failed."""
    if found == _place(-1).value:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot map memory: {os.strerror(error)}")
    return found


def round_up(length: int, unit: int) -> int:
    """The next multiple of ``unit``."""
    return -(-length // unit) * unit


_libc = ctypes.CDLL(None, use_errno=True)
_mmap, _munmap = _libc.mmap, _libc.munmap
_size, _place, _flags = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
_mmap.argtypes, _mmap.restype = [_place, _size, _flags, _flags, _flags, ctypes.c_long], _place
_munmap.argtypes, _munmap.restype = [_place, _size], _flags
