"""`Polled`: waiting for what must be asked about again and again, as MPI and GPUs must."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod

from distrt.comm.machines.network import Gone
from distrt.comm.progress import Wait

__all__ = ["LONGEST_POLL_S", "POLL_S", "Polled"]

POLL_S, LONGEST_POLL_S = 20e-6, 1e-3


class Polled(Wait):
    """Waiting for what must be asked about again and again.

    Args:
        gone: see `Gone`.
    """

    __slots__ = ("_gone", "_lock", "_over")

    def __init__(self, gone: Gone) -> None:
        self._gone = gone
        self._over = False
        self._lock = threading.Lock()

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
        """Asks again and again, ever more seldom."""
        deadline, pause_s = time.monotonic() + seconds, POLL_S
        while not self.is_over() and (remaining_s := deadline - time.monotonic()) > 0:
            time.sleep(min(pause_s, remaining_s))
            pause_s = min(2 * pause_s, LONGEST_POLL_S)

    def lost(self) -> str | None:
        """What became of a rank that is waited for."""
        return self._gone(self.missing())
