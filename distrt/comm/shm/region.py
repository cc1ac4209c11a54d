"""Ranges of the shared segment as arrays: buffers with one copy a rank, and the staging areas."""

from __future__ import annotations

import mmap
import time
from typing import Any

import numpy as np

from distrt.comm.progress import Steps, Wait
from distrt.comm.reduction import Array
from distrt.comm.shm import segment
from distrt.comm.shm.segment import PAGE, round_up
from distrt.comm.transport import block_bounds
from distrt.core.arrays import CACHE_LINE_BYTES
from distrt.core.errors import DistributedError

__all__ = ["Region", "Staging", "slice_bounds"]

_CACHED_SHAPES = 512  # views are remembered per dtype and size; a script that makes more starts over


class Region:
    """One `allocate`d buffer: a page of meeting words, then every rank's copy."""

    def __init__(
        self,
        mapping: mmap.mmap,
        offset: int,
        rank: int,
        size: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.offset = offset  # of the mapping, in the segment
        self.number = 0  # of the group's buffers, the same on all ranks
        self._places: dict[int, str] = {}
        self.tick = 0
        self._rank, self._size = rank, size
        stride = self._stride(shape, dtype)
        self._mine = (PAGE + rank * stride, stride)
        self._slices: dict[tuple[int, int, np.dtype[Any]], list[Array]] = {}
        self._rows: dict[tuple[int, int, np.dtype[Any]], list[Array]] = {}
        self._issued = self._served = 0
        self._lie_in(mapping, shape, dtype)

    def _lie_in(self, mapping: mmap.mmap, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        start, stride = self._mine
        self.mapping = mapping
        self.words = memoryview(mapping)[: 8 * self._size].cast("q")
        self.array: Array = np.ndarray(shape, dtype, buffer=mapping, offset=start)
        self.nbytes = self.array.nbytes
        self.address = self.array.ctypes.data
        self._bytes = np.ndarray((self._size, stride), np.uint8, buffer=mapping, offset=PAGE)
        self._slices.clear()
        self._rows.clear()

    def move(self, mapping: mmap.mmap) -> None:
        """Lie in another mapping of the same range; the old one becomes memory of this process, with a copy of ours."""
        if self._issued != self._served:
            raise DistributedError(
                "a shared buffer cannot be renewed while an operation on it is outstanding"
            )
        old, (start, _) = self.array, self._mine
        segment.make_private(self.address - start, len(self.mapping), start, self.nbytes)
        self._lie_in(mapping, old.shape, old.dtype)
        self.populate()

    def place(self, offset: int) -> str:
        """Where an array lies that begins so many bytes into the buffer, for messages."""
        place = self._places.get(offset)
        if place is None:
            place = f"in shared buffer {self.number}{f', from byte {offset}' if offset else ''}"
            if len(self._places) >= _CACHED_SHAPES:
                self._places.clear()
            self._places[offset] = place
        return place

    def in_turn(self, steps: Steps) -> Steps:
        """``steps``, after those of all earlier operations on this buffer, whatever queue they are in."""
        ticket = self._issued
        self._issued += 1
        return self._after(ticket, steps)

    def _after(self, ticket: int, steps: Steps) -> Steps:
        if self._served != ticket:
            yield _Turn(self, ticket)
        try:
            value = yield from steps
        finally:
            self._served += 1
        return value

    @classmethod
    def length(cls, size: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """How many bytes of the segment a buffer takes."""
        return PAGE + size * cls._stride(shape, dtype)

    @staticmethod
    def _stride(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        return max(PAGE, round_up(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, PAGE))

    def populate(self) -> None:
        """Fetch the memory of this rank's copy now."""
        segment.populate(self.mapping, *self._mine)

    def discard(self) -> None:
        """Give the memory of this rank's copy back."""
        segment.discard(self.mapping, *self._mine)

    def views(self, offset: int, count: int, dtype: np.dtype[Any]) -> list[Array]:
        """The same ``count`` elements, ``offset`` bytes into the buffer, of every rank's copy."""
        return list(self._bytes[:, offset : offset + count * dtype.itemsize].view(dtype))

    def slices(self, offset: int, count: int, dtype: np.dtype[Any]) -> list[Array]:
        """Of `views`, the slice that this rank reduces."""
        key = (offset, count, dtype)
        slices = self._slices.get(key)
        if slices is None:
            cut = slice_bounds(count, self._size, dtype.itemsize)
            low, high = cut[self._rank], cut[self._rank + 1]
            slices = [view[low:high] for view in self.views(offset, count, dtype)]
            _keep(self._slices, key, slices)
        return slices

    def rows(self, offset: int, count: int, dtype: np.dtype[Any]) -> list[Array]:
        """Of `views`, cut into a row for each rank, the row of this rank."""
        key = (offset, count, dtype)
        rows = self._rows.get(key)
        if rows is None:
            rows = [view.reshape(self._size, -1)[self._rank] for view in self.views(offset, count, dtype)]
            _keep(self._rows, key, rows)
        return rows


def _keep(cache: dict[Any, list[Array]], key: object, found: list[Array]) -> None:
    if len(cache) >= _CACHED_SHAPES:
        cache.clear()
    cache[key] = found


class _Turn(Wait):
    """Waiting for earlier operations of this very rank."""

    __slots__ = ("_region", "_ticket")

    def __init__(self, region: Region, ticket: int) -> None:
        self._region, self._ticket = region, ticket

    def is_over(self) -> bool:
        return self._region._served == self._ticket

    def sleep(self, seconds: float, sleeper: int) -> None:
        time.sleep(min(seconds, 0.0001))

    def missing(self) -> list[int]:
        return []  # the operation that it waits for names them


class Staging:
    """Where arrays that are not in the segment pass through.

    ``slots`` hold a whole small array a rank, ``inputs`` a chunk a rank, ``results`` a rank's reduced slice of a
    chunk. There are two halves of each, used in turn.
    """

    def __init__(self, mapping: mmap.mmap, size: int, slot_bytes: int, chunk_bytes: int, offset: int) -> None:
        self._areas: list[list[list[Array]]] = []
        self._typed: dict[np.dtype[Any], tuple[list[list[Array]], list[list[Array]]]] = {}
        self._slots: dict[tuple[np.dtype[Any], int], list[list[Array]]] = {}
        for width in self._widths(size, slot_bytes, chunk_bytes):
            area = np.ndarray((2, size, width), np.uint8, buffer=mapping, offset=offset)
            self._areas.append([list(half) for half in area])
            offset += area.nbytes

    @classmethod
    def length(cls, size: int, slot_bytes: int, chunk_bytes: int) -> int:
        """How many bytes of the segment the areas take."""
        return 2 * size * sum(cls._widths(size, slot_bytes, chunk_bytes))

    @staticmethod
    def _widths(size: int, slot_bytes: int, chunk_bytes: int) -> tuple[int, int, int]:
        # A slice may be a cache line longer than its share of the chunk.
        slice_bytes = round_up(chunk_bytes // size + 128, PAGE)
        return round_up(slot_bytes, PAGE), round_up(chunk_bytes, PAGE), slice_bytes

    def slots(self, dtype: np.dtype[Any], count: int) -> list[list[Array]]:
        """Per half, every rank's slot as ``count`` elements."""
        slots = self._slots.get((dtype, count))
        if slots is None:
            if len(self._slots) >= _CACHED_SHAPES:
                self._slots.clear()
            nbytes = count * dtype.itemsize
            slots = [[slot[:nbytes].view(dtype) for slot in half] for half in self._areas[0]]
            self._slots[dtype, count] = slots
        return slots

    def inputs(self, dtype: np.dtype[Any]) -> list[list[Array]]:
        """Per half, every rank's chunk."""
        return self._as(dtype)[0]

    def results(self, dtype: np.dtype[Any]) -> list[list[Array]]:
        """Per half, every rank's reduced slice."""
        return self._as(dtype)[1]

    def _as(self, dtype: np.dtype[Any]) -> tuple[list[list[Array]], list[list[Array]]]:
        if dtype not in self._typed:
            inputs, results = (
                [[area.view(dtype) for area in half] for half in area] for area in self._areas[1:]
            )
            self._typed[dtype] = inputs, results
        return self._typed[dtype]


def slice_bounds(length: int, ranks: int, itemsize: int) -> list[int]:
    """Which slice of an array each rank reduces: bounds at cache lines."""
    return block_bounds(length, ranks, CACHE_LINE_BYTES // itemsize)
