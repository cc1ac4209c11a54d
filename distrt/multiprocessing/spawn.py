"""Starting a function in several processes, and bringing an error in one of them to the caller.

``distrt.multiprocessing`` is the public path. The processes end when their parent does, even where it is killed. A
process tells its traceback through an anonymous file in memory, so nothing is left on disk. Standard library only:
a child pays for no import that its own function does not make.
"""

import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import os
import sys
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import reduction
from multiprocessing.process import BaseProcess
from typing import Any

from distrt.core.process.children import end_with_parent, outlives_children, signal_name
from distrt.core.process.users_code import warn

__all__ = [
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "spawn",
    "start_processes",
]

_log = logging.getLogger(__name__)

_TERMINATION_S = 30.0  # between SIGTERM and SIGKILL, where the caller gives no grace period (PyTorch's)


def spawn(
    fn: Callable[..., object],
    args: Iterable[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> "ProcessContext | None":
    """Run ``fn(i, *args)`` in ``nprocs`` new interpreters, ``i`` from 0, and wait for them.

    Args:
        fn: a function at the top level of a module: the children import it.
        args: what is passed on, pickled; the memory of tensors is shared with the caller.
        join: wait for all; without it a ``ProcessContext`` comes back at once.
        daemon: the processes' ``daemon`` flag.
        start_method: "spawn"; ``start_processes`` takes others.

    Raises:
        ProcessRaisedException: ``fn`` raised; the message holds its traceback. The other processes were ended.
        ProcessExitedException: a process was killed or exited with another code than 0.
    """
    if start_method != "spawn":
        warn(
            f"This method only supports start_method=spawn (got: {start_method}).\n"
            "To use a different start_method use:\n\t\t"
            " distrt.multiprocessing.start_processes(...)",
            FutureWarning,
        )
    return start_processes(fn, args, nprocs, join, daemon, start_method="spawn")


def start_processes(
    fn: Callable[..., object],
    args: Iterable[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> "ProcessContext | None":
    """Do what ``spawn`` does, with any start method: "spawn", "fork" or "forkserver"."""
    context: Any = multiprocessing.get_context(start_method)
    reports = [_Report() for _ in range(nprocs)]
    is_lasting = outlives_children()
    processes: list[BaseProcess] = []
    try:
        for index, report in enumerate(reports):
            process = context.Process(
                target=_run, args=(fn, index, tuple(args), report, is_lasting), daemon=daemon
            )
            process.start()
            processes.append(process)
    except BaseException:  # an argument that cannot be pickled, no memory, Ctrl-C
        for process in processes:
            process.kill()
            process.join()
        raise
    started = ProcessContext(processes, reports)
    if not join:
        return started
    while not started.join():
        pass
    return None


class ProcessException(Exception):  # noqa: N818 - PyTorch's name
    """A process failed.

    Attributes:
        error_index: which one, from 0.
        error_pid: its process id.
    """

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.error_pid = error_pid

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.msg, self.error_index, self.error_pid)


class ProcessRaisedException(ProcessException):
    """A process failed because its function raised; the message holds the traceback."""


class ProcessExitedException(ProcessException):
    """A process was killed, or exited with a code of its own.

    Attributes:
        exit_code: what it exited with; the negative number of the signal that killed it.
        signal_name: "SIGKILL" and the like; None where no signal ended it.
    """

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None = None
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code
        self.signal_name = signal_name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.msg, self.error_index, self.error_pid, self.exit_code, self.signal_name)


class _Report:
    """Where one process leaves its traceback: a file in memory that has no name."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = os.memfd_create("distrt-report") if descriptor is None else descriptor
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        return _received_report, (reduction.DupFd(self._descriptor),)

    def write(self, text: str) -> None:
        os.pwrite(self._descriptor, text.encode(errors="backslashreplace"), 0)

    def read(self) -> str:
        size = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, size, 0).decode(errors="replace")


def _received_report(handle: Any) -> _Report:
    return _Report(handle.detach())


class ProcessContext:
    """Processes that were started together, in the order of their numbers."""

    def __init__(self, processes: Sequence[BaseProcess], reports: Sequence[_Report]) -> None:
        self.processes = list(processes)
        self.sentinels = {process.sentinel: index for index, process in enumerate(self.processes)}
        self._reports = reports

    def pids(self) -> list[int]:
        """Return the process ids."""
        return [int(process.pid or 0) for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until a process ends, and return whether all have ended well.

        Where one has failed, the others are ended and its error is raised.

        Args:
            timeout: seconds to wait at most.
            grace_period: seconds that the others get to end by themselves, and again after SIGTERM.

        Raises:
            ProcessRaisedException, ProcessExitedException: see ``spawn``.
        """
        if not self.sentinels:
            return True
        failed = self._first_failure(timeout)
        if failed is None:
            return not self.sentinels
        self._end_all(grace_period)
        raise self._error(failed)

    def _first_failure(self, timeout_s: float | None) -> int | None:
        for sentinel in multiprocessing.connection.wait(list(self.sentinels), timeout=timeout_s):
            index = self.sentinels.pop(sentinel)  # type: ignore[arg-type]
            process = self.processes[index]
            process.join()
            if process.exitcode != 0:
                return index
        return None

    def _end_all(self, grace_period_s: float | None) -> None:
        if grace_period_s is not None:
            self._join_all(grace_period_s)
        for process in self.processes:
            if process.is_alive():
                _log.warning("Terminating process %s via signal SIGTERM", process.pid)
                process.terminate()
        self._join_all(_TERMINATION_S if grace_period_s is None else grace_period_s)
        for process in self.processes:
            if process.is_alive():
                _log.warning("process %s does not end at SIGTERM: killing it", process.pid)
                process.kill()
            process.join()

    def _join_all(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))

    def _error(self, index: int) -> ProcessException:
        process = self.processes[index]
        pid, code = int(process.pid or 0), int(process.exitcode or 0)
        told = self._reports[index].read()
        if told:
            return ProcessRaisedException(
                f"\n\n-- Process {index} terminated with the following error:\n{told}", index, pid
            )
        if code >= 0:
            return ProcessExitedException(
                f"process {index} terminated with exit code {code}", index, pid, exit_code=code
            )
        name = signal_name(-code)
        return ProcessExitedException(
            f"process {index} terminated with signal {name}", index, pid, exit_code=code, signal_name=name
        )


class SpawnContext(ProcessContext):
    """``ProcessContext`` under its name before PyTorch 1.4."""

    def __init__(self, processes: Sequence[BaseProcess], reports: Sequence[_Report]) -> None:
        warn("SpawnContext is renamed to ProcessContext since 1.4 release.")
        super().__init__(processes, reports)


def _run(
    fn: Callable[..., object], index: int, args: tuple[Any, ...], report: _Report, is_lasting: bool
) -> None:
    """What a started process does."""
    end_with_parent(is_lasting)
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass  # Ctrl-C goes to the parent as well, which tells the user
    except Exception as error:
        if (presence := sys.modules.get("distrt.comm.presence")) is not None:  # the process is a rank
            presence.record_failure(error)
        report.write(traceback.format_exc())
        sys.exit(1)
