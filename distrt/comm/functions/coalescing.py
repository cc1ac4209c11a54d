"""Many collectives in one go: what PyTorch calls coalescing.

Small tensors of one dtype travel together in one array, since ranks that meet once wait once; a large one gains nothing
by being copied, and goes alone. The elements of a reduction are combined in the same order either way.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from distrt.comm.functions.membership import resolve
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import AnyOp, Array, ReduceOp
from distrt.comm.work import Work, seconds_of

__all__ = [
    "ILLEGAL",
    "Call",
    "CoalescingManager",
    "Joined",
    "coalescing_manager",
    "is_open",
    "launch",
    "postpone",
    "then",
]

_PACKED_BYTES = 64 * 1024  # a larger array goes alone
_PACK_BYTES = 4 * 1024 * 1024  # bounds the memory that a pack takes


class Call(NamedTuple):
    """One collective on checked arrays.

    ``function`` is ``all_reduce``, which changes ``array``; or ``all_gather_single``, which fills ``outputs``, one a
    rank; or ``reduce_scatter_single``, which fills ``outputs[0]`` from ``array`` of shape (size, *outputs[0].shape).
    """

    function: Callable[..., Any]
    array: Array
    outputs: Sequence[Array] = ()
    op: AnyOp = ReduceOp.SUM

    @property
    def name(self) -> str:
        """The function's."""
        return self.function.__name__


#: What was called between the beginning and the end of a `coalescing_manager`, by group.
_open: ContextVar[dict[ProcessGroup, list[Call]] | None] = ContextVar("coalescing", default=None)


def is_open(group: ProcessGroup) -> bool:
    """Whether calls on this group are being collected."""
    groups = _open.get()
    return groups is not None and group in groups


def postpone(group: ProcessGroup, call: Call, async_op: bool) -> Work | None:
    """Collect a call; what it returns."""
    groups = _open.get()
    assert groups is not None, "callers ask is_open first"
    groups[group].append(call)
    return ILLEGAL if async_op else None


class CoalescingManager:
    """What ``with _coalescing_manager(async_ops=True) as manager`` gives: `wait` waits for all that was called."""

    def __init__(self) -> None:
        self.works: list[Work] = []

    def append(self, work: Work | None = None) -> None:
        """Wait for this one, too."""
        if work is not None:
            self.works.append(work)

    def wait(self) -> None:
        """Return when everything has ended."""
        for work in self.works:
            work.wait()


@contextlib.contextmanager
def coalescing_manager(
    group: ProcessGroup | None = None, device: Any = None, async_ops: bool = False
) -> Iterator[CoalescingManager]:
    """Collects `all_reduce`, `all_gather_single` or `reduce_scatter_single` calls, and does them together at its end.

    Until then their tensors are as they were, and the works of ``async_op=True`` are of no use. An exception in the
    block drops what was collected.

    Args:
        group: the ranks; all of them where None.
        device: says nothing without GPUs.
        async_ops: launch them only; ``manager.wait()`` waits.

    Raises:
        RuntimeError: for calls of several functions.
        ValueError: inside another such block of the same group.
    """
    manager = CoalescingManager()
    chosen = resolve(group, "_coalescing_manager")
    if chosen is None:
        yield manager
        return
    if is_open(chosen):
        raise ValueError("ProcessGroup has non-empty op list at the start of coalescing")
    calls: list[Call] = []
    token = _open.set({**(_open.get() or {}), chosen: calls})
    try:
        yield manager
    finally:
        _open.reset(token)
    if not calls:
        return
    if len({call.name for call in calls}) > 1:
        raise RuntimeError(
            "Coalescing manager requires all collectives to be the same type, "
            f"but got mixed types: { {call.name for call in calls} }"
        )
    manager.append(launch(chosen, calls))
    if not async_ops:
        manager.wait()
        manager.works.clear()


def launch(group: ProcessGroup, calls: Sequence[Call]) -> Joined:
    """Start calls of one function, small ones together; all ranks bring the same list."""
    run = {
        "all_reduce": _all_reduce,
        "all_gather_single": _all_gather,
        "reduce_scatter_single": _reduce_scatter,
    }
    return Joined([run[pack[0].name](group, pack) for pack in _packs(calls)])


def _packs(calls: Sequence[Call]) -> list[list[Call]]:
    """Calls that go together: of one dtype and one operation."""
    packs: list[list[Call]] = []
    filling: dict[object, tuple[list[Call], int]] = {}
    for call in calls:
        nbytes = call.array.nbytes
        # Whether two factors are one is not to be seen alike on all ranks, so what is multiplied goes alone.
        if nbytes > _PACKED_BYTES or not isinstance(call.op, ReduceOp):
            packs.append([call])
            continue
        kind = (call.op, call.array.dtype, type(call.array))
        pack, filled = filling.get(kind, ([], 0))
        if not pack or filled + nbytes > _PACK_BYTES:
            pack, filled = [], 0
            packs.append(pack)
        pack.append(call)
        filling[kind] = pack, filled + nbytes
    return packs


def _all_reduce(group: ProcessGroup, pack: list[Call]) -> Work:
    op = pack[0].op
    if len(pack) == 1:
        return group.all_reduce(pack[0].array, op, async_op=True)
    flat = np.concatenate([call.array.reshape(-1) for call in pack])
    work = group.all_reduce(flat, op, async_op=True)
    return then(work, lambda: _unpack(flat, [call.array for call in pack]))


def _all_gather(group: ProcessGroup, pack: list[Call]) -> Work:
    if len(pack) == 1:
        return group.all_gather(pack[0].outputs, pack[0].array, async_op=True)
    flat = np.concatenate([call.array.reshape(-1) for call in pack])
    gathered = np.empty((group.size(), flat.size), flat.dtype, like=flat)

    def unpack() -> None:
        for rank, row in enumerate(gathered):
            _unpack(row, [call.outputs[rank] for call in pack])

    return then(group.all_gather(gathered, flat, async_op=True), unpack)


def _reduce_scatter(group: ProcessGroup, pack: list[Call]) -> Work:
    op = pack[0].op
    if len(pack) == 1:
        return group.reduce_scatter(pack[0].outputs[0], pack[0].array, op, async_op=True)
    rows = np.concatenate([call.array.reshape(group.size(), -1) for call in pack], axis=1)
    flat = np.empty(rows.shape[1], rows.dtype, like=rows)
    work = group.reduce_scatter(flat, rows, op, async_op=True)
    return then(work, lambda: _unpack(flat, [call.outputs[0] for call in pack]))


def _unpack(flat: Array, arrays: Sequence[Array]) -> None:
    start = 0
    for array in arrays:
        array[...] = flat[start : start + array.size].reshape(array.shape)
        start += array.size


def then(work: Work, finish: Callable[[], object]) -> Work:
    """The work, with ``finish`` called before anybody sees that it has ended well."""

    def call() -> None:
        if work.exception() is None:
            finish()

    work.add_done_callback(call)
    return work


class Joined(Work):
    """Several works as one.

    Args:
        works: they run in the order in which they were launched.
        timeout: for `wait` without one; the group's where None.
    """

    __slots__ = ("_timeout_s", "_works")

    def __init__(self, works: Sequence[Work], timeout: timedelta | None = None) -> None:
        super().__init__()
        self._works = list(works)
        self._timeout_s = seconds_of(timeout)

    def is_completed(self) -> bool:  # noqa: D102
        return all(work.is_completed() for work in self._works)

    def wait(self, timeout: float | timedelta | None = None) -> bool:  # noqa: D102
        given_s = self._timeout_s if timeout is None else seconds_of(timeout)
        began = time.monotonic()
        left_s = given_s
        for work in self._works:
            work.wait(left_s)
            if given_s is not None:
                left_s = max(0.0, began + given_s - time.monotonic())
        return True

    def exception(self) -> BaseException | None:  # noqa: D102
        return next((error for work in self._works if (error := work.exception()) is not None), None)

    def add_done_callback(self, callback: Callable[[], object]) -> None:  # noqa: D102
        left, lock = len(self._works), threading.Lock()

        def count() -> None:
            nonlocal left
            with lock:
                left -= 1
                is_last = left == 0
            if is_last:
                callback()

        for work in self._works:
            work.add_done_callback(count)
        if not self._works:
            callback()


class _Illegal(Work):
    """What a call with ``async_op=True`` returns inside a `coalescing_manager`: there is nothing to wait for yet."""

    __slots__ = ()

    def _refuse(self, name: str) -> ValueError:
        return ValueError(
            f"Illegal to call {name} on IllegalWork object: wait for the _coalescing_manager that this call is in"
        )

    def is_completed(self) -> bool:
        return False

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        raise self._refuse("wait")

    def exception(self) -> BaseException | None:
        raise self._refuse("exception")

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        raise self._refuse("get_future")

    def source_rank(self) -> int:
        raise self._refuse("source_rank")


ILLEGAL = _Illegal()
