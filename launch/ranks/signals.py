"""The launcher's own signals: which there are, and how the supervisor's loop hears of them."""

import os
import select
import signal
import socket
import threading
from collections.abc import Sequence

__all__ = ["SIGNALS", "SignalInbox", "hang_up_with", "read_signals"]

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_READ_BYTES = 1 << 12
# What only ranks know the meaning of, such as "save now" from Slurm; `launch/__main__.py` holds them.
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2)
_NEVER = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD)


def read_signals(text: str) -> tuple[signal.Signals, ...]:
    """Read names with commas between them.

    Raises:
        ValueError: a name is none, or one of a signal that nobody can pass on.
    """
    found = []
    for name in filter(None, map(str.strip, text.split(","))):
        number = signal.Signals.__members__.get(name)
        if number is None or number in _NEVER:
            raise ValueError(f"{name} is no signal that can be passed on")
        found.append(number)
    return tuple(dict.fromkeys(found))


def hang_up_with(fd: int) -> None:
    """Give this process SIGHUP when a file ends; from a thread, so fork before."""

    def watch() -> None:
        while os.read(fd, _READ_BYTES):
            pass
        os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=watch, name="distrt-hang-up", daemon=True).start()


class SignalInbox:
    """Collects the launcher's signals, and makes a file readable so that the loop wakes up.

    Make it before the ranks start: handled signals are at their default again in a new process. Ctrl-C that is not
    among ``numbers`` ends the launcher as it is, and the ranks with it. Signals that were held until it is there
    (``launch/__main__.py``, or who started the launcher) are let in.

    Args:
        numbers: those that end the job.
    """

    def __init__(self, numbers: Sequence[signal.Signals] = SIGNALS) -> None:
        self._endings = frozenset(numbers)
        self._numbers = (*numbers, *(number for number in _PASSED_ON if number not in numbers))
        self._for_ranks: list[signal.Signals] = []  # what came while there were none
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if signal.SIGINT not in numbers:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        for number in self._numbers:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays
                signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)

    def fileno(self) -> int:
        """Return the file that becomes readable."""
        return self._reader.fileno()

    def take(self) -> list[signal.Signals]:
        """Return the signals that came since the last call, with those for the ranks that came during ``wait``."""
        kept, self._for_ranks = self._for_ranks, []
        return kept + self._read()

    def _read(self) -> list[signal.Signals]:
        try:
            numbers = self._reader.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in numbers if number in self._numbers]

    def ends_job(self, number: signal.Signals) -> bool:
        """Whether a signal is one that ends the job; any other is passed on to the ranks, and that is all."""
        return number in self._endings

    def wait(self, patience_s: float) -> signal.Signals | None:
        """Wait for a signal that ends the job and return it, or None when the time is over, or another came."""
        if not select.select([self._reader], [], [], patience_s)[0]:
            return None
        numbers = self._read()
        self._for_ranks += [number for number in numbers if not self.ends_job(number)]
        return next(filter(self.ends_job, numbers), None)

    def close(self) -> None:
        """Give the signals their default back: the ranks are gone, and Ctrl-C may end a stalled output."""
        for number in self._numbers:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()
