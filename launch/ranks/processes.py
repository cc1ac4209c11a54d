"""Rank processes: starting one, seeing its death, and signalling what it leaves behind.

Each rank leads its own session and process group, so its children can be reached through the group's number
even after the rank itself is gone. A dead rank stays unreaped (a zombie pins its number) until its group has
been signalled.
"""

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from launch.exit_codes import PREEMPTED
from launch.job import Target
from launch.ranks.rank import EARLY

__all__ = [
    "STACKS_SIGNAL",
    "Ending",
    "RankProcess",
    "StartError",
    "adopt_orphans",
    "group_exists",
    "must_be_startable",
    "process_start_time",
    "process_state",
    "python_command",
    "signal_group",
    "start_rank",
]

#: Has a rank write its stacks (``rank.py``); the next one is what ranks send one another (`distrt.comm.presence`).
STACKS_SIGNAL = signal.SIGRTMIN + 8
_PR_SET_CHILD_SUBREAPER = 36
_PIPE_BYTES = 1 << 18
_BOOTSTRAP = str(Path(__file__).with_name("rank.py"))


class StartError(Exception):
    """The system starts no more processes for us; the text is for the user."""


@contextlib.contextmanager
def must_be_startable(what: str) -> Iterator[None]:
    """Turn the system's refusal to start a process, or to open what it needs, into one line for the user.

    Raises:
        StartError: there is no room for another one, in one of the bounds that there are.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
            raise
        raise StartError(
            f"{what} cannot be started ({error.strerror}): a limit of this machine's is reached; see `ulimit -a`, "
            f"and pids.max and memory.max of the control group"
        ) from error


@dataclass(frozen=True)
class Ending:
    """How a process ended; ``returncode`` is negative where a signal ended it, as in ``subprocess``."""

    returncode: int

    @property
    def exit_code(self) -> int:
        """What a shell would report."""
        return self.returncode if self.returncode >= 0 else 128 - self.returncode

    @property
    def is_preemption(self) -> bool:
        """Whether the rank says that it has saved its run and wants to go on another time."""
        return self.returncode == PREEMPTED

    @property
    def is_failure(self) -> bool:
        """Whether it ended with anything but 0."""
        return self.returncode != 0

    def __str__(self) -> str:
        if self.returncode >= 0:
            return f"exit code {self.returncode}"
        try:
            name = signal.Signals(-self.returncode).name
        except ValueError:
            name = "signal"
        return f"killed by {name} ({-self.returncode})"


class RankProcess:
    """A running rank. ``pidfd`` becomes readable when it dies, and is None where the kernel has no pidfds."""

    def __init__(
        self, rank: int, process: subprocess.Popen[bytes], stdout_fd: int | None, stderr_fd: int | None
    ):
        self.rank = rank
        self.pid = process.pid
        self.start_time = process_start_time(process.pid)
        self.stdout_fd = stdout_fd
        self.stderr_fd = stderr_fd
        self.ending: Ending | None = None
        self._process = process
        self.pidfd: int | None = None
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(process.pid)

    def is_dead(self) -> bool:
        """Return whether the process has ended; it stays unreaped."""
        if self.ending is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def send(self, number: signal.Signals) -> None:
        """Signal the rank alone, which then sees to its children; a stopped one runs again."""
        os.kill(self.pid, number)
        os.kill(self.pid, signal.SIGCONT)

    def send_to_group(self, number: signal.Signals) -> None:
        """Signal the rank and all that it started."""
        signal_group(self.pid, number)

    def reap(self) -> Ending:
        """Take the dead process's exit status; from here on its number may be used by another."""
        self.ending = Ending(self._process.wait())
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        return self.ending


def start_rank(
    target: Target, rank: int, environment: Mapping[str, str], gate_fd: int, *, is_piped: bool
) -> RankProcess:
    """Start ``rank`` behind the gate, with its output in pipes or (not ``is_piped``) on the launcher's.

    Rank 0 reads the launcher's standard input unless that is a terminal; all others read nothing. ``PYTHON_EXEC``
    names another interpreter, as for torchrun. Signals that an interpreter that starts would not survive, or not in
    silence, wait for ``rank.py``.
    """
    arguments = target.arguments_of(int(environment["DISTRT_LOCAL_RANK"]))
    command = [*python_command(), _BOOTSTRAP, str(gate_fd), target.kind, target.name, *arguments]
    has_input = rank == 0 and not os.isatty(0)
    out_read, out_write = _wide_pipe() if is_piped else (None, None)
    err_read, err_write = _wide_pipe() if is_piped else (None, None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, EARLY)
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=None if has_input else subprocess.DEVNULL,
            stdout=out_write,
            stderr=err_write,
            start_new_session=True,
            pass_fds=(gate_fd,),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for fd in (out_write, err_write):
            if fd is not None:
                os.close(fd)
    return RankProcess(rank, process, out_read, err_read)


def python_command() -> list[str]:
    """Return how ranks' interpreters are started."""
    return [os.environ.get("PYTHON_EXEC") or sys.executable]


def process_start_time(pid: int) -> int | None:
    """Return when ``pid`` started (ticks since boot), which tells it from a later owner of its number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[19])


def process_state(pid: int) -> str:
    """Return the kernel's letter for what ``pid`` does: R, S, D, T, ...; empty where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return stat.rpartition(b")")[2].split()[0].decode()


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal every process of a rank's group, and let stopped ones run so that they can act on it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        if number != signal.SIGKILL:
            os.killpg(group, signal.SIGCONT)


def adopt_orphans() -> None:
    """Become the parent of what dead ranks leave behind, so that ``group_exists`` can reap it.

    Elsewhere orphans go to process 1, which in many containers never reaps them.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def group_exists(group: int) -> bool:
    """Return whether any process is left in a group whose leader is gone; adopted dead ones are reaped."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0] != 0:
            pass
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _wide_pipe() -> tuple[int, int]:
    """Return a pipe that holds a burst of output without stopping the rank, where the system grants that much."""
    reader, writer = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader, writer
