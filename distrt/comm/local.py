"""Ranks as threads of one process: the reference that other transports are compared with, and a test's quick world.

Every collective is the same three steps: each rank deposits copies of its arrays, waits until all have, and
computes its result from everyone's deposits.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.comm.progress import Operation, Steps, Wait, name_ranks
from distrt.comm.reduction import Array, Reduction
from distrt.comm.status import Status, StatusPage
from distrt.comm.transport import Transport, misfit, require_fitting_lengths
from distrt.core.errors import DistributedError, ShapeError

__all__ = ["LocalTransport", "is_local_rank", "run_local"]

#: True in the threads of `run_local`, each of which may have a default group of its own.
is_local_rank: contextvars.ContextVar[bool] = contextvars.ContextVar("is_local_rank", default=False)

T = TypeVar("T")

_MEETINGS = "meetings"  # the queue of collectives

Compute = Callable[[list[Sequence[Array]]], Any]  # gets all ranks' deposits


def run_local(fn: Callable[[ProcessGroup], T], world_size: int, timeout_s: float = 60.0) -> list[T]:
    """Run ``fn(group)`` in ``world_size`` threads, and return their results in rank order.

    Raises:
        BaseException: the first that any thread raised; the others are woken from their collectives at once.
    """
    room = _Room(world_size)
    results: list[Any] = [None] * world_size

    def run(rank: int) -> None:
        group = ProcessGroup(LocalTransport(room, rank), timeout_s, "local")
        is_local_rank.set(True)
        try:
            results[rank] = fn(group)
        except BaseException as error:
            room.fail(rank, error)
        finally:
            group.close()

    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(run, rank), name=f"rank {rank}")
        for rank in range(world_size)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if room.first_error is not None:
        raise room.first_error
    return results


class LocalTransport(Transport):
    """One thread's rank in a `_Room`."""

    kind = "local"

    def __init__(self, room: _Room, rank: int) -> None:
        super().__init__(rank, room.size)
        self._room = room
        self._meeting = 0

    @property
    def page(self) -> StatusPage:
        """This thread's."""
        return self._room.pages[self.rank]

    def peek(self, rank: int) -> Status | None:
        """From its page."""
        return self._room.pages[rank].read()

    def gone(self, ranks: Sequence[int]) -> str | None:
        """As the room says."""
        left = [rank for rank in ranks if rank in self._room.left]
        return f"{name_ranks(left)} failed or left" if left else None

    def stacks(self, rank: int, patience_s: float) -> str:
        """All ranks are threads of this process."""
        return f"(see {name_ranks([self.rank])}: one process)"

    def all_reduce(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """From everyone's copies."""
        return self._meet(
            fingerprint, [flat], lambda given: reduction.reduce([each[0] for each in given], flat)
        )

    def reduce(self, flat: Array, dst: int, reduction: Reduction, fingerprint: int) -> Operation:
        """From everyone's copies, on one rank."""

        def compute(given: list[Sequence[Array]]) -> None:
            if self.rank == dst:
                reduction.reduce([each[0] for each in given], flat)

        return self._meet(fingerprint, [flat], compute)

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """From everyone's rows."""
        return self._meet(
            fingerprint, [rows], lambda given: reduction.reduce([each[0][self.rank] for each in given], flat)
        )

    def broadcast(self, flat: Array, src: int, fingerprint: int) -> Operation:
        """From one rank's copy."""
        mine = [flat] if self.rank == src else []
        return self._meet(fingerprint, mine, lambda given: _copy(flat, given[src][0]))

    def all_gather(self, outputs: Sequence[Array], flat: Array, fingerprint: int) -> Operation:
        """From everyone's copies."""
        return self.gather(outputs, flat, self.rank, fingerprint)

    def gather(self, outputs: Sequence[Array] | None, flat: Array, dst: int, fingerprint: int) -> Operation:
        """From everyone's copies, on one rank."""

        def compute(given: list[Sequence[Array]]) -> None:
            for output, each in zip(outputs or (), given, strict=False):
                _copy(output, each[0])

        return self._meet(fingerprint, [flat], compute)

    def scatter(self, flat: Array, inputs: Sequence[Array] | None, src: int, fingerprint: int) -> Operation:
        """From one rank's copies."""
        return self._meet(fingerprint, inputs or [], lambda given: _copy(flat, given[src][self.rank]))

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], fingerprint: int) -> Operation:
        """From everyone's copies, if the lengths fit."""

        def compute(given: list[Sequence[Array]]) -> Exception | None:
            sizes = np.array([[part.nbytes for part in each] for each in given])
            sent, expected = sizes[:, : self.size], sizes[:, self.size :]
            if (fault := require_fitting_lengths(sent, expected)) is not None:
                return ShapeError(fault)
            for output, each in zip(outputs, given, strict=True):
                _copy(output, each[self.rank])
            return None

        return self._meet(fingerprint, [*inputs, *outputs], compute)

    def barrier(self, fingerprint: int) -> Operation:
        """A meeting."""
        return self._meet(fingerprint, [], lambda given: None)

    def send(self, flat: Array, dst: int, tag: int) -> Operation:
        """A copy in the room."""

        def steps() -> Steps:
            self._room.post(self.rank, dst, tag, flat.copy())
            return
            yield

        return Operation(steps(), ("send", dst))

    def recv(self, flat: Array, src: int | None, tag: int) -> Operation:
        """The first copy in the room that is for this rank."""

        def steps() -> Steps:
            sources = [src] if src is not None else [r for r in range(self.size) if r != self.rank]
            yield _Message(self._room, self.rank, sources, tag)
            source, array = self._room.fetch(self.rank, sources, tag)
            if (fault := misfit(source, array.nbytes, array.dtype.name, flat)) is not None:
                return ShapeError(fault)
            _copy(flat, array)
            return source

        return Operation(steps(), ("recv", src, tag))

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """An ordinary array."""
        return self._meet(fingerprint, [], lambda given: np.zeros(shape, dtype))

    def allocate_one(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """An ordinary array, which the threads have in common."""

        def steps() -> Steps:
            self._meeting += 1
            meeting = self._meeting
            mine = [np.zeros(shape, dtype)] if self.rank == 0 else []
            self._room.deposit(self.rank, meeting, fingerprint, mine)
            yield _Deposits(self._room, meeting, fingerprint)
            return self._room.take(meeting)[0][0]

        return Operation(steps(), _MEETINGS)

    def free(self, array: Array, fingerprint: int) -> Operation:
        """Nothing to do but to meet."""
        return self.barrier(fingerprint)

    def subgroup(self, ranks: Sequence[int], name: str, timeout_s: float) -> Transport:
        """Some of the threads."""
        return LocalTransport(self._room.sub(name, len(ranks)), list(ranks).index(self.rank))

    def close(self) -> None:
        """Tell the others."""
        self._room.leave(self.rank)

    def _meet(self, fingerprint: int, arrays: Sequence[Array], compute: Compute) -> Operation:
        def steps() -> Steps:
            self._meeting += 1
            meeting = self._meeting
            self._room.deposit(self.rank, meeting, fingerprint, [array.copy() for array in arrays])
            yield _Deposits(self._room, meeting, fingerprint)
            return compute(self._room.take(meeting))

        return Operation(steps(), _MEETINGS, is_long=sum(each.nbytes for each in arrays) >= 128 * 1024)


class _Room:
    """What the ranks of one process share."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise DistributedError(f"world_size must be at least 1, got {size}")
        self.size = size
        self.changed = threading.Condition()
        self.pages = [StatusPage(rank) for rank in range(size)]
        self.first_error: BaseException | None = None
        self.arrived = [(0, 0)] * size  # the last meeting that each rank has come to, and what for
        self.left: list[int] = []  # ranks, in the order of their leaving
        self._deposits: dict[int, dict[int, Sequence[Array]]] = {}  # meeting -> rank -> copies
        self._takers: dict[int, int] = {}
        self._messages: list[tuple[int, int, int, Array]] = []  # source, target, tag, copy
        self._subrooms: dict[str, _Room] = {}
        self._visitors = 0

    def deposit(self, rank: int, meeting: int, fingerprint: int, arrays: Sequence[Array]) -> None:
        with self.changed:
            self._deposits.setdefault(meeting, {})[rank] = arrays
            self.arrived[rank] = meeting, fingerprint
            self.changed.notify_all()

    def take(self, meeting: int) -> list[Sequence[Array]]:
        """All ranks' deposits; forgotten when the last rank has taken them."""
        with self.changed:
            deposits = self._deposits[meeting]
            self._takers[meeting] = self._takers.get(meeting, 0) + 1
            if self._takers[meeting] == self.size:
                del self._takers[meeting], self._deposits[meeting]
            return [deposits[rank] for rank in range(self.size)]

    def post(self, source: int, target: int, tag: int, array: Array) -> None:
        with self.changed:
            self._messages.append((source, target, tag, array))
            self.changed.notify_all()

    def find(self, target: int, sources: list[int], tag: int) -> int | None:
        for place, (source, to, with_tag, _) in enumerate(self._messages):
            if to == target and with_tag == tag and source in sources:
                return place
        return None

    def fetch(self, target: int, sources: list[int], tag: int) -> tuple[int, Array]:
        with self.changed:
            place = self.find(target, sources, tag)
            assert place is not None, "fetch comes after a wait for the message"
            source, _, _, array = self._messages.pop(place)
            return source, array

    def fail(self, rank: int, error: BaseException) -> None:
        with self.changed:
            if self.first_error is None:
                self.first_error = error
        self.leave(rank)

    def leave(self, rank: int) -> None:
        with self.changed:
            if rank not in self.left:
                self.left.append(rank)
            self.changed.notify_all()

    def sub(self, name: str, size: int) -> _Room:
        """The room of a subgroup; the same one for every rank that asks with that name, until all have."""
        with self.changed:
            room = self._subrooms.setdefault(name, _Room(size))
            room._visitors += 1
            if room._visitors == size:
                del self._subrooms[name]
            return room


class _InRoom(Wait):
    __slots__ = ("_room",)

    def __init__(self, room: _Room) -> None:
        self._room = room

    def sleep(self, seconds: float, sleeper: int) -> None:
        with self._room.changed:
            deadline = time.monotonic() + seconds
            while not self.is_over() and self.lost() is None:
                if (remaining := deadline - time.monotonic()) <= 0:
                    return
                self._room.changed.wait(remaining)

    def lost(self) -> str | None:
        left, missing = self._room.left, self.missing()
        gone = [rank for rank in left if rank in missing]
        return f"{name_ranks(gone[:1])} failed or left; the call needs it" if gone else None


class _Deposits(_InRoom):
    """Waiting for all ranks to come to a meeting for the same call."""

    __slots__ = ("_fingerprint", "_meeting")

    def __init__(self, room: _Room, meeting: int, fingerprint: int) -> None:
        super().__init__(room)
        self._meeting, self._fingerprint = meeting, fingerprint

    def is_over(self) -> bool:
        return not self.missing()

    def missing(self) -> list[int]:
        mine = self._meeting, self._fingerprint
        return [
            rank
            for rank, theirs in enumerate(self._room.arrived)
            if theirs != mine and theirs[0] <= self._meeting
        ]

    def at_odds(self) -> list[int]:
        return [rank for rank in self.missing() if self._room.arrived[rank][0] == self._meeting]


class _Message(_InRoom):
    """Waiting for a message."""

    __slots__ = ("_sources", "_tag", "_target")

    def __init__(self, room: _Room, target: int, sources: list[int], tag: int) -> None:
        super().__init__(room)
        self._target, self._sources, self._tag = target, sources, tag

    def is_over(self) -> bool:
        with self._room.changed:
            return self._room.find(self._target, self._sources, self._tag) is not None

    def missing(self) -> list[int]:
        return self._sources

    def lost(self) -> str | None:
        if len(self._sources) > 1 and len(self._room.left) < len(self._sources):
            return None  # somebody can still send
        return None if self.is_over() else super().lost()


def _copy(target: Array, source: Array) -> None:
    target[...] = source
