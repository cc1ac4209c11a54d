"""``MemPool``: memory of a part of the program alone, so that the rest cannot break it into pieces."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from distrt.core.gpu.pools import Pool, allocating_from
from distrt.cuda.devices import init, number_of
from distrt.cuda.snapshots import memory_snapshot

__all__ = ["MemPool", "use_mem_pool"]


class MemPool:
    """A pool of CuPy's beside that which all share; tensors keep what they have of it when it is gone.

    Args:
        allocator: None: memory comes from CUDA, by ``cudaMalloc``.
        use_on_oom: False: the pool is not asked where memory lacks elsewhere.
        no_split: False: blocks are split.

    Raises:
        DeviceMissing: without a GPU.
        NotImplementedError: for anything else than that.
    """

    def __init__(self, allocator: Any = None, use_on_oom: bool = False, no_split: bool = False) -> None:
        for name, value in (("allocator", allocator), ("use_on_oom", use_on_oom), ("no_split", no_split)):
            if value:
                raise NotImplementedError(
                    f"MemPool({name}={value!r}): memory comes from a pool of CuPy's, which has no such choice; "
                    f"leave {name} out"
                )
        init()
        self._pool = Pool()
        self.allocator = None

    @property
    def id(self) -> tuple[int, int]:
        """Its number, which segments in a snapshot have."""
        return self._pool.number

    def snapshot(self, include_traces: bool = True) -> list[dict[str, Any]]:
        """The segments that tensors have parts of."""
        return memory_snapshot(self.id, include_traces)


def use_mem_pool(pool: MemPool, device: Any = None) -> AbstractContextManager[None]:
    """A block in which this thread's tensors on one GPU (the current one where None) come from a pool.

    Raises:
        DeviceMissing: without a GPU.
    """
    return allocating_from(pool._pool, number_of(device))
