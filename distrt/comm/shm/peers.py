"""Whether the other ranks' processes are alive. A process is its id and its start time, as ids are used again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peer", "start_time"]


@dataclass(frozen=True)
class Peer:
    """One rank's process on this machine."""

    rank: int
    pid: int
    started: int

    def is_alive(self) -> bool:
        """Whether the process runs or sleeps; one that has ended and was not yet collected (a zombie) does not."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """Clock ticks between boot and the start of a living process; None for one that is dead or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name before it may hold spaces and parentheses
    state, ticks = fields[0], int(fields[19])
    return None if state in (b"Z", b"X") else ticks
