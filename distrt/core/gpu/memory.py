"""What tensors hold of each GPU's memory, and the most that they ever held: CuPy's pool tells the first only.

Where there is not enough, PyTorch's error says so, which scripts catch.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from distrt.core.errors import OutOfMemoryError
from distrt.core.gpu import library
from distrt.core.gpu.history import noting
from distrt.core.gpu.uses import Count, Held
from distrt.core.process.forking import lock_across_forks


class _Counts(dict[int, Count]):
    """By the number of a GPU: one for each, also where two threads are the first to ask."""

    def __missing__(self, gpu: int) -> Count:
        return self.setdefault(gpu, Count())


counts = _Counts()

#: PyTorch's number of the pool that all share.
EVERYBODYS = (0, 0)

#: Allocations from this size on look how much the pool holds.
_LOOK_FROM_BYTES = 1 << 20


_starting = lock_across_forks()  # the first tensors may be those of two threads, and memory counts once


def watch() -> None:
    """Counts from now on, and tells of a lack. The first tensor on a GPU starts it."""
    with _starting:
        _set_allocator()


@functools.cache
def _set_allocator() -> None:
    cuda = library.find().cuda
    # This thread may be in CuPy's `using_allocator`, where the allocator of all threads cannot be set.
    thread = threading.Thread(target=lambda: cuda.set_allocator(counting(cuda.get_allocator())))
    thread.start()
    thread.join()


def counting(allocate: Callable[[int], Any], pool: tuple[int, int] = EVERYBODYS) -> Callable[[int], Any]:
    """An allocator of CuPy's whose memory is counted, in all threads, until it is freed; ``pool`` is its number.

    It raises `OutOfMemoryError` where the other one raises CuPy's, a ``MemoryError``.
    """
    cuda = library.find().cuda
    lack, pointing, holding = cuda.memory.OutOfMemoryError, cuda.MemoryPointer, cuda.UnownedMemory

    # Called for every array, so nothing here takes a step that it need not.
    def allocated(nbytes: int) -> Any:
        try:
            now = noting.now
            pointer = allocate(nbytes) if now is None else now.allocate(allocate, nbytes, pool)
        except lack as error:
            _note_lack(nbytes, pool)
            raise OutOfMemoryError(_lacking(nbytes)) from error
        if not nbytes:
            return pointer
        device = pointer.device_id
        count = counts[device]
        held = Held(pointer, count, nbytes, pool)
        if nbytes >= _LOOK_FROM_BYTES:
            note_reserved(count)
        return pointing(holding(pointer.ptr, pointer.mem.size, held, device), 0)

    return allocated


def _note_lack(nbytes: int, pool: tuple[int, int]) -> None:
    now = noting.now
    if now is not None:
        free, _ = library.find().cuda.runtime.memGetInfo()
        frames = now.lines() if now.context else None
        now.note("oom", library.current(), free, nbytes, 0, pool, frames)


def note_reserved(count: Count) -> None:
    """How much the pool of the current GPU holds."""
    count.most_reserved = max(count.most_reserved, reserved())


def outside_of_graphs() -> AbstractContextManager[None]:
    """Allocations inside are of the pool that all share, while a graph is captured, too.

    For what is written from outside before a replay: in the graph's own memory, an earlier kernel of the graph could
    have the same place for something else.
    """
    cupy = library.find()
    made: AbstractContextManager[None] = cupy.cuda.using_allocator(
        counting(cupy.get_default_memory_pool().malloc)
    )
    return made


def _lacking(nbytes: int) -> str:
    """PyTorch's words. CuPy has given back what it kept, and tried again."""
    gpu = library.current()
    free, total = library.find().cuda.runtime.memGetInfo()
    used, held = counts[gpu].used, reserved()
    return (
        f"CUDA out of memory. Tried to allocate {_told(nbytes)}. GPU {gpu} has a total capacity of {_told(total)} of "
        f"which {_told(free)} is free. Of the memory held by this process {_told(used)} is allocated by distrt, and "
        f"{_told(max(0, held - used))} is reserved by distrt but unallocated."
    )


def _told(nbytes: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if nbytes >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} bytes"


def reserved() -> int:
    """Bytes that the pool of the current GPU holds, in arrays or for later."""
    return int(library.find().get_default_memory_pool().total_bytes())
