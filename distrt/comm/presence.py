"""What this process shows to the other ranks: its status page, its stacks when they ask, the exception that ends it.

A rank that asks for the stacks of another one sends it a signal; CPython writes them from within the handler, even
while the process is blocked in C. Standard library only.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import signal
import sys
import threading
import time
import traceback
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

from distrt.comm.clocks import machine_clock
from distrt.comm.run_record import record_of
from distrt.comm.status import PAGE_BYTES, Status, StatusPage, parse
from distrt.core.process import steps
from distrt.core.storage.unnamed import open_unnamed_file

__all__ = [
    "Presence",
    "View",
    "here",
    "here_if_launched",
    "is_stopped",
    "own_stacks",
    "record_failure",
    "start_time",
    "state_text",
]

_SIGNAL = signal.SIGRTMIN + 9  # few programs use any of these
_NOT_SHOWN = ("distrt/comm/presence.py", "distrt/comm/diagnosis.py", "launch/ranks/rank.py")
_LOCAL_FILE_SYSTEMS = frozenset(
    ["", *"bcachefs btrfs ext2 ext3 ext4 f2fs overlay ramfs tmpfs xfs zfs".split()]
)
_SERVING = ("distrt/comm/", f"{os.path.dirname(threading.__file__)}/threading.py", "/selectors.py")
_STATES = {"T": "stopped by a signal", "t": "stopped by a debugger", "D": "waiting for a disk", "Z": "dead"}


class Presence:
    """This process, as others see it.

    Attributes:
        page: its status page.
        paths: where others find the page, and the stacks.
    """

    def __init__(self, rank: int, directory: Path | None) -> None:
        self.pid = os.getpid()
        page, self._page_fd = _create("status", f"rank{rank}.status", directory)
        stacks, self._stacks_fd = _create("stacks", "", None)
        os.ftruncate(self._page_fd, PAGE_BYTES)
        self.page = StatusPage(rank, start_time(self.pid) or 0, mmap.mmap(self._page_fd, PAGE_BYTES))
        self.paths = (page, stacks)
        faulthandler.register(_SIGNAL, file=self._stacks_fd, all_threads=True)
        self._before = sys.excepthook
        sys.excepthook = self._on_exception
        self.on_failure: weakref.WeakSet[Any] = weakref.WeakSet()  # have ``fail()``
        steps.listen("status page", self.page.took_step)
        self._recorded = None if directory is None else record_of(rank, directory)

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if os.getpid() == self.pid:
            self.record("".join(traceback.format_exception(kind, error, trace)))
        self._before(kind, error, trace)

    def report(self, loss: float | None, samples: int, step: int | None) -> None:
        """Show others, and the run's record, how far the run is."""
        self.page.report(loss, samples, step)
        if self._recorded is not None:
            self._recorded.ledger.report(loss, samples, step)

    def tell_clock(self) -> None:
        """Have the run's record say how far this machine's clock is from the others'."""
        if self._recorded is not None:
            self._recorded.write({"kind": "clock", **machine_clock()._asdict()})

    def record(self, failure: str) -> None:
        """Show others what ends this program, and tell them now."""
        self.page.fail(failure)
        for each in list(self.on_failure):
            with contextlib.suppress(Exception):
                each.fail()


_here: list[Presence] = []


def here(rank: int) -> Presence:
    """This process's presence; the first call makes it."""
    if not _here or _here[0].pid != os.getpid():
        directory = os.environ.get("DISTRT_RUN_DIR")
        _here[:] = [Presence(rank, Path(directory) if directory else None)]
    return _here[0]


def here_if_launched() -> Presence | None:
    """This process's presence; None where it has none, and no launcher that could look at it."""
    if _here and _here[0].pid == os.getpid():
        return _here[0]
    rank = os.environ.get("DISTRT_RANK", "")
    return here(int(rank)) if rank.isdigit() and os.environ.get("DISTRT_RUN_DIR") else None


def record_failure(error: BaseException) -> None:
    """For whoever catches what would end the program: show it to the other ranks."""
    if _here and _here[0].pid == os.getpid():
        _here[0].record("".join(traceback.format_exception(error)))


class View:
    """Another process of this machine, as its `Presence` shows it.

    Args:
        pid: its process.
        started: the start time of that.
        paths: of its presence; None where it shows nothing.
    """

    def __init__(self, pid: int, started: int, paths: tuple[str, str] | None) -> None:
        self._pid, self._started = pid, started
        self._page: mmap.mmap | None = None
        self._stacks: int | None = None
        if paths is not None:
            with contextlib.suppress(OSError, ValueError):
                self._page = _open(paths[0], PAGE_BYTES)
                self._stacks = os.open(paths[1], os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self._stacks is not None:
            os.close(self._stacks)

    def status(self) -> Status | None:
        """What its page says, also after its death."""
        return None if self._page is None else parse(self._page)

    def stacks(self, patience_s: float = 1.0) -> str:
        """The Python stacks of its threads, or why they cannot be had."""
        if self._stacks is None or start_time(self._pid) != self._started:
            return "(it has ended)" if start_time(self._pid) != self._started else "(it shows no stacks)"
        if is_stopped(self._pid):
            return "(it is stopped by a signal, and cannot show its stacks)"
        size = os.fstat(self._stacks).st_size
        try:
            os.kill(self._pid, _SIGNAL)
        except OSError as error:
            return f"(it cannot be asked: {error})"
        deadline, before = time.monotonic() + patience_s, -1
        while time.monotonic() < deadline:
            time.sleep(0.02)
            now = os.fstat(self._stacks).st_size
            if now > size and now == before:
                text = os.pread(self._stacks, min(now - size, 1 << 20), size).decode(errors="replace")
                return _readable(text)
            before = now
        return f"(it does not answer; its process is in state {_process_state(self._pid)})"


def own_stacks() -> str:
    """The Python stacks of this process's threads.

    faulthandler takes them while nothing else runs; walking frames that another thread is using crashes CPython 3.11.
    """
    # Ranks of other machines ask several times a second: a temporary file would go to a disk.
    with open(open_unnamed_file("stacks"), "w+b") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return _readable(file.read().decode(errors="replace"))


def _readable(stacks: str) -> str:
    """Without the threads that are distrt's own, and without frames that say nothing."""
    kept = []
    for block in stacks.split("\n\n"):
        title, *lines = block.splitlines()
        lines = [line for line in lines if not any(name in line for name in _NOT_SHOWN)]
        if all(any(path in line for path in _SERVING) for line in lines):
            continue
        kept += [title, *lines]
    return "\n".join(kept)


def start_time(pid: int) -> int | None:
    """Clock ticks between boot and the start of a living process; None for one that is dead or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def _process_state(pid: int) -> str | None:
    """The letter that the kernel gives for what a process does: R, S, D, T, Z; None for none."""
    fields = _stat(pid)
    return None if fields is None else fields[0]


def is_stopped(pid: int) -> bool:
    """Whether a signal or a debugger has stopped a process."""
    return _process_state(pid) in ("T", "t")


def state_text(pid: int) -> str:
    """What is remarkable about a process's state, or nothing."""
    return _STATES.get(_process_state(pid) or "", "")


def _stat(pid: int) -> list[str] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return stat[stat.rindex(")") + 2 :].split()  # the name before it may hold spaces and parentheses


def _create(purpose: str, name: str, directory: Path | None) -> tuple[str, int]:
    """A file for others to read: ``name`` in ``directory``, or one without a name.

    On a network's file system every store to mapped memory may wait for a server: there, the file has no name.
    """
    if directory is not None and _file_system(directory) in _LOCAL_FILE_SYSTEMS:
        with contextlib.suppress(OSError):  # a run directory that cannot be written to
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            return str(directory / name), os.open(directory / name, flags, 0o600)
    fd = open_unnamed_file(purpose)
    return f"/proc/{os.getpid()}/fd/{fd}", fd


def _file_system(directory: Path) -> str:
    """The kind of file system that a directory is on, by the kernel's name for it; "" below a chroot's root."""
    found, kind, path = "", "", str(directory.resolve())
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, mounted, named, *_ = line.split()
            mounted = mounted.replace("\\040", " ")
            if (path + "/").startswith(mounted.rstrip("/") + "/") and len(mounted) >= len(found):
                found, kind = mounted, named
    return kind


def _open(path: str, length: int) -> mmap.mmap:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, length, prot=mmap.PROT_READ)
    finally:
        os.close(fd)
