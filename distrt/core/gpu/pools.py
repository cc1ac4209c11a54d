"""Pools of memory beside the one that all share: what is allocated inside a block comes from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distrt.core.gpu import library

__all__ = ["Pool", "allocating_from"]

_numbers = itertools.count(1)


class Pool:
    """Memory of its own, on every GPU that asks it for some.

    Attributes:
        number: PyTorch's, which in a snapshot says whose a segment is.
    """

    def __init__(self) -> None:
        self.number = (0, next(_numbers))
        self.blocks = library.find().cuda.MemoryPool()


@contextmanager
def allocating_from(pool: Pool, gpu: int) -> Iterator[None]:
    """A block in which this thread's arrays on one GPU come from a pool; those on others as before."""
    from distrt.core.gpu.memory import counting  # for programs that use a GPU

    cuda = library.find().cuda
    of_pool, before = counting(pool.blocks.malloc, pool.number), cuda.get_allocator()

    def allocate(nbytes: int) -> Any:
        return (of_pool if library.current() == gpu else before)(nbytes)

    with cuda.using_allocator(allocate):
        yield
