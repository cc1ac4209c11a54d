"""Collectives on buffers that lie in the shared segment: nothing is copied in or out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.comm.progress import Steps
from distrt.comm.reduction import Array, Reduction
from distrt.comm.shm.meeting import Meeting, MeetingRoom, meeting_word
from distrt.comm.shm.region import Region
from distrt.comm.shm.segment import Segment, available_bytes
from distrt.comm.shm.staged import Receiver
from distrt.core.errors import DistributedError

__all__ = ["Buffers"]


class Buffers:
    """The `allocate`d buffers of one rank.

    Args:
        room: how ranks meet.
        memory: where the buffers are.
        barrier: the steps of a meeting that all buffers share.
    """

    def __init__(self, room: MeetingRoom, memory: Segment, barrier: Callable[[int], Steps]) -> None:
        self._room = room
        self._segment = memory
        self._barrier = barrier
        self.rank = room.rank
        self.size = len(room.peers)
        self._allocated = 0
        self._regions: dict[int, Region] = {}  # by the ids of the mapping and of the root array

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Steps:
        """A new buffer, the same on every rank; an error that all agree on where there is no memory for it."""
        length = Region.length(self.size, shape, dtype)
        offset = self._segment.reserve(length)
        verdict = self._room.control.verdict
        if self.rank == 0:
            verdict[0] = length <= available_bytes() and self._segment.grow()
        yield from self._barrier(fingerprint)
        is_granted = verdict[0]
        if not is_granted:
            yield from self._barrier(fingerprint)
            return DistributedError(
                f"a buffer of {shape} {dtype} on {self.size} ranks needs {length >> 20} MB of shared memory, and "
                f"only {available_bytes() >> 20} MB are left on this machine (or to this container)"
            )
        region = Region(self._segment.map(offset, length), offset, self.rank, self.size, shape, dtype)
        region.number = self._allocated = self._allocated + 1
        region.populate()
        self._note(region)
        yield from self._barrier(fingerprint)
        return region.array

    def free(self, region: Region, fingerprint: int) -> Steps:
        """Give a buffer's memory back."""
        yield from self._barrier(fingerprint)
        del self._regions[id(region.mapping)], self._regions[id(region.array)]
        region.discard()

    def renew(self, region: Region) -> Array:
        """Map a buffer a second time, and leave its old place to who has views of it: with a copy, of this rank alone.

        Returns:
            the new array; the buffer's until it is freed or renewed.
        """
        mapping = self._segment.map(region.offset, len(region.mapping))  # may fail
        stale = id(region.mapping), id(region.array)
        region.move(mapping)  # may fail, too
        for each in stale:
            del self._regions[each]
        self._note(region)
        return region.array

    def _note(self, region: Region) -> None:
        self._regions[id(region.mapping)] = self._regions[id(region.array)] = region

    def root(self, array: Array) -> Region | None:
        """The buffer that ``array`` is the whole of, as `allocate` gave it."""
        region = self._regions.get(id(array))
        return region if region is not None and region.array is array else None

    def locate(self, array: Array) -> tuple[Region, int] | None:
        """The buffer that an array lies in, and how many bytes into it."""
        base = array.base
        if base is None or not self._regions:
            return None
        region = self._regions.get(id(base))
        if region is not None and array.nbytes == region.nbytes:
            return region, 0
        address = array.ctypes.data
        for region in self._regions.values():
            if 0 <= address - region.address <= region.nbytes - array.nbytes:
                return region, address - region.address
        return None

    def reduce(
        self,
        region: Region,
        offset: int,
        flat: Array,
        reduction: Reduction,
        fingerprint: int,
        dst: int | None = None,
    ) -> Steps:
        """Each rank reduces its slice of all copies, and writes it to all copies (or to that of ``dst``)."""
        slices = region.slices(offset, flat.size, flat.dtype)
        yield self.come_to(region, fingerprint)
        if dst is not None:
            reduction.reduce(slices, slices[dst])
        else:
            reduction.reduce(slices, *slices)
        yield self.come_to(region, fingerprint)

    def reduce_scatter(
        self,
        region: Region,
        offset: int,
        flat: Array,
        reduction: Reduction,
        fingerprint: int,
        meets_after: bool,
    ) -> Steps:
        """Each rank reduces its row of all copies into ``flat``."""
        rows = region.rows(offset, flat.size * self.size, flat.dtype)
        yield self.come_to(region, fingerprint)
        reduction.reduce(rows, flat)
        if meets_after:
            yield self.come_to(region, fingerprint)  # only now may a rank write to its copy again

    def show(self, region: Region, offset: int, mine: Array, receive: Receiver, fingerprint: int) -> Steps:
        """Let every rank see all ranks' copies of the same elements: ``mine`` is this rank's, (rows, columns)."""
        views = [view.reshape(mine.shape) for view in region.views(offset, mine.size, mine.dtype)]
        yield self.come_to(region, fingerprint)
        receive(views, 0, mine.shape[1])
        yield self.come_to(region, fingerprint)  # only now may a rank write to its copy again

    def come_to(self, region: Region, fingerprint: int) -> Meeting:
        """Tell the others that this rank is here; over when all are."""
        region.tick += 1
        word = meeting_word(region.tick, fingerprint)
        self._room.post(region.words, word)
        return Meeting(self._room, region.words, word)
