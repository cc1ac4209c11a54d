"""Memory: what each device holds, counted."""

from __future__ import annotations

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
    """What is told of each allocation, from ``__enter__`` on."""

    def __enter__(self) -> MemoryHook:
        _hooks.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _hooks.remove(self)

    def alloc_postprocess(self, **what: Any) -> None:
        """The pool has taken memory."""

    def malloc_postprocess(self, **what: Any) -> None:
        """An array has got memory."""

    def free_preprocess(self, **what: Any) -> None:
        """An array is about to give its memory back."""

    def free_postprocess(self, **what: Any) -> None:
        """An array has given it back."""


_hooks: list[MemoryHook] = []


def count(array: Any) -> None:
    """Counts an array's memory until it is gone."""
    import cupy

    get_allocator()(array._host.nbytes)
    device, size = cupy.cuda._current.number, -(-array._host.nbytes // 512) * 512
    fresh = size > _freed[device]
    _used[device] += size
    _freed[device] = max(0, _freed[device] - size)
    array._memory = PooledMemory()
    number = id(array._memory)
    for hook in _hooks:
        if fresh:
            hook.alloc_postprocess(device_id=device, mem_size=size, mem_ptr=id(array))
        hook.malloc_postprocess(
            device_id=device, size=array._host.nbytes, mem_size=size, mem_ptr=id(array), pmem_id=number
        )
    weakref.finalize(array, _free, device, size, array._host, array._memory)


class PooledMemory:
    """What the pool has given an array."""

    pool = None


def _free(device: int, size: int, memory: Any, allocation: PooledMemory) -> None:
    from .queued import keep

    for hook in _hooks:
        hook.free_preprocess(device_id=device, mem_size=size, mem_ptr=0, pmem_id=id(allocation))
    keep(memory)  # the pool gives it to what is queued behind those who use it
    _used[device] -= size
    _freed[device] += size
    for hook in _hooks:
        hook.free_postprocess(device_id=device, mem_size=size, mem_ptr=0, pmem_id=id(allocation))


class MemoryPool:
    """The pool of the current device."""

    def malloc(self, size: int) -> Any:
        """Whether there is as much: the fake's arrays have memory of their own."""
        if 0 < self.get_limit() < self.used_bytes() + size:
            raise OutOfMemoryError(size, self.used_bytes(), self.get_limit())

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
    """What arrays get their memory from."""
    return _allocator


def set_allocator(allocator: Any = None) -> None:
    """Sets it."""
    global _allocator
    _allocator = allocator


_DEVICE_MEMORY = 1 << 60


class MemoryPointer:
    """Where an array begins."""

    def __init__(self, owner: Any, offset: int = 0, memory: PooledMemory | None = None) -> None:
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

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.owner, self.offset + offset, self.mem)


def alloc(size: int) -> MemoryPointer:
    """Memory that is no array's."""
    import cupy

    pointer: MemoryPointer = cupy.empty(size, "u1").data
    return pointer


class using_allocator:
    """Where memory comes from, for a block; the fake's all comes from the host."""

    def __init__(self, allocator: Any = None) -> None:
        self.allocator = allocator

    def __enter__(self) -> None:
        """Nothing to be done."""

    def __exit__(self, *exception: Any) -> None:
        """Nothing to be done."""


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
