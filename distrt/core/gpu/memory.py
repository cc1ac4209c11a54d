"""What tensors hold of each GPU's memory, and the most that they ever held: CuPy's pool tells the first only.

Where there is not enough, PyTorch's error says so, which scripts catch.
"""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from distrt.core.errors import OutOfMemoryError
from distrt.core.gpu import library, uses
from distrt.core.modes import used


class Count:
    """The bytes of one GPU.

    Attributes:
        used: in arrays.
        most_used: the most that ``used`` has been since it was last set back.
        most_reserved: the most that the pool has held since then.
        allocations, freed: how many there were.
    """

    __slots__ = ("allocations", "freed", "most_reserved", "most_used", "used")

    def __init__(self) -> None:
        self.used = self.most_used = self.most_reserved = self.allocations = self.freed = 0


counts: dict[int, Count] = defaultdict(Count)
_lock = threading.Lock()


@functools.cache
def watch() -> None:
    """Counts from now on, and tells of a lack. The first tensor on a GPU starts it."""
    cupy = library.find()

    class Hook(cupy.cuda.MemoryHook):  # type: ignore[misc, name-defined]
        name = "distrt"

        # Called for every array, so nothing here takes a step that it need not.
        def malloc_postprocess(self, device_id: int, mem_size: int, pmem_id: int, **_: Any) -> None:
            if used.streams:
                uses.made(pmem_id)
            with _lock:
                count = counts[device_id]
                count.allocations += 1
                count.used += mem_size
                if count.used > count.most_used:
                    count.most_used = count.used

        def free_preprocess(self, device_id: int, mem_size: int, pmem_id: int, **_: Any) -> None:
            if used.streams:
                uses.freed(pmem_id, device_id)
            with _lock:
                count = counts[device_id]
                count.freed += 1
                count.used -= mem_size

        def alloc_postprocess(self, **what: Any) -> None:  # the pool itself takes memory
            with _lock:
                count = counts[what["device_id"]]
                count.most_reserved = max(count.most_reserved, reserved())

    Hook().__enter__()
    with suppress(
        ValueError
    ):  # CuPy's, within its `using_allocator`: whoever chose that one sees to its errors
        cupy.cuda.set_allocator(telling(cupy.cuda.get_allocator()))


def telling(allocate: Callable[[int], Any]) -> Callable[[int], Any]:
    """An allocator of CuPy's that raises `OutOfMemoryError` where another one raises CuPy's, a ``MemoryError``."""
    lack = library.find().cuda.memory.OutOfMemoryError

    def allocated(nbytes: int) -> Any:
        try:
            return allocate(nbytes)
        except lack as error:
            raise OutOfMemoryError(_lacking(nbytes)) from error

    return allocated


def outside_of_graphs() -> AbstractContextManager[None]:
    """Allocations inside are of the pool that all share, while a graph is captured, too.

    For what is written from outside before a replay: in the graph's own memory, an earlier kernel of the graph could
    have the same place for something else.
    """
    cupy = library.find()
    made: AbstractContextManager[None] = cupy.cuda.using_allocator(
        telling(cupy.get_default_memory_pool().malloc)
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
