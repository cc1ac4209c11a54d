"""The ranks' pipes, read in turn: each stream is cut into lines, shown, and kept in files."""

import contextlib
import os
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launch.ranks.processes import RankProcess
from launch.reports.display import Display, wants_display
from launch.reports.lines import LineCutter
from launch.reports.logs import STDERR, STDOUT, LineFilter, LogFile, OutputPlan
from launch.reports.output import Sink

__all__ = ["Stream", "Streams"]

_READ_BYTES = 1 << 16


@dataclass
class Stream:
    """One process's stdout or stderr; ``sink`` is None where it is not shown, ``log`` where it is not kept."""

    fd: int
    cutter: LineCutter
    sink: Sink | None
    log: LogFile | None = None
    picked: LineFilter | None = None
    rank: int = 0
    display: Display | None = None
    is_showing_status: bool = False

    def read(self) -> bool | None:
        """Read once, so that a flood leaves the others their turn: whether more may come, None at the end."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            return None
        if self.log is not None:
            self.log.write(data)
        self._pass_on(self.cutter.feed(data))
        self._show_status(self.cutter.status())
        return True

    def close(self) -> None:
        """Pass on the unfinished last line, and let go of the pipe."""
        self._pass_on(self.cutter.finish())
        self._show_status(None)
        if self.log is not None:
            self.log.close()
        os.close(self.fd)

    def _pass_on(self, lines: bytes) -> None:
        if self.sink is not None and self.display is not None:
            self.display.add(self.rank, self.cutter.prefix, lines)
        elif self.sink is not None:
            self.sink.write(lines)
        if self.picked is not None and lines:
            self.picked.write(lines, self.cutter.prefix)

    def _show_status(self, status: bytes | None) -> None:
        if self.sink is not None and (status is not None or self.is_showing_status):
            self.sink.show_status(status)
        self.is_showing_status = status is not None


class Streams:
    """All streams of an attempt, registered with the supervisor's ``selector``.

    Args:
        prefix: gives what goes before a rank's lines.
        first_rank: the lowest rank of this machine.
        size: how many ranks this machine has.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        sinks: tuple[Sink, Sink],
        plan: OutputPlan,
        attempt_dir: Path,
        prefix: Callable[[int], bytes],
        first_rank: int = 0,
        size: int = 1,
    ) -> None:
        self._selector = selector
        self._outputs = sinks
        self._sinks = {sink.fd: sink for sink in sinks}
        self._plan = plan
        self._attempt_dir = attempt_dir
        self._prefix = prefix
        self._first_rank = first_rank
        self._displays = {
            sink.fd: Display(sink, size, plan.fold)
            for sink in self._sinks.values()
            if wants_display(sink, plan.fold)
        }
        self._filters = plan.open_filters(attempt_dir)
        self._streams: dict[int, Stream] = {}
        self._is_paused = False
        self.lost_bytes = 0

    def watch(self, process: RankProcess) -> None:
        """Read what ``process`` writes from now on."""
        rank = process.rank
        for fd, sink, kind in zip(
            (process.stdout_fd, process.stderr_fd), self._outputs, (STDOUT, STDERR), strict=True
        ):
            if fd is None:
                continue
            os.set_blocking(fd, False)
            is_shown = self._plan.shows(rank - self._first_rank, kind)
            stream = Stream(
                fd,
                LineCutter(self._prefix(rank)),
                sink if is_shown else None,
                self._plan.open_log(self._attempt_dir, rank, kind),
                self._filters.get(kind),
                rank,
                self._displays.get(sink.fd),
            )
            self._streams[fd] = stream
            self._register(stream)

    def due_at(self) -> float | None:
        """Return when `balance` has something to show at the latest."""
        return min((due for it in self._displays.values() if (due := it.due_at) is not None), default=None)

    def balance(self) -> None:
        """Show lines that have waited long enough, and read from the ranks unless a sink is full."""
        for display in self._displays.values():
            display.show_due()
        for sink in self._sinks.values():
            is_watched = sink.fd in self._selector.get_map()
            if sink.has_pending and not is_watched:
                self._selector.register(sink.fd, selectors.EVENT_WRITE, sink.pump)
            elif is_watched and not sink.has_pending:
                self._selector.unregister(sink.fd)
        is_full = any(sink.is_full for sink in self._sinks.values())
        if is_full == self._is_paused:
            return
        self._is_paused = is_full
        for stream in self._streams.values():
            if is_full:
                self._selector.unregister(stream.fd)
            else:
                self._register(stream)

    def read_the_rest(self) -> None:
        """Take what is left in the pipes; a process that left its rank's session may hold one open."""
        for stream in list(self._streams.values()):
            while self._read(stream):
                pass
            if stream.fd in self._streams:
                self._close(stream)
        for display in self._displays.values():
            display.show_all()
        for picked in self._filters.values():
            picked.close()

    def _register(self, stream: Stream) -> None:
        self._selector.register(stream.fd, selectors.EVENT_READ, lambda: self._read(stream))

    def _read(self, stream: Stream) -> bool:
        may_have_more = stream.read()
        if may_have_more is None:
            self._close(stream)
        return bool(may_have_more)

    def _close(self, stream: Stream) -> None:
        with contextlib.suppress(KeyError):  # it is not registered while reading is paused
            self._selector.unregister(stream.fd)
        del self._streams[stream.fd]
        stream.close()
        self.lost_bytes += stream.log.lost_bytes if stream.log is not None else 0
