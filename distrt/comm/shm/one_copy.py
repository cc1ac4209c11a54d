"""Memory that all ranks of a machine read and write: one copy, where a buffer has one a rank.

It is a file of its own, so that it is given back with the last array on it, and no rank has to say so.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np

from distrt.comm.progress import Steps
from distrt.comm.reduction import Array
from distrt.comm.shm.segment import PAGE, Segment, available_bytes, make_private, round_up
from distrt.comm.shm.staged import Staged
from distrt.core.errors import DistributedError

__all__ = ["OneCopies"]

_PATH_BYTES = 256


class OneCopies:
    """The pieces of such memory that this rank has mapped.

    Args:
        staged: how the ranks tell one another where it is.
        rank: this process's number.
    """

    def __init__(self, staged: Staged, rank: int) -> None:
        self._staged = staged
        self._rank = rank
        self._files: dict[int, Segment] = {}  # by the array's id

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Steps:
        """Zeros that are the same memory in every rank; an error on all of them where it cannot be had."""
        found = yield from _opened(self._staged, self._rank, shape, dtype, fingerprint)
        return found if isinstance(found, Exception) else self._mapped(found, shape, dtype)

    def renew(self, array: Array) -> Array | None:
        """Map it a second time, and leave its old place, with a copy, to who has views of it; None if it is none."""
        file = self._files.get(id(array))
        if file is None:
            return None
        mapped = self._mapped(Segment(os.dup(file.descriptor)), array.shape, array.dtype)
        length = max(1, array.nbytes)
        make_private(array.ctypes.data, round_up(length, PAGE), 0, length)
        return mapped

    def _mapped(self, file: Segment, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        nbytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        array: Array = np.ndarray(shape, dtype, buffer=file.map(0, nbytes))
        self._files[id(array)] = file
        weakref.finalize(array, _forget, self._files, id(array)).atexit = False
        return array


def _forget(files: dict[int, Segment], key: int) -> None:
    files.pop(key).close()


def _opened(
    staged: Staged, rank: int, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int
) -> Steps:
    """The file in every rank, or an error in every rank."""
    nbytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    memory = _created(nbytes) if rank == 0 else None
    problem = f"{available_bytes() >> 20} MB are left on this machine (or to this container)"
    paths = yield from _shown(staged, _encoded(memory), fingerprint)
    if rank > 0 and (path := bytes(paths[0]).rstrip(b"\0")):
        try:
            memory = Segment.open(path.decode())
        except DistributedError as error:
            problem = str(error)
    # Rank 0 keeps its descriptor until all have opened the file.
    opened = yield from _shown(staged, np.array([memory is not None], np.uint8), fingerprint)
    if memory is None or not all(each[0] for each in opened):
        if memory is not None:
            memory.close()
            problem = "another rank could not open it"
        return DistributedError(
            f"{shape} {dtype}, one copy for all ranks, needs {nbytes >> 20} MB: {problem}"
        )
    return memory


def _created(nbytes: int) -> Segment | None:
    if nbytes > available_bytes():
        return None
    memory = Segment.create()
    memory.reserve(nbytes)
    if not memory.grow():
        memory.close()
        return None
    return memory


def _encoded(memory: Segment | None) -> Array:
    path = np.zeros(_PATH_BYTES, np.uint8)
    if memory is not None:
        name = memory.path.encode()
        path[: len(name)] = np.frombuffer(name, np.uint8)
    return path


def _shown(staged: Staged, mine: Array, fingerprint: int) -> Steps:
    """Every rank's bytes, as many as this one's."""
    found: list[Array] = []

    def receive(sources: list[Array], low: int, high: int) -> None:
        found.extend(source[0].copy() for source in sources)

    yield from staged.show(mine.reshape(1, -1), (1, mine.size), mine.dtype, receive, fingerprint)
    return found
