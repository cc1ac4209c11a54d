"""Memory: what each device holds, counted."""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict
from typing import Any

_used: dict[int, int] = defaultdict(int)
_freed: dict[int, int] = defaultdict(int)  # kept by the pool for the next allocation


class OutOfMemoryError(MemoryError):
    """The pool may not take as much."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes, limit {limit:,})."
        )


class MemoryHook:
    """What is told of each allocation of its own thread, from ``__enter__`` on."""

    def __enter__(self) -> MemoryHook:
        _hooks().append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _hooks().remove(self)

    def alloc_postprocess(self, **what: Any) -> None:
        """The pool has taken memory."""

    def malloc_postprocess(self, **what: Any) -> None:
        """An array has got memory."""

    def free_preprocess(self, **what: Any) -> None:
        """An array is about to give its memory back."""

    def free_postprocess(self, **what: Any) -> None:
        """An array has given it back."""


class _Thread(threading.local):
    def __init__(self) -> None:
        self.hooks: list[MemoryHook] = []
        self.allocator: Any = None


_thread = _Thread()


def _hooks() -> list[MemoryHook]:
    return _thread.hooks


def count(array: Any) -> None:
    """Counts an array's memory until it is gone."""
    from .queued import keep

    array._memory = get_allocator()(array._host.nbytes).mem
    weakref.finalize(array, keep, array._host)  # the pool gives it to what is queued behind those who use it


class PooledMemory:
    """What the pool has given."""

    pool = None

    def __init__(self, size: int) -> None:
        import cupy

        self.device_id, self.size = cupy.cuda._current.number, -(-size // 512) * 512
        self.ptr = id(self)
        is_fresh = self.size > _freed[self.device_id]
        _used[self.device_id] += self.size
        _freed[self.device_id] = max(0, _freed[self.device_id] - self.size)
        for hook in _hooks():
            if is_fresh:
                hook.alloc_postprocess(**self._told())
            hook.malloc_postprocess(size=size, **self._told())

    def __del__(self) -> None:
        for hook in _hooks():
            hook.free_preprocess(**self._told())
        _used[self.device_id] -= self.size
        _freed[self.device_id] += self.size
        for hook in _hooks():
            hook.free_postprocess(**self._told())

    def _told(self) -> dict[str, int]:
        return {
            "device_id": self.device_id,
            "mem_size": self.size,
            "mem_ptr": self.ptr,
            "pmem_id": id(self),
        }


class UnownedMemory:
    """Memory that somebody else sees to."""

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr, self.size, self._owner, self.device_id = ptr, size, owner, device_id


class MemoryPointer:
    """A place in memory."""

    def __init__(self, mem: Any, offset: int) -> None:
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id


class MemoryPool:
    """The pool of the current device."""

    def malloc(self, size: int) -> Any:
        """Counts as much: the fake's arrays have memory of their own."""
        if 0 < self.get_limit() < self.used_bytes() + size:
            raise OutOfMemoryError(size, self.used_bytes(), self.get_limit())
        return MemoryPointer(PooledMemory(size), 0)

    def used_bytes(self) -> int:
        """Bytes in arrays."""
        import cupy

        return _used[cupy.cuda._current.number]

    def free_bytes(self) -> int:
        """Bytes kept for later."""
        import cupy

        return _freed[cupy.cuda._current.number]

    def total_bytes(self) -> int:
        """Both."""
        return self.used_bytes() + self.free_bytes()

    def free_all_blocks(self, stream: Any = None) -> None:
        """Gives back what no array uses."""
        import cupy

        _freed[cupy.cuda._current.number] = 0

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Sets how much may be taken."""
        from . import runtime

        self.limit = int(fraction * runtime.TOTAL) if fraction is not None else size

    def get_limit(self) -> int:
        """How much may be taken."""
        return getattr(self, "limit", 0) or 0


_pool = MemoryPool()


def pool() -> MemoryPool:
    """The pool that everybody uses."""
    return _pool


_allocator: Any = _pool.malloc


def get_allocator() -> Any:
    """What arrays of this thread get their memory from."""
    return _thread.allocator or _allocator


def set_allocator(allocator: Any = None) -> None:
    """Sets it for all threads."""
    global _allocator
    if _thread.allocator is not None:
        raise ValueError("Can't change the global allocator inside `using_allocator` context manager")
    _allocator = allocator


_DEVICE_MEMORY = 1 << 60


class PlaceOfArray:
    """Where an array begins."""

    def __init__(self, owner: Any, offset: int = 0, memory: Any = None) -> None:
        self.owner, self.offset, self.mem = owner, offset, memory

    @property
    def ptr(self) -> int:
        # Of a device: who reads there from the host ends at once, as on hardware.
        return _DEVICE_MEMORY + int(self.owner._host.__array_interface__["data"][0]) + self.offset

    @property
    def device_id(self) -> int:
        return int(self.owner.device.id)

    @property
    def buffer(self) -> Any:
        return self.owner._host.reshape(-1).view("u1")

    def __add__(self, offset: int) -> PlaceOfArray:
        return PlaceOfArray(self.owner, self.offset + offset, self.mem)


def alloc(size: int) -> PlaceOfArray:
    """Memory that is no array's."""
    import cupy

    pointer: PlaceOfArray = cupy.empty(size, "u1").data
    return pointer


class using_allocator:
    """What arrays of this thread get their memory from, for a block."""

    def __init__(self, allocator: Any = None) -> None:
        self.allocator = allocator

    def __enter__(self) -> None:
        self._before, _thread.allocator = _thread.allocator, self.allocator

    def __exit__(self, *exception: Any) -> None:
        _thread.allocator = self._before


class PinnedMemoryPointer(bytearray):
    """Page-locked memory of the host."""


_pinned_allocator: Any = None


def set_pinned_memory_allocator(allocator: Any = None) -> None:
    """Sets where copies from the host are staged."""
    global _pinned_allocator
    _pinned_allocator = allocator


def pinned(size: int) -> Any:
    """Room to stage a copy in."""
    return (_pinned_allocator or alloc_pinned_memory)(size)


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """Memory of the host."""
    return PinnedMemoryPointer(size)
