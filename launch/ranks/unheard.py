"""Signals for the ranks to act on, such as "save now": each waits until the rank listens, which it would end otherwise.

A rank in Python listens from its first moment on (``rank.py``, `UntilHandled`); another program in its own time.
"""

import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path

from launch.ranks.processes import RankProcess

__all__ = ["Unheard", "listens"]

PERIOD_S = 0.1  # between looks at who listens
_LISTENING = ("SigCgt", "SigIgn", "SigBlk")  # a blocked one is taken by sigwait, or later


class Unheard:
    """What was to be passed on to ranks that do not listen for it yet."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[signal.Signals]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def pass_on(self, number: signal.Signals, alive: Mapping[int, RankProcess]) -> None:
        """Signal the ranks that listen, and keep the signal for the others; one is kept once, as the kernel does."""
        for rank in alive:
            kept = self._waiting.setdefault(rank, [])
            if number not in kept:
                kept.append(number)
        self.look(alive)

    def look(self, alive: Mapping[int, RankProcess]) -> None:
        """Signal those that listen by now, and forget those that have ended."""
        for rank, numbers in list(self._waiting.items()):
            process = alive.get(rank)
            for number in list(numbers):
                if process is not None and listens(process.pid, number):
                    process.send(number)
                    numbers.remove(number)
            if process is None or not numbers:
                del self._waiting[rank]


def listens(pid: int, number: int) -> bool:
    """Whether a process would live on with a signal: it catches, ignores or blocks it. True where nobody can tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return True
    masks = 0
    for name, _, value in (line.partition(":") for line in lines):
        if name in _LISTENING:
            with contextlib.suppress(ValueError):
                masks |= int(value, 16)
    return bool(masks >> (number - 1) & 1)
