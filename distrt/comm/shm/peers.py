"""Whether the other ranks' processes are alive. A process is its id and its start time, as ids are used again."""

from __future__ import annotations

from dataclasses import dataclass

from distrt.comm.presence import View, start_time

__all__ = ["Peer"]


@dataclass(frozen=True)
class Peer:
    """One rank's process on this machine, and what it shows."""

    rank: int
    pid: int
    started: int
    view: View

    def is_alive(self) -> bool:
        """Whether the process runs or sleeps; one that has ended and was not yet collected (a zombie) does not."""
        return start_time(self.pid) == self.started
