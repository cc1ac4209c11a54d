"""`Polled`: waiting for what must be asked about again and again, as MPI and GPUs must."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from typing import ClassVar

from distrt.comm.machines.network import Gone
from distrt.comm.progress import Wait

__all__ = ["LONGEST_POLL_S", "POLL_S", "Polled"]

POLL_S, LONGEST_POLL_S = 20e-6, 1e-3
_MOVED_S = 15e-6  # to ask takes less where nothing has moved
_TOO_LATE = 1 / 8  # of a wait: by how much at most its end may be noticed too late


class Polled(Wait):
    """Waiting for what must be asked about again and again.

    Args:
        gone: see `Gone`.

    Attributes:
        polls: how often it is asked each time that a thread wakes up for it.
    """

    __slots__ = ("_gone", "_lock", "_over", "_since")

    polls: ClassVar[int] = 1

    def __init__(self, gone: Gone) -> None:
        self._gone = gone
        self._over = False
        self._lock = threading.Lock()
        self._since = time.monotonic()

    @abstractmethod
    def poll(self) -> bool:
        """Whether it is over (called by one thread at a time)."""

    def is_over(self) -> bool:
        """Asks, where no other thread is asking."""
        if not self._over and self._lock.acquire(blocking=False):
            try:
                self._over = self._over or self.poll()
            finally:
                self._lock.release()
        return self._over

    def sleep(self, seconds: float, sleeper: int) -> None:
        """Asks again and again, ever more seldom while nothing moves."""
        asked = time.monotonic()
        deadline = asked + seconds
        while not any(self.is_over() for _ in range(self.polls)):
            now = time.monotonic()
            if now >= deadline:
                return
            if now - asked < _MOVED_S:
                pause_s = min(max((now - self._since) * _TOO_LATE, POLL_S), LONGEST_POLL_S)
                time.sleep(min(pause_s, deadline - now))
            asked = time.monotonic()

    def lost(self) -> str | None:
        """What became of a rank that is waited for."""
        return self._gone(self.missing())
