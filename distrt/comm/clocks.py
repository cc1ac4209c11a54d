"""Which clock a machine's processes share, and how far it is from another machine's.

Times in traces and records are those of `time.perf_counter`, the kernel's monotonic clock, which all processes of a
machine read alike. Between machines, a rank asks the job's store for its time, again and again, and believes the answer
that came back soonest: the store's clock then read what it says at some moment between question and answer, so half
their distance bounds the error (NTP's rule). Standard library only.

Source: https://www.rfc-editor.org/rfc/rfc5905 (section 8)
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["MachineClock", "Offset", "align", "machine_clock", "offset_to"]

_ROUNDS = 16


class Offset(NamedTuple):
    """Another clock's lead over ours, in nanoseconds, and how far off that may be."""

    ns: int
    uncertainty_ns: int


class MachineClock(NamedTuple):
    """This machine's clock, as traces and records tell of it.

    Attributes:
        machine: the same for processes that read the same clock.
        offset_ns: what is to be added to get the time of the store's machine; None where it has not been measured,
            as in a job on one machine.
        uncertainty_ns: by how much that may be wrong.
    """

    machine: str
    offset_ns: int | None
    uncertainty_ns: int


_measured: list[Offset] = []


def machine_clock() -> MachineClock:
    """This process's."""
    offset = _measured[0] if _measured else (None, 0)
    return MachineClock(_machine(), *offset)


def align(others_ns: Callable[[], int]) -> None:
    """Measure how far this machine's clock is from the store's, of which ``others_ns`` tells the time."""
    _measured[:] = [offset_to(others_ns)]


def offset_to(
    others_ns: Callable[[], int], ours_ns: Callable[[], int] = time.perf_counter_ns, rounds: int = _ROUNDS
) -> Offset:
    """Another clock's lead over ours, by asking it ``rounds`` times."""
    found = []
    for _ in range(rounds):
        asked = ours_ns()
        read = others_ns()
        answered = ours_ns()
        found.append(Offset(read - (asked + answered) // 2, (answered - asked + 1) // 2))
    return min(found, key=lambda each: each.uncertainty_ns)


def _machine() -> str:
    """The running kernel's number, with the time namespace, which may have a clock of its own.

    ``DISTRT_MACHINE`` lets one machine stand for several in tests (`distrt.comm.world`).
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            kernel, namespace = file.read().strip(), os.readlink("/proc/self/ns/time")
        return f"{kernel} {namespace} {os.environ.get('DISTRT_MACHINE', '')}".strip()
    except OSError:
        return socket.gethostname()
