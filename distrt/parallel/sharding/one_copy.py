"""Memory that all ranks of a machine read and write: one copy, where `ProcessGroup.allocate` gives one a rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.comm.shm.segment import Segment, available_bytes, populate
from distrt.core.arrays import Array
from distrt.core.errors import DistributedError

__all__ = ["one_copy"]


def one_copy(group: ProcessGroup, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
    """Zeros that are the same memory in every rank; None where the ranks do not share a machine. A collective.

    The memory has no name, and goes with the last array on it, also where ranks are killed.

    Raises:
        DistributedError: on all ranks, where there is not enough memory, or a rank cannot open it.
    """
    if group.transport.kind != "shm":
        return None
    nbytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    memory = _created(nbytes) if group.rank() == 0 else None
    memory, error = _opened(group, memory, nbytes)
    is_open = np.array([memory is not None], np.uint8)
    group.all_reduce(is_open, ReduceOp.MIN)  # rank 0 keeps its descriptor until all have opened the file
    if not is_open[0] or memory is None:
        if memory is not None:
            memory.close()
        raise DistributedError(
            f"rank {group.rank()}: {nbytes >> 20} MB of memory that all ranks share could not be had: "
            f"{error or 'another rank says why'}"
        )
    mapping = memory.map(0, nbytes)
    memory.close()
    share = -(-nbytes // group.size())
    start = share * group.rank()
    if start < nbytes:  # each rank fetches a part, from the memory node of its core
        populate(mapping, start // _PAGE * _PAGE, min(share, nbytes - start))
    array: Array = np.ndarray(shape, dtype, buffer=mapping)
    return array


_PAGE = 4096


def _created(nbytes: int) -> Segment | None:
    if nbytes > available_bytes():
        return None
    memory = Segment.create()
    memory.reserve(nbytes)
    if not memory.grow():
        memory.close()
        return None
    return memory


def _opened(group: ProcessGroup, memory: Segment | None, nbytes: int) -> tuple[Segment | None, str]:
    """Rank 0's memory in every rank, or None and why not."""
    path = np.zeros(256, np.uint8)
    if memory is not None:
        name = memory.path.encode()
        path[: len(name)] = np.frombuffer(name, np.uint8)
    group.broadcast(path, src=0)
    if group.rank() == 0:
        return memory, "" if memory is not None else f"{available_bytes() >> 20} MB are left on this machine"
    name = path.tobytes().rstrip(b"\0")
    if not name:
        return None, ""
    try:
        return Segment.open(name.decode()), ""
    except DistributedError as error:
        return None, str(error)
