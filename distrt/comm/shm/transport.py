"""Ranks as processes of one machine that share memory: collectives without messages.

Every collective is a *pipeline*: its array is cut into chunks, a chunk passes through stages, and between two
stages all ranks meet (`meeting`). `distrt.comm.progress` drives it.

Buffers from `allocate` lie in the segment: an all-reduce sums each rank's slice of all copies and writes the
result to all copies (`buffers`). Other arrays pass through staging areas there (`staged`), and messages between two
ranks through rings (`mailbox`). `benchmarks/all_reduce.py` measures both kinds of arrays.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from distrt.comm.calls import place_fingerprint
from distrt.comm.looking import Look
from distrt.comm.presence import View, here, is_stopped, start_time, state_text
from distrt.comm.progress import Operation, Steps
from distrt.comm.reduction import Array, Reduction, as_bits, copy
from distrt.comm.shm.buffers import Buffers
from distrt.comm.shm.mailbox import BOX_BYTES, Mailroom
from distrt.comm.shm.meeting import MAX_RANKS, Control, MeetingRoom
from distrt.comm.shm.one_copy import OneCopies
from distrt.comm.shm.peers import Peer
from distrt.comm.shm.region import Staging
from distrt.comm.shm.segment import PAGE, Segment, round_up
from distrt.comm.shm.staged import CHUNK_BYTES, Receiver, Staged
from distrt.comm.solo import SoloTransport
from distrt.comm.status import Status, StatusPage
from distrt.comm.transport import AtOnce, Transport
from distrt.core.errors import DistributedError

__all__ = ["ShmTransport", "Store"]

_SMALL_BYTES = 1024 * 1024  # over all ranks: up to here each reduces everything itself, after one meeting
_SMALL_IN_PLACE = 8  # a buffer, which needs no copies, is reduced in place from this part of that on
_LONG_BYTES = 128 * 1024  # from here on an operation is worth waking the helper thread
_HEAD_START_S = 0.01  # many backward passes take less, and move operations on with each gradient
_STAGED = "staged"  # the queue of the operations that share the staging areas


class Store(Protocol):
    """What a group needs of the job's key-value store."""

    def set(self, key: str, value: bytes) -> None: ...  # noqa: D102

    def get(self, key: str, *, ranks: Iterable[int] = ()) -> bytes: ...  # noqa: D102

    def add(self, key: str, amount: int) -> int: ...  # noqa: D102


class ShmTransport(Transport):
    """The processes of one machine. `connect` makes one."""

    kind = "shm"

    def __init__(
        self, rank: int, peers: list[Peer], members: Sequence[int], memory: Segment, store: Store, prefix: str
    ) -> None:
        super().__init__(rank, len(peers))
        self._members = tuple(members)
        self._store, self._prefix = store, prefix
        self.identity = prefix
        self._owner_pid = os.getpid()
        self._segment = memory
        self._slot_bytes = _SMALL_BYTES // self.size
        base = _Base.reserve(memory, self.size)
        mapping = memory.map(base.offset, base.length)
        self._boxes = base.boxes
        self._room = MeetingRoom(rank, peers, Control(mapping, self.size))
        areas = Staging(mapping, self.size, self._slot_bytes, CHUNK_BYTES, base.control_length)
        self._staged = Staged(self._room, areas)
        self._buffers = Buffers(self._room, memory, self._staged.barrier)
        self._ones = OneCopies(self._staged, rank)
        self._mail = Mailroom(self._room, self._open_box)
        presence = here(members[rank])
        presence.on_failure.add(self)
        self._page = presence.page

    @classmethod
    def connect(cls, rank: int, members: Sequence[int], store: Store, prefix: str) -> ShmTransport:
        """Meet the other ranks of this machine through ``store``, whose keys under ``prefix`` must be unused.

        Args:
            rank: this process's place among ``members``.
            members: the job's ranks that meet, in the group's order.
            store: where they find one another.
            prefix: what the keys begin with.
        """
        size = len(members)
        if size > MAX_RANKS:
            raise DistributedError(f"shared memory connects at most {MAX_RANKS} ranks, got {size}")
        if rank == 0:
            memory = Segment.create()
            _Base.reserve(memory, size)
            memory.grow()
            store.set(f"{prefix}/segment", memory.path.encode())
        path = store.get(f"{prefix}/segment", ranks=[members[0]]).decode()
        shown = [os.getpid(), start_time(os.getpid()), here(members[rank]).paths]
        store.set(f"{prefix}/process/{rank}", json.dumps(shown).encode())
        peers = []
        for other in range(size):
            pid, started, paths = json.loads(store.get(f"{prefix}/process/{other}", ranks=[members[other]]))
            peers.append(Peer(other, pid, started, View(pid, started, paths if other != rank else None)))
        return cls(rank, peers, members, Segment.open(path), store, prefix)

    @property
    def page(self) -> StatusPage:
        """This process's."""
        return self._page

    def peek(self, rank: int) -> Status | None:
        """From its status page."""
        if rank == self.rank:
            return self._page.read()
        return self._room.peers[rank].view.status()

    def plight(self, rank: int) -> str:
        """From the kernel."""
        return state_text(self._room.peers[rank].pid)

    def is_silent(self, rank: int) -> bool:
        """A stopped process is."""
        return is_stopped(self._room.peers[rank].pid)

    def stacks(self, rank: int, patience_s: float) -> str:
        """By a signal."""
        return self._room.peers[rank].view.stacks(patience_s)

    def gone(self, ranks: Sequence[int]) -> str | None:
        """As the segment and the processes say."""
        return self._room.gone(ranks)

    def fail(self) -> None:
        """Tell the others that this rank's program ends with an error."""
        self._room.leave()

    @property
    def look(self) -> Look:
        """It depends on whether every rank has a core."""
        return Look.SPIN if self.size <= len(os.sched_getaffinity(0)) else Look.YIELD

    @property
    def head_start_s(self) -> float:
        """None where there is a core for each helper, too."""
        return 0.0 if 2 * self.size <= len(os.sched_getaffinity(0)) else _HEAD_START_S

    def subgroup(self, ranks: Sequence[int], name: str, timeout_s: float) -> Transport:
        """Some of the ranks, in a segment of their own."""
        if len(ranks) == 1:
            return SoloTransport()
        members = [self._members[rank] for rank in ranks]
        return ShmTransport.connect(
            list(ranks).index(self.rank), members, self._store, f"{self._prefix}/{name}"
        )

    # Reductions.

    def all_reduce(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """Small: everyone reduces everything. Large: everyone a slice, in place if it lies in the segment."""
        return self._reduce(flat, reduction, fingerprint, None)

    def reduce(self, flat: Array, dst: int, reduction: Reduction, fingerprint: int) -> Operation:
        """As `all_reduce`, but that one rank alone takes the result."""
        return self._reduce(flat, reduction, fingerprint, dst)

    def _reduce(self, flat: Array, reduction: Reduction, fingerprint: int, dst: int | None) -> Operation:
        place = self._buffers.locate(flat)
        is_long = flat.nbytes >= _LONG_BYTES
        if place is None:
            if flat.nbytes <= self._slot_bytes:
                return Operation(self._staged.reduce_small(flat, reduction, fingerprint, dst), _STAGED)
            return Operation(self._staged.reduce(flat, reduction, fingerprint, dst), _STAGED, is_long)
        region, offset = place
        if flat.nbytes * _SMALL_IN_PLACE <= self._slot_bytes:
            small = self._staged.reduce_small(flat, reduction, fingerprint, dst)
            return Operation(region.in_turn(small), _STAGED)
        where = region.place(offset)
        fingerprint = place_fingerprint(fingerprint, where)
        steps = self._buffers.reduce(region, offset, flat, reduction, fingerprint, dst)
        return Operation(region.in_turn(steps), region, is_long, where)

    def prepare_all_reduce(
        self, dtype: np.dtype[Any], count: int, reduction: Reduction, fingerprint: int
    ) -> AtOnce | None:
        """For arrays that fit into a slot, when nothing is outstanding."""
        nbytes = count * dtype.itemsize
        if nbytes > self._slot_bytes:
            return None
        run = self._staged.prepare(dtype, count, reduction, fingerprint).run
        is_tiny, locate = nbytes * _SMALL_IN_PLACE <= self._slot_bytes, self._buffers.locate
        return AtOnce(run, None if is_tiny else lambda flat: locate(flat) is not None)

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """Everyone sees the others' rows, and reduces its own."""
        return self._reduce_scatter(flat, rows, reduction, fingerprint, meets_after=True)

    def reduce_rows(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """Without the second meeting."""
        return self._reduce_scatter(flat, rows, reduction, fingerprint, meets_after=False)

    def _reduce_scatter(
        self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int, meets_after: bool
    ) -> Operation:
        place = self._buffers.locate(rows)
        if place is not None:
            region, offset = place
            where = region.place(offset)
            fingerprint = place_fingerprint(fingerprint, where)
            steps = self._buffers.reduce_scatter(region, offset, flat, reduction, fingerprint, meets_after)
            return Operation(region.in_turn(steps), region, rows.nbytes >= _LONG_BYTES, where)

        def reduce(sources: list[Array], low: int, high: int) -> None:
            reduction.reduce([source[self.rank] for source in sources], flat[low:high])

        return self._show(rows, reduce, fingerprint)

    # Arrays that only travel.

    def broadcast(self, flat: Array, src: int, fingerprint: int) -> Operation:
        """One rank shows its array, the others take it."""
        bits = as_bits(flat)

        def take(sources: list[Array], low: int, high: int) -> None:
            if self.rank != src:
                copy(bits[low:high], sources[src][0])

        return self._show(bits.reshape(1, -1), take, fingerprint, is_shown=self.rank == src)

    def all_gather(self, outputs: Sequence[Array], flat: Array, fingerprint: int) -> Operation:
        """Everyone shows its array, and takes all."""
        longest = max(each.size for each in outputs)
        is_even = all(each.size == longest for each in outputs)
        return self._gather(
            [as_bits(each) for each in outputs], flat, fingerprint, None if is_even else longest
        )

    def gather(self, outputs: Sequence[Array] | None, flat: Array, dst: int, fingerprint: int) -> Operation:
        """Everyone shows its array, and one rank takes all."""
        return self._gather([as_bits(each) for each in outputs or ()], flat, fingerprint)

    def _gather(
        self, targets: list[Array], flat: Array, fingerprint: int, longest: int | None = None
    ) -> Operation:
        bits = as_bits(flat)

        def take(sources: list[Array], low: int, high: int) -> None:
            for target, source in zip(targets, sources, strict=False):  # no targets where nothing is gathered
                part = target[low:high]
                copy(part, source[0, : part.size])

        return self._show(bits.reshape(1, -1), take, fingerprint, longest)

    def scatter(self, flat: Array, inputs: Sequence[Array] | None, src: int, fingerprint: int) -> Operation:
        """One rank shows all parts, and each takes its own."""
        bits = as_bits(flat)
        shown = None if inputs is None else as_bits(np.stack(inputs))

        def take(sources: list[Array], low: int, high: int) -> None:
            copy(bits[low:high], sources[src][self.rank])

        steps = self._staged.show(shown, (self.size, bits.size), bits.dtype, take, fingerprint)
        return Operation(steps, _STAGED, self.size * flat.nbytes >= _LONG_BYTES)

    def _show(
        self,
        mine: Array,
        receive: Receiver,
        fingerprint: int,
        longest: int | None = None,
        is_shown: bool = True,
    ) -> Operation:
        """Let every rank see all ranks' arrays: in place where they are buffers, else through the staging areas.

        Args:
            mine: this rank's, (rows, columns).
            receive: gets them, window by window.
            fingerprint: of the call.
            longest: the most columns of any rank, where not all have as many.
            is_shown: false on a rank whose array nobody reads.
        """
        place = self._buffers.locate(mine) if longest is None else None
        rows, columns = mine.shape[0], mine.shape[1] if longest is None else longest
        is_long = rows * columns * mine.itemsize >= _LONG_BYTES
        if place is None:
            shown = mine if is_shown else None
            steps = self._staged.show(shown, (rows, columns), mine.dtype, receive, fingerprint)
            return Operation(steps, _STAGED, is_long)
        region, offset = place
        where = region.place(offset)
        steps = self._buffers.show(region, offset, mine, receive, place_fingerprint(fingerprint, where))
        return Operation(region.in_turn(steps), region, is_long, where)

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], fingerprint: int) -> Operation:
        """The lengths first, then the bytes."""
        is_long = sum(each.nbytes for each in (*inputs, *outputs)) >= _LONG_BYTES
        return Operation(self._staged.exchange(outputs, inputs, fingerprint), _STAGED, is_long)

    def barrier(self, fingerprint: int) -> Operation:
        """One meeting."""
        return Operation(self._staged.barrier(fingerprint), _STAGED)

    # Messages.

    def send(self, flat: Array, dst: int, tag: int) -> Operation:
        """Through the ring to ``dst``, after what was sent there before."""
        return Operation(self._mail.send(flat, dst, tag), ("send", dst), flat.nbytes >= _LONG_BYTES)

    def recv(self, flat: Array, src: int | None, tag: int) -> Operation:
        """From the ring of ``src``, or from any."""
        steps = self._mail.recv(flat, src, tag)
        return Operation(steps, steps, flat.nbytes >= _LONG_BYTES)

    def _open_box(self, source: int, target: int) -> mmap.mmap:
        return self._segment.map(self._boxes + (source * self.size + target) * BOX_BYTES, BOX_BYTES)

    # Memory.

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """A buffer in the segment."""
        return Operation(self._buffers.allocate(shape, dtype, fingerprint), _STAGED)

    def allocate_one(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """A file of its own, without a name, which all have mapped."""
        return Operation(self._ones.allocate(shape, dtype, fingerprint), _STAGED)

    @property
    def ends_together(self) -> bool:
        """The last meeting says that buffers may be written to again."""
        return True

    def free(self, array: Array, fingerprint: int) -> Operation:
        """Give the memory of a buffer back."""
        region = self._buffers.root(array)
        if region is None:
            return Operation(_refuse("free takes what allocate returned, once"), _STAGED)
        return Operation(region.in_turn(self._buffers.free(region, fingerprint)), _STAGED)

    def renew(self, array: Array) -> Array:
        """The same memory of the segment at another address; at the old one, a copy."""
        if (one := self._ones.renew(array)) is not None:
            return one
        region = self._buffers.root(array)
        if region is None:
            raise DistributedError("renew takes what allocate or renew returned")
        return self._buffers.renew(region)

    def close(self) -> None:
        """Say that this rank leaves."""
        if os.getpid() == self._owner_pid:  # a forked child leaves nothing that its parent is in
            self._room.leave()
            self._segment.close()


class _Base(NamedTuple):
    """What every group has in its segment, in bytes: the control words and the staging areas, and the rings."""

    offset: int
    length: int
    control_length: int
    boxes: int

    @classmethod
    def reserve(cls, memory: Segment, size: int) -> _Base:
        control = round_up(Control.length(size), PAGE)
        length = control + Staging.length(size, _SMALL_BYTES // size, CHUNK_BYTES)
        # The rings are address space until two ranks write to one another.
        return cls(memory.reserve(length), length, control, memory.reserve(size * size * BOX_BYTES))


def _refuse(text: str) -> Steps:
    return DistributedError(text)
    yield
