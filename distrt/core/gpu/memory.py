"""What tensors hold of each GPU's memory, and the most that they ever held: CuPy's pool tells the first only."""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from typing import Any

from distrt.core.gpu import library


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
    """Counts from now on. The first tensor on a GPU starts it."""
    cupy = library.find()

    class Hook(cupy.cuda.MemoryHook):  # type: ignore[misc, name-defined]
        name = "distrt"

        def malloc_postprocess(self, **what: Any) -> None:
            with _lock:
                count = counts[what["device_id"]]
                count.allocations += 1
                count.used += what["mem_size"]
                count.most_used = max(count.most_used, count.used)

        def free_postprocess(self, **what: Any) -> None:
            with _lock:
                count = counts[what["device_id"]]
                count.freed += 1
                count.used -= what["mem_size"]

        def alloc_postprocess(self, **what: Any) -> None:  # the pool itself takes memory
            with _lock:
                count = counts[what["device_id"]]
                count.most_reserved = max(count.most_reserved, reserved())

    Hook().__enter__()


def reserved() -> int:
    """Bytes that the pool of the current GPU holds, in arrays or for later."""
    return int(library.find().get_default_memory_pool().total_bytes())
