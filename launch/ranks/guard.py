"""The guard: a tiny process that outlives a launcher killed with -9, and ends what the ranks started.

The kernel kills the ranks themselves (``rank.die_with_launcher``); their children know nothing of the
launcher. The guard holds the read end of a pipe whose only write end is the launcher's. When the pipe ends
without a goodbye, it ends the recorded process groups. In a normal run it says nothing and ends with the
launcher.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from launch.ranks.processes import RankProcess, group_exists, process_start_time, signal_group

__all__ = ["Guard", "remove_shared_memory"]

_GOODBYE = b"goodbye"
_PATIENCE_S = 0.5


class Guard:
    """The launcher's end: forks the guard at once, so make it before any thread starts."""

    def __init__(self, run_id: str) -> None:
        read_fd, self._write_fd = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _watch(read_fd, run_id)
            finally:
                os._exit(0)
        os.close(read_fd)

    def record(self, process: RankProcess) -> None:
        """Have the guard answer for this rank's process group."""
        self._tell(f"{process.pid} {process.start_time}\n".encode())

    def dismiss(self) -> None:
        """End the guard: every process of the job is gone."""
        self._tell(_GOODBYE)
        os.close(self._write_fd)
        os.waitpid(self.pid, 0)

    def _tell(self, text: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # someone killed the guard; the job goes on without it
            os.write(self._write_fd, text)


def remove_shared_memory(run_id: str, directory: Path = Path("/dev/shm")) -> None:
    """Remove what a killed job left in ``/dev/shm`` under its own name, ``distrt-<run id>...``."""
    for path in directory.glob(f"distrt-{run_id}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def _watch(read_fd: int, run_id: str) -> None:
    _leave_the_launcher(read_fd)
    text = b""
    while data := os.read(read_fd, 1 << 16):
        text += data
    if text.endswith(_GOODBYE):
        return
    groups = [int(pid) for pid, start in map(bytes.split, text.splitlines()) if _is_ours(int(pid), start)]
    for group in groups:
        signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_S
    while any(map(group_exists, groups)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for group in groups:
        signal_group(group, signal.SIGKILL)
    remove_shared_memory(run_id)


def _leave_the_launcher(read_fd: int) -> None:
    """Give up the launcher's session, signals, files and folder, which would tie others to the guard."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, read_fd)
    os.closerange(read_fd + 1, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")


def _is_ours(pid: int, start: bytes) -> bool:
    """Return whether the group still is the recorded one: its leader is the same process, or is gone."""
    now = process_start_time(pid)
    return now is None or str(now).encode() == start
