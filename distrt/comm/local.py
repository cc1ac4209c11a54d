"""Ranks as threads of one process: the reference that other transports are compared with, and a test's quick world.

Every collective is the same three steps: each rank deposits a copy of its array, waits until all have, and
computes its result from everyone's deposits.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from distrt.comm.process_group import ProcessGroup, Work, name_ranks
from distrt.comm.reduction import Array, Reduction
from distrt.core.errors import CollectiveTimeout, DistributedError, PeerFailed

__all__ = ["LocalGroup", "is_local_rank", "run_local"]

#: True in the threads of `run_local`, each of which may have a default group of its own.
is_local_rank: contextvars.ContextVar[bool] = contextvars.ContextVar("is_local_rank", default=False)

T = TypeVar("T")


def run_local(fn: Callable[[ProcessGroup], T], world_size: int, timeout_s: float = 60.0) -> list[T]:
    """Run ``fn(group)`` in ``world_size`` threads, and return their results in rank order.

    Raises:
        BaseException: the first that any thread raised; the others are woken from their collectives at once.
    """
    room = _Room(world_size)
    results: list[Any] = [None] * world_size

    def run(rank: int) -> None:
        group = LocalGroup(room, rank, timeout_s)
        is_local_rank.set(True)
        try:
            results[rank] = fn(group)
        except BaseException as error:
            room.leave(rank, error)
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


class LocalGroup(ProcessGroup):
    """One thread's rank in a `_Room`."""

    backend = "local"

    def __init__(self, room: _Room, rank: int, timeout_s: float, name: str = "local") -> None:
        super().__init__(rank, room.size, timeout_s, name)
        self._room = room
        self._meeting = 0

    def _all_reduce(self, flat: Array, reduction: Reduction, async_op: bool) -> Work:
        return self._meet(flat, lambda deposits: reduction.reduce(deposits, flat), async_op)

    def _broadcast(self, flat: Array, src: int, async_op: bool) -> Work:
        return self._meet(flat, lambda deposits: _copy_all([(flat, deposits[src])]), async_op)

    def _all_gather(self, rows: Array, flat: Array, async_op: bool) -> Work:
        return self._meet(flat, lambda deposits: _copy_all(zip(rows, deposits, strict=True)), async_op)

    def _reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, async_op: bool) -> Work:
        return self._meet(
            rows,
            lambda deposits: reduction.reduce([deposit[self.rank] for deposit in deposits], flat),
            async_op,
        )

    def _barrier(self, async_op: bool) -> Work:
        return self._meet(np.empty(0), lambda deposits: None, async_op)

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.zeros(shape, dtype)

    def _free(self, array: Array) -> None:
        pass

    def _close(self) -> None:
        self._room.leave(self.rank, None)

    def _meet(self, array: Array, compute: Callable[[list[Array]], None], async_op: bool) -> Work:
        self._meeting += 1
        self._room.deposit(self.rank, self._meeting, array.copy())
        work = _LocalWork(self, self._room, self._meeting, compute)
        if not async_op:
            work.wait()
        return work


class _LocalWork(Work):
    __slots__ = ("_compute", "_group", "_label", "_meeting", "_room")

    def __init__(
        self, group: LocalGroup, room: _Room, meeting: int, compute: Callable[[list[Array]], None]
    ) -> None:
        self._group, self._room, self._meeting = group, room, meeting
        self._compute: Callable[[list[Array]], None] | None = compute
        self._label = (group.operation, group.sequence)

    def is_completed(self) -> bool:
        return self._compute is None or (self._room.is_complete(self._meeting) and self.wait())

    def wait(self, timeout: float | None = None) -> bool:
        if self._compute is None:
            return True
        waited_s = self._group.timeout_s if timeout is None else timeout
        missing, failed = self._room.wait(self._meeting, waited_s)
        if failed is not None:
            what = self._group.label(
                f"{name_ranks([failed])} failed or left; the call needs it", *self._label
            )
            raise PeerFailed(what) from self._room.first_error
        if missing:
            what = self._group.label(f"waited {waited_s:g} s for {name_ranks(missing)}", *self._label)
            raise CollectiveTimeout(what)
        self._compute(self._room.take(self._meeting))
        self._compute = None
        return True


class _Room:
    """What the ranks of one process share."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise DistributedError(f"world_size must be at least 1, got {size}")
        self.size = size
        self.first_error: BaseException | None = None
        self._changed = threading.Condition()
        self._arrived = [0] * size  # the last meeting that each rank has come to
        self._left: list[int] = []  # ranks, in the order of their leaving
        self._deposits: dict[int, dict[int, Array]] = {}  # meeting -> rank -> copy
        self._takers: dict[int, int] = {}

    def deposit(self, rank: int, meeting: int, array: Array) -> None:
        with self._changed:
            self._deposits.setdefault(meeting, {})[rank] = array
            self._arrived[rank] = meeting
            self._changed.notify_all()

    def take(self, meeting: int) -> list[Array]:
        """All ranks' deposits; forgotten when the last rank has taken them."""
        with self._changed:
            deposits = self._deposits[meeting]
            self._takers[meeting] = self._takers.get(meeting, 0) + 1
            if self._takers[meeting] == self.size:
                del self._takers[meeting], self._deposits[meeting]
            return [deposits[rank] for rank in range(self.size)]

    def leave(self, rank: int, error: BaseException | None) -> None:
        with self._changed:
            if self.first_error is None and error is not None:
                self.first_error = error
            if rank not in self._left:
                self._left.append(rank)
            self._changed.notify_all()

    def is_complete(self, meeting: int) -> bool:
        return min(self._arrived) >= meeting

    def wait(self, meeting: int, timeout_s: float) -> tuple[list[int], int | None]:
        """Wait for a meeting: the ranks that did not come, and the first of those that never will."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                missing = [rank for rank, last in enumerate(self._arrived) if last < meeting]
                gone = [rank for rank in self._left if rank in missing]
                remaining = deadline - time.monotonic()
                if not missing or gone or remaining <= 0:
                    return missing, (gone[0] if gone else None)
                self._changed.wait(remaining)


def _copy_all(pairs: Any) -> None:
    for target, source in pairs:
        target[...] = source
