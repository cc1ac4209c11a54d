"""Ranks as processes of one machine that share memory: collectives without messages.

Every collective is a *pipeline*: its array is cut into chunks, a chunk passes through stages, and between two
stages all ranks meet (`distrt.comm.meeting`). A pipeline is a generator that yields the meeting it waits for, so
the same code blocks (`wait`) or moves on between other work (`progress`), without a thread.

Buffers from `allocate` lie in the segment: an all-reduce sums each rank's slice of all copies and writes the
result to all copies. Other arrays pass through staging areas there. `benchmarks/all_reduce.py` measures both.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol, TypeAlias

import numpy as np

from distrt.comm.meeting import MAX_RANKS, Control, MeetingRoom
from distrt.comm.peers import Peer, start_time
from distrt.comm.process_group import COMPLETED, ProcessGroup, Work, block_bounds
from distrt.comm.reduction import Array, Reduction, as_bits, copy
from distrt.comm.region import Region, Staging
from distrt.comm.segment import PAGE, Segment, available_bytes, round_up
from distrt.core.errors import CollectiveTimeout, DistributedError, PeerFailed

__all__ = ["ShmGroup", "Store"]

_SMALL_BYTES = 1024 * 1024  # over all ranks: up to here each reduces everything itself, after one meeting
_SMALL_IN_PLACE = 8  # a buffer, which needs no copies, is reduced in place from this part of that on
_CHUNK_BYTES = 1024 * 1024  # of one array, per round through the staging areas
_BLOCK_BYTES = 128 * 1024  # of one copy: what was reduced is still in cache when it goes to the others
_LINE = 64

Steps: TypeAlias = Generator[tuple[memoryview, int], None, None]  # yields the meeting that it waits for
Stage: TypeAlias = Callable[[int], None]  # does its part of the chunk with this number
Receiver: TypeAlias = Callable[
    [list[Array], slice], None
]  # gets all ranks' arrays, and which columns they are


class Store(Protocol):
    """What a group needs of the job's key-value store."""

    def set(self, key: str, value: bytes) -> None: ...  # noqa: D102

    def get(self, key: str, *, ranks: Iterable[int] = ()) -> bytes: ...  # noqa: D102

    def add(self, key: str, amount: int) -> int: ...  # noqa: D102


class ShmGroup(ProcessGroup):
    """The processes of one machine. `connect` makes one."""

    backend = "shm"

    def __init__(self, rank: int, peers: list[Peer], timeout_s: float, name: str, memory: Segment) -> None:
        super().__init__(rank, len(peers), timeout_s, name)
        self._owner_pid = os.getpid()
        self._segment = memory
        self._slot_bytes = _SMALL_BYTES // self.size
        offset, length, control_length = _reserve_base(memory, self.size)
        mapping = memory.map(offset, length)
        self._control = Control(mapping, self.size)
        self._staging = Staging(mapping, self.size, self._slot_bytes, _CHUNK_BYTES, control_length)
        self._room = MeetingRoom(rank, peers, self._control, self.label, self._move_on)
        self._words = self._control.ticks
        self._tick = 0  # the last meeting of the staging areas that this rank has come to
        self._chunks = 0  # how many chunks have gone through the staging areas: picks the half
        self._half = 0  # the half of the slots that the last small all-reduce used
        self._outstanding: list[_ShmWork] = []  # in launch order
        self._staged: deque[_ShmWork] = (
            deque()
        )  # those of them that share the staging areas: one runs at a time
        self._regions: dict[int, Region] = {}  # by the ids of the mapping and of the root array

    @classmethod
    def connect(
        cls, rank: int, size: int, store: Store, timeout_s: float, name: str = "world", prefix: str = "group"
    ) -> ShmGroup:
        """Meet the other ranks of this machine through ``store``, whose keys under ``prefix`` must be unused."""
        if size > MAX_RANKS:
            raise DistributedError(f"shared memory connects at most {MAX_RANKS} ranks, got {size}")
        if rank == 0:
            memory = Segment.create()
            _reserve_base(memory, size)
            memory.grow()
            store.set(f"{prefix}/segment", memory.path.encode())
        path = store.get(f"{prefix}/segment", ranks=[0]).decode()
        store.set(f"{prefix}/process/{rank}", json.dumps([os.getpid(), start_time(os.getpid())]).encode())
        peers = []
        for other in range(size):
            pid, started = json.loads(store.get(f"{prefix}/process/{other}", ranks=[other]))
            peers.append(Peer(other, pid, started))
        return cls(rank, peers, timeout_s, name, Segment.open(path))

    # What callers ask for, in terms of pipelines.

    def _all_reduce(self, flat: Array, reduction: Reduction, async_op: bool) -> Work:
        place = self._locate(flat)
        if flat.nbytes * (1 if place is None else _SMALL_IN_PLACE) <= self._slot_bytes:
            if async_op:
                return self._launch(self._reduce_small(flat, reduction), None, async_op)
            return self._reduce_small_now(flat, reduction)
        if place is None:
            return self._launch(self._reduce_staged(flat, reduction), None, async_op)
        return self._launch(self._reduce_in_place(*place, flat, reduction), place[0], async_op)

    def _broadcast(self, flat: Array, src: int, async_op: bool) -> Work:
        def receive(sources: list[Array], columns: slice) -> None:
            if self.rank != src:
                copy(bits[columns], sources[src])

        bits = as_bits(flat)
        return self._show(bits, receive, async_op, is_shown=self.rank == src)

    def _all_gather(self, rows: Array, flat: Array, async_op: bool) -> Work:
        def receive(sources: list[Array], columns: slice) -> None:
            for row, source in zip(bits, sources, strict=True):
                copy(row[columns], source)

        bits = as_bits(rows)
        return self._show(as_bits(flat), receive, async_op)

    def _reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, async_op: bool) -> Work:
        def receive(sources: list[Array], columns: slice) -> None:
            for low, high in _blocks(0, columns.stop - columns.start, flat.itemsize):
                reduction.reduce([source[self.rank, low:high] for source in sources], flat[columns][low:high])

        return self._show(rows, receive, async_op)

    def _barrier(self, async_op: bool) -> Work:
        return self._launch(self._pipeline(1, _nothing, _nothing), None, async_op)

    def progress(self) -> None:
        """Move outstanding operations on, in launch order, as far as possible without blocking."""
        if self._outstanding:
            for work in tuple(self._outstanding):
                work.advance()

    # How arrays travel.

    def _pipeline(self, count: int, *stages: Stage) -> Steps:
        """Run ``count`` chunks through the stages: chunk c is in stage k in round c + k; ranks meet between rounds.

        What stage 0 writes in round c is read in round c + 1 and overwritten in round c + 2, when all ranks have
        finished round c + 1: so two halves of each staging area are enough, and a round costs one meeting however
        many stages there are.
        """
        rounds = count + len(stages) - 1
        for this_round in range(rounds):
            if this_round:
                yield self._words, self._tick
            for lag in range(len(stages) - 1, -1, -1):
                if 0 <= this_round - lag < count:
                    stages[lag](this_round - lag)
            if this_round < rounds - 1:
                self._tick += 1
                self._room.post(self._words, self._tick)

    def _reduce_small(self, flat: Array, reduction: Reduction) -> Steps:
        slots = self._next_slots(flat)
        slots[self.rank][...] = flat
        yield from self._pipeline(1, _nothing, lambda _: reduction.reduce(slots, flat))

    def _reduce_small_now(self, flat: Array, reduction: Reduction) -> Work:
        # _reduce_small without a generator: at 1 KB Python's own time is most of the whole.
        if self._staged:
            self._finish_staged()
        slots = self._next_slots(flat)
        slots[self.rank][...] = flat
        self._tick = tick = self._tick + 1
        self._room.post(self._words, tick)
        self._wait_at(self._words, tick)
        reduction.reduce(slots, flat)
        return COMPLETED

    def _next_slots(self, flat: Array) -> list[Array]:
        self._half ^= 1
        return self._staging.slots(flat.dtype, flat.size)[self._half]

    def _reduce_staged(self, flat: Array, reduction: Reduction) -> Steps:
        """Stages: show the others their slices; reduce my slice and show it; take over the others' slices."""
        width = _CHUNK_BYTES // flat.itemsize
        count = -(-flat.size // width)
        first, me, ranks = self._chunks, self.rank, range(self.size)
        self._chunks += count
        bits = as_bits(flat)
        inputs, results = self._staging.inputs, self._staging.results(bits.dtype)

        def bounds(chunk: int) -> list[int]:
            return self._slice_bounds(min(width, flat.size - chunk * width), flat.itemsize)

        def show(chunk: int) -> None:
            start, cut, shown = chunk * width, bounds(chunk), inputs(bits.dtype)[first + chunk & 1][me]
            for low, high in ((0, cut[me]), (cut[me + 1], cut[-1])):
                if low < high:
                    copy(shown[low:high], bits[start + low : start + high])

        def reduce(chunk: int) -> None:
            start, cut = chunk * width, bounds(chunk)
            shown, result = inputs(flat.dtype)[first + chunk & 1], results[first + chunk & 1][me]
            for low, high in _blocks(cut[me], cut[me + 1], flat.itemsize):
                mine = flat[start + low : start + high]
                reduction.reduce([mine if rank == me else shown[rank][low:high] for rank in ranks], mine)
                copy(result[low - cut[me] : high - cut[me]], bits[start + low : start + high])

        def take(chunk: int) -> None:
            start, cut, reduced = chunk * width, bounds(chunk), results[first + chunk & 1]
            for rank in ranks:
                low, high = cut[rank], cut[rank + 1]
                if rank != me and low < high:
                    copy(bits[start + low : start + high], reduced[rank][: high - low])

        yield from self._pipeline(count, show, reduce, take)

    def _reduce_in_place(self, region: Region, offset: int, flat: Array, reduction: Reduction) -> Steps:
        blocks = region.blocks(offset, flat.size, flat.dtype, self._my_blocks)
        yield self._come_to(region)
        for views in blocks:
            mine = views[self.rank]
            reduction.reduce(views, mine)
            for view in views:
                if view is not mine:
                    view[...] = mine  # same offset in every page: memcpy is at its best
        yield self._come_to(region)

    def _show(self, array: Array, receive: Receiver, async_op: bool, is_shown: bool = True) -> Work:
        """Let every rank see all ranks' arrays (or only those of ranks that show theirs)."""
        place = self._locate(array)
        if place is None:
            return self._launch(self._show_staged(array, receive, is_shown), None, async_op)
        return self._launch(self._show_in_place(*place, array, receive), place[0], async_op)

    def _show_staged(self, array: Array, receive: Receiver, is_shown: bool) -> Steps:
        columns = array.shape[-1]
        rows = max(1, array.size // max(1, columns))
        width = max(1, _CHUNK_BYTES // array.itemsize // rows)
        count = max(1, -(-columns // width))
        first = self._chunks
        self._chunks += count
        staging = self._staging.inputs(array.dtype)

        def bounds(chunk: int) -> slice:
            return slice(chunk * width, min((chunk + 1) * width, columns))

        def windows(chunk: int) -> list[Array]:
            cut = bounds(chunk)
            shape = (*array.shape[:-1], cut.stop - cut.start)
            return [area[: rows * shape[-1]].reshape(shape) for area in staging[first + chunk & 1]]

        def show(chunk: int) -> None:
            if is_shown:
                copy(windows(chunk)[self.rank], array[..., bounds(chunk)])

        yield from self._pipeline(count, show, lambda chunk: receive(windows(chunk), bounds(chunk)))

    def _show_in_place(self, region: Region, offset: int, array: Array, receive: Receiver) -> Steps:
        views = [view.reshape(array.shape) for view in region.views(offset, array.size, array.dtype)]
        yield self._come_to(region)
        receive(views, slice(0, array.shape[-1]))
        yield self._come_to(region)  # only now may a rank write to its copy again

    def _come_to(self, region: Region) -> tuple[memoryview, int]:
        region.tick += 1
        self._room.post(region.words, region.tick)
        return region.words, region.tick

    def _my_blocks(self, length: int, itemsize: int) -> list[tuple[int, int]]:
        cut = self._slice_bounds(length, itemsize)
        return _blocks(cut[self.rank], cut[self.rank + 1], itemsize)

    def _slice_bounds(self, length: int, itemsize: int) -> list[int]:
        return block_bounds(length, self.size, _LINE // itemsize)

    # Launching and finishing. Buffers are independent of one another; what is staged runs in launch order.

    def _launch(self, steps: Steps, region: Region | None, async_op: bool) -> Work:
        if region is None:
            if self._staged and not async_op:
                self._finish_staged()
        elif (busy := self._work_on(region)) is not None:
            busy.wait()
        if not async_op:
            for words, tick in steps:
                self._wait_at(words, tick)
            return COMPLETED
        work = _ShmWork(self, steps, region)
        self._outstanding.append(work)
        if region is None:
            self._staged.append(work)
        work.advance()
        return work

    def _finish_staged(self) -> None:
        while self._staged:
            self._staged[0].wait()

    def _work_on(self, region: Region) -> _ShmWork | None:
        return next((work for work in self._outstanding if work.region is region), None)

    def _wait_at(self, words: memoryview, tick: int) -> None:
        """Wait within an operation that cannot be taken up again: if this fails, the group is of no more use."""
        try:
            self._room.wait(words, tick, self.timeout_s, (self.operation, self.sequence))
        except BaseException as error:
            self._closed_because = str(error) or f"{type(error).__name__} while it waited"
            raise

    def _move_on(self) -> bool:
        self.progress()
        return bool(self._outstanding)

    # Buffers.

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        length = Region.length(self.size, shape, dtype)
        offset = self._segment.reserve(length)
        if self.rank == 0:
            self._control.verdict[0] = length <= available_bytes() and self._segment.grow()
        self._barrier(async_op=False)
        if not self._control.verdict[0]:
            self._barrier(async_op=False)
            raise DistributedError(
                self.label(
                    f"a buffer of {shape} {dtype} on {self.size} ranks needs {length >> 20} MB of shared memory, and "
                    f"only {available_bytes() >> 20} MB are left on this machine (or to this container)"
                )
            )
        region = Region(self._segment.map(offset, length), self.rank, self.size, shape, dtype)
        region.populate()
        self._regions[id(region.mapping)] = self._regions[id(region.array)] = region
        self._barrier(async_op=False)
        return region.array

    def _free(self, array: Array) -> None:
        region = self._regions.get(id(array))
        if region is None or region.array is not array:
            raise DistributedError(self.label("free takes what allocate returned, once"))
        if (busy := self._work_on(region)) is not None:
            busy.wait()
        self._barrier(async_op=False)
        del self._regions[id(region.mapping)], self._regions[id(array)]
        region.discard()

    def _locate(self, array: Array) -> tuple[Region, int] | None:
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

    def _close(self) -> None:
        if os.getpid() == self._owner_pid:  # a forked child leaves nothing that its parent is in
            self._room.leave()
            self._segment.close()


class _ShmWork(Work):
    __slots__ = ("_group", "_label", "_steps", "_tick", "_words", "region")

    def __init__(self, group: ShmGroup, steps: Steps, region: Region | None) -> None:
        self.region = region
        self._group = group
        self._steps: Steps | None = steps
        self._words: memoryview | None = None  # the meeting that it waits for; None before it runs
        self._tick = 0
        self._label = (group.operation, group.sequence)

    def is_completed(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        """Do what can be done without waiting; whether the operation is finished."""
        if self._steps is None:
            return True
        if self.region is None and self._group._staged[0] is not self:
            return False
        try:
            while self._words is None or min(self._words.tolist()) >= self._tick:
                self._words, self._tick = next(self._steps)
        except StopIteration:
            self._steps = None
            self._group._outstanding.remove(self)
            if self.region is None:
                self._group._staged.popleft()
            return True
        return False

    def wait(self, timeout: float | None = None) -> bool:
        group = self._group
        timeout_s = group.timeout_s if timeout is None else timeout
        while not self.advance():
            if self._words is None:
                group._staged[0].wait(timeout)
                continue
            try:
                group._room.wait(self._words, self._tick, timeout_s, self._label)
            except (CollectiveTimeout, PeerFailed) as error:
                if timeout is None or isinstance(error, PeerFailed):
                    group._closed_because = str(error)
                raise
        return True


def _reserve_base(memory: Segment, size: int) -> tuple[int, int, int]:
    """What every group has in its segment: offset and length of it all, and the length of the control words."""
    control = round_up(Control.length(size), PAGE)
    length = control + Staging.length(size, _SMALL_BYTES // size, _CHUNK_BYTES)
    return memory.reserve(length), length, control


def _blocks(start: int, stop: int, itemsize: int) -> list[tuple[int, int]]:
    """``start:stop`` in pieces that stay in the L2 cache."""
    step = _BLOCK_BYTES // itemsize
    return [(low, min(low + step, stop)) for low in range(start, stop, step)]


def _nothing(chunk: int) -> None:
    """A stage that only meets."""
