"""Where the ranks' lines go: the launcher's own stdout and stderr, never blocking the launcher.

A stalled reader (``| less``) must not keep the launcher from seeing a rank die, so a sink writes only as
much as its file takes at once and keeps the rest; the supervisor stops reading from the ranks while a sink
is full.
"""

import contextlib
import os
import select
import stat

__all__ = ["Sink", "open_missing_files", "open_sinks", "say"]

_FULL_BYTES = 4 << 20
_SLICE_BYTES = select.PIPE_BUF  # what a pipe that reports itself writable takes without blocking
_SLICES_PER_TURN = 64
_CLEAR_LINE = b"\r\x1b[K"


class Sink:
    """One destination. On a terminal the latest progress bar stays visible below the lines."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._pending = bytearray()
        self._status = b""
        self._is_gone = False
        self.is_terminal = os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb"
        mode = os.fstat(fd).st_mode
        # What is none of these cannot be polled.
        self._can_stall = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)

    @property
    def has_pending(self) -> bool:
        """Whether lines wait for the destination to take them."""
        return bool(self._pending)

    @property
    def is_full(self) -> bool:
        """Whether no more should be read from the ranks for now."""
        return len(self._pending) > _FULL_BYTES

    def write(self, lines: bytes) -> None:
        """Queue whole lines, above the progress bar if one is shown."""
        if self._is_gone or not lines:
            return
        if self._status:
            lines = _CLEAR_LINE + lines + self._status
        self._pending += lines
        if not self._can_stall:
            self.drain()

    def show_status(self, status: bytes | None) -> None:
        """Show a progress bar's state in place of the last one, or (None) none; only on a terminal."""
        if not self.is_terminal or self._is_gone or (status or b"") == self._status:
            return
        self._status = (status or b"")[: os.get_terminal_size(self.fd).columns - 1]
        self._pending += _CLEAR_LINE + self._status

    def pump(self) -> None:
        """Write what the destination takes without blocking; call it when it polls as writable."""
        for _ in range(_SLICES_PER_TURN):
            self._write_slice(_SLICE_BYTES)
            if not self._pending or not select.select([], [self.fd], [], 0)[1]:
                return

    def drain(self) -> None:
        """Write everything, waiting for the destination if need be."""
        while self._pending:
            self._write_slice(1 << 20)

    def _write_slice(self, size: int) -> None:
        try:
            del self._pending[: os.write(self.fd, self._pending[:size])]
        except BlockingIOError:  # whoever gave us this file made it non-blocking
            with contextlib.suppress(OSError):
                select.select([], [self.fd], [], 1.0)
        except OSError:  # the reader has left; the job goes on without one
            self._is_gone = True
            self._pending.clear()


def open_sinks(stdout_fd: int = 1, stderr_fd: int = 2) -> tuple[Sink, Sink]:
    """Return the sinks for stdout and stderr: one sink where both lead to one file, so lines stay whole."""
    stdout = Sink(stdout_fd)
    return stdout, stdout if os.path.sameopenfile(stdout_fd, stderr_fd) else Sink(stderr_fd)


def open_missing_files() -> None:
    """Have stdin, stdout and stderr lead somewhere: a number that is free would be given to a socket of ours."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def say(text: str) -> None:
    """Tell the user something of the launcher's own, at once; where nobody reads it, the job goes on."""
    with contextlib.suppress(OSError):
        os.write(2, f"distrt-launch: {text}\n".encode(errors="backslashreplace"))
