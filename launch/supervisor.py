"""The event loop that watches over a job: output, deaths, signals and deadlines, in one thread.

The first failure ends the job: the other ranks get SIGTERM, and SIGKILL when the time-out is over. A rank's
process group is ended with the rank, so nothing that it started stays behind.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launch.lines import LineCutter
from launch.output import Sink
from launch.processes import Ending, RankProcess, group_exists, signal_group

__all__ = ["SIGNALS", "Outcome", "SignalInbox", "Supervisor", "TimeLimits"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READ_BYTES = 1 << 16
_POLL_S = 0.01  # between looks at what cannot be selected on: leftover groups, or deaths without pidfds
_SAME_KEYPRESS_S = 0.1
_UNKILLABLE_S = 1.0  # how long a group may outlast its SIGKILL (unreaped children of a rank)


@dataclass(frozen=True)
class TimeLimits:
    """Seconds between SIGTERM and SIGKILL: after a failure, and after the user asked for the end."""

    failure_s: float = 1.5
    stop_s: float = 25.0


@dataclass(frozen=True)
class Outcome:
    """What happened, as the launcher saw it; times are ``time.monotonic()``.

    ``told_at`` is when the other ranks were told to end (None: never); ``stopped_by`` the user's signal.
    """

    endings: dict[int, Ending]
    ended_at: dict[int, float]
    told_at: float | None
    stopped_by: signal.Signals | None


class SignalInbox:
    """Collects the launcher's signals, and makes a file readable so that the loop wakes up.

    Make it before the ranks start: handled signals are at their default again in a new process.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays
                signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        """Return the file that becomes readable."""
        return self._reader.fileno()

    def take(self) -> list[signal.Signals]:
        """Return the signals that came since the last call."""
        try:
            numbers = self._reader.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in numbers if number in SIGNALS]

    def close(self) -> None:
        """Give the signals their default back: the ranks are gone, and Ctrl-C may end a stalled output."""
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


@dataclass
class _Stream:
    """One rank's stdout or stderr."""

    fd: int
    cutter: LineCutter
    sink: Sink
    is_showing_status: bool = False


class Supervisor:
    """Watches ``ranks`` until every one has ended and nothing of its process group is left.

    ``on_end`` is called once for each rank, as soon as it has ended.
    """

    def __init__(
        self,
        ranks: Sequence[RankProcess],
        sinks: tuple[Sink, Sink],
        inbox: SignalInbox,
        limits: TimeLimits,
        on_end: Callable[[int, Ending], None],
    ) -> None:
        self._alive = {process.rank: process for process in ranks}
        self._lingering: dict[int, float] = {}  # group of a dead rank -> when SIGKILL is due
        self._limits = limits
        self._inbox = inbox
        self._on_end = on_end
        self._sinks = {sink.fd: sink for sink in sinks}
        self._endings: dict[int, Ending] = {}
        self._ended_at: dict[int, float] = {}
        self._told_at: float | None = None
        self._kill_at: float | None = None
        self._stopped_by: signal.Signals | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox, selectors.EVENT_READ, self._on_signal)
        self._streams: dict[int, _Stream] = {}
        self._is_paused = False
        self._has_pidfds = all(process.pidfd is not None for process in ranks)
        self._has_seen_death = False
        for process in ranks:
            self._watch(process, sinks)

    def run(self) -> Outcome:
        """Watch until the end; the sinks may still hold output that their files did not take."""
        try:
            while self._alive or self._lingering:
                for key, _ in self._selector.select(self._patience_s()):
                    key.data()
                self._take_the_dead()
                self._end_leftovers()
                self._kill_when_due()
                self._balance_output()
            self._read_the_rest()
        finally:
            for process in self._alive.values():  # only after an error of our own
                process.send_to_group(signal.SIGKILL)
            self._selector.close()
        return Outcome(self._endings, self._ended_at, self._told_at, self._stopped_by)

    def _watch(self, process: RankProcess, sinks: tuple[Sink, Sink]) -> None:
        if process.pidfd is not None:
            self._selector.register(process.pidfd, selectors.EVENT_READ, self._on_death)
        for fd, sink in zip((process.stdout_fd, process.stderr_fd), sinks, strict=True):
            if fd is not None:
                os.set_blocking(fd, False)
                stream = _Stream(fd, LineCutter(b"[%d] " % process.rank), sink)
                self._streams[fd] = stream
                self._selector.register(fd, selectors.EVENT_READ, lambda stream=stream: self._read(stream))

    def _patience_s(self) -> float | None:
        if self._lingering or not self._has_pidfds:
            return _POLL_S
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def _on_death(self) -> None:
        self._has_seen_death = True

    def _on_signal(self) -> None:
        for number in self._inbox.take():
            if self._told_at is None:
                self._stopped_by = number
                self._tell_to_end(RankProcess.send, number, self._limits.stop_s)
            elif number == signal.SIGINT or self._stopped_by is None:
                # One Ctrl-C may arrive twice: `timeout` signals its child and then the child's whole group.
                if self._stopped_by is None or time.monotonic() - self._told_at > _SAME_KEYPRESS_S:
                    self._kill_at = time.monotonic()
            else:
                for process in self._alive.values():
                    process.send(number)

    def _tell_to_end(
        self, tell: Callable[[RankProcess, signal.Signals], None], number: signal.Signals, patience_s: float
    ) -> None:
        self._told_at = time.monotonic()
        self._kill_at = self._told_at + patience_s
        for process in self._alive.values():
            tell(process, number)

    def _take_the_dead(self) -> None:
        if self._has_pidfds and not self._has_seen_death:
            return
        self._has_seen_death = False
        for rank, process in [item for item in self._alive.items() if item[1].is_dead()]:
            self._ended_at[rank] = time.monotonic()
            del self._alive[rank]
            process.send_to_group(signal.SIGTERM)
            if process.pidfd is not None:
                self._selector.unregister(process.pidfd)
            ending = self._endings[rank] = process.reap()
            self._lingering[process.pid] = self._ended_at[rank] + self._limits.failure_s
            self._on_end(rank, ending)
            if ending.is_failure and self._told_at is None:
                self._tell_to_end(RankProcess.send_to_group, signal.SIGTERM, self._limits.failure_s)

    def _end_leftovers(self) -> None:
        now = time.monotonic()
        for group, kill_at in list(self._lingering.items()):
            if not group_exists(group) or now > kill_at + _UNKILLABLE_S:
                del self._lingering[group]
            elif now >= kill_at:
                signal_group(group, signal.SIGKILL)

    def _kill_when_due(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            for process in self._alive.values():
                process.send_to_group(signal.SIGKILL)
            for group in self._lingering:
                self._lingering[group] = time.monotonic()

    def _read(self, stream: _Stream) -> bool:
        """Read once, so that a flood leaves the other ranks their turn; returns whether more may come."""
        try:
            data = os.read(stream.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close(stream)
            return False
        stream.sink.write(stream.cutter.feed(data))
        self._show_status(stream, stream.cutter.status())
        return True

    def _show_status(self, stream: _Stream, status: bytes | None) -> None:
        if status is not None or stream.is_showing_status:
            stream.sink.show_status(status)
        stream.is_showing_status = status is not None

    def _close(self, stream: _Stream) -> None:
        stream.sink.write(stream.cutter.finish())
        self._show_status(stream, None)
        with contextlib.suppress(KeyError):  # it is not registered while reading is paused
            self._selector.unregister(stream.fd)
        del self._streams[stream.fd]
        os.close(stream.fd)

    def _balance_output(self) -> None:
        """Watch the sinks that have something to write, and the ranks' pipes unless a sink is full."""
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
                self._selector.register(
                    stream.fd, selectors.EVENT_READ, lambda stream=stream: self._read(stream)
                )

    def _read_the_rest(self) -> None:
        """Take what is left in the pipes; a process that left its rank's session may hold one open."""
        for stream in list(self._streams.values()):
            while self._read(stream):
                pass
            if stream.fd in self._streams:
                self._close(stream)
