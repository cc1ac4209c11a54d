"""`Caller`: how one rank makes the calls of a group: each numbered, noted on the status page, and carried out.

`ProcessGroup` checks what callers hand in and asks the transport for an operation; here it becomes one that the ranks
do together.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from distrt.comm.calls import Call, at, describe
from distrt.comm.checks import Finish
from distrt.comm.diagnosis import Diagnosis
from distrt.comm.progress import Engine, Label, Operation
from distrt.comm.transport import Transport
from distrt.comm.work import Completed, Work
from distrt.core.errors import DistributedError
from distrt.core.process import activity

__all__ = ["CACHED_KINDS", "COMPLETED", "Caller"]

COMPLETED: Work = Completed()

CACHED_KINDS = 1024  # of calls; a script that makes more kinds starts over


class Caller:
    """Makes the calls of a group on one rank.

    Args:
        transport: what carries the operations.
        timeout_s: the longest that any operation waits for another rank.
        name: the group's.

    Attributes:
        engine: drives the operations.
        page: where calls are noted; None where nobody could look.
        sequence: how many collectives this rank has begun.
        closed_because: why this rank has left the group, if it has.
    """

    def __init__(self, transport: Transport, timeout_s: float, name: str) -> None:
        self.page = transport.page
        self.sequence = 0
        self.closed_because: str | None = None
        self._rank, self._name = transport.rank, name
        self._group = zlib.crc32(f"{transport.identity} {name}".encode())
        diagnosis = Diagnosis(transport, self._group, name, self.label)
        self.engine = self._engine_of(transport, timeout_s, diagnosis)
        self._calls: dict[tuple[object, ...], Call] = {}

    def _engine_of(self, transport: Transport, timeout_s: float, diagnosis: Diagnosis) -> Any:
        """What drives the operations."""
        return Engine(self.label, timeout_s, transport.look, diagnosis, transport.head_start_s)

    def label(self, text: str, operation: str, sequence: int | None = None) -> str:
        """``text`` with the rank, the operation and its number in front, as every error of a group begins.

        The number is that of the next collective where none is given; messages have none (0).
        """
        number = self.sequence + 1 if sequence is None else sequence
        return f"rank {self._rank}: {operation}{f' #{number}' if number else ''}: {text}"

    def require_open(self, operation: str) -> None:
        """Refuse a call in a group that was left, or in which one has failed.

        Raises:
            DistributedError: it is such a group.
        """
        because = self.closed_because or self.engine.failed
        if because is not None:
            raise DistributedError(
                f"rank {self._rank}: {operation}: group {self._name!r} is of no use any more: {because}"
            )

    def call(self, operation: str, *details: object) -> Call:
        """The call with this name and these details."""
        words = (operation, *details)
        return self._calls.get(words) or self._keep(words, describe(operation, *details))

    def run(
        self,
        call: Call,
        operation: Operation,
        async_op: bool,
        finish: Finish | None = None,
        is_numbered: bool = True,
    ) -> Work:
        """Carry an operation out whose arguments are in order, or begin to.

        Args:
            call: what it is.
            operation: the transport's.
            async_op: return at once.
            finish: done when the operation has ended well.
            is_numbered: all ranks of the group take part in it.
        """
        entry = self.begin(self._placed(call, operation.place), is_numbered)
        label = (call.operation, self.sequence if is_numbered else 0)
        is_heard = bool(activity.listeners)
        transfer = self._told(call, label[1], async_op) if is_heard else None

        def end() -> None:
            if finish is not None:
                finish()
            self._end(entry)
            if transfer is not None:
                activity.ended(transfer)

        if async_op:
            work: Work = self.engine.launch(operation, label, end)
            return work
        value = self._run(operation, label) if is_heard else self.engine.run(operation, label)
        end()
        return COMPLETED if is_numbered or value is None else _Received(int(value))

    def value_of(self, call: Call, operation: Operation) -> Any:
        """Carry an operation out; what its steps return."""
        entry = self.begin(call)
        transfer = self._told(call, self.sequence, False)
        value = self._run(operation, (call.operation, self.sequence))
        self._end(entry)
        if transfer is not None:
            activity.ended(transfer)
        return value

    def run_heard(self, call: Call, run: Callable[[Label], object]) -> None:
        """Carry a collective out that is one function, ``run(its label)``, while somebody listens closely."""
        entry = self.begin(call)
        transfer = self._told(call, self.sequence, False)
        with activity.doing(activity.WAITING):
            run((call.operation, self.sequence))
        self._end(entry)
        if transfer is not None:
            activity.ended(transfer)

    def _told(self, call: Call, number: int, is_async: bool) -> activity.Transfer | None:
        if not activity.listeners:
            return None
        return activity.launched(call.text, call.nbytes, self._group, number, is_async)

    def _run(self, operation: Operation, label: tuple[str, int]) -> Any:
        if not activity.listeners:
            return self.engine.run(operation, label)
        with activity.doing(activity.WAITING):
            return self.engine.run(operation, label)

    def begin(self, call: Call, is_numbered: bool = True) -> int:
        """Number a collective, and note on the status page that it begins; what the page's ``end`` takes."""
        number = 0
        if is_numbered:
            self.sequence = number = self.sequence + 1
        page = self.page
        return 0 if page is None else page.begin(self._group, number, call, page.place())

    def _end(self, entry: int) -> None:
        if self.page is not None:
            self.page.end(entry)

    def _placed(self, call: Call, place: str) -> Call:
        if not place:
            return call
        key = (call, place)
        return self._calls.get(key) or self._keep(key, at(call, place))

    def _keep(self, key: tuple[object, ...], call: Call) -> Call:
        if len(self._calls) >= CACHED_KINDS:
            self._calls.clear()
        self._calls[key] = call
        return call


class _Received(Completed):
    __slots__ = ("_source",)

    def __init__(self, source: int) -> None:
        super().__init__()
        self._source = source

    def source_rank(self) -> int:
        return self._source
