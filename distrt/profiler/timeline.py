"""``Timeline``: what a process did, in phases, and what it exchanged with other ranks, while a recording ran."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from distrt.core.process.activity import Listener, Transfer

__all__ = ["Exchange", "Phase", "Timeline"]


class Phase(NamedTuple):
    """Something of a kind (`distrt.core.process.activity.KINDS`), in nanoseconds of the machine's clock."""

    kind: str
    began_ns: int
    ended_ns: int


class Exchange(NamedTuple):
    """A call of a group, from its launch to its end; ``group`` and ``number`` are the same on all ranks."""

    name: str
    began_ns: int
    ended_ns: int
    nbytes: int
    group: int
    number: int
    is_async: bool


class Timeline(Listener):
    """Hears the thread that makes it; calls of groups may end in any thread."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.exchanges: list[Exchange] = []
        self._thread = threading.get_ident()
        self._open: list[tuple[str, int]] = []

    def begin(self, kind: str) -> None:
        """See `Listener`."""
        if threading.get_ident() == self._thread:
            self._open.append((kind, time.perf_counter_ns()))

    def end(self, kind: str) -> None:
        """See `Listener`."""
        if threading.get_ident() == self._thread and self._open:
            self.phases.append(Phase(*self._open.pop(), time.perf_counter_ns()))

    def land(self, transfer: Transfer) -> None:
        """See `Listener`."""
        self.exchanges.append(
            Exchange(
                transfer.name,
                transfer.began_ns,
                time.perf_counter_ns(),
                transfer.nbytes,
                transfer.group,
                transfer.number,
                transfer.is_async,
            )
        )
