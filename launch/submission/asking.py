"""Asking a batch system: its commands are run, and what they say is read."""

import re
import subprocess
from collections.abc import Sequence

from launch.submission.batch import BatchSystem, State

__all__ = ["BatchError", "NoSuchJobError", "ask", "ask_for_state", "is_taken"]

_PATIENCE_S = 60.0


class BatchError(Exception):
    """The batch system refuses, or is not there; the text is for the user."""


class NoSuchJobError(BatchError):
    """It answers, and knows no such job, or not any more."""


def ask(command: Sequence[str], text: str | None = None) -> str:
    """Run a command of the batch system, and return what it says.

    Raises:
        BatchError: it cannot be started, does not answer, or fails and says nothing but why.
    """
    done = _run(command, text)
    if done.returncode:
        why = " ".join((done.stderr or done.stdout).split())
        raise BatchError(f"{command[0]} refuses (exit code {done.returncode}): {why}")
    return done.stdout


def ask_for_state(system: BatchSystem, job: str) -> State:
    """Return how a job is.

    Raises:
        NoSuchJobError: there is none of that name.
        BatchError: the batch system does not tell.
    """
    command = system.show(job)
    done = _run(command)
    why = " ".join(done.stderr.split())
    is_unknown = re.search(system.unknown, why) is not None  # of which bjobs says with 0
    if not done.stdout.strip() and (done.returncode or is_unknown):
        if is_unknown:
            raise NoSuchJobError(f"{command[0]} knows no job {job}, or not any more: {why}")
        raise BatchError(f"{command[0]} does not tell (exit code {done.returncode}): {why}")
    return system.read_state(done.stdout)


def is_taken(system: BatchSystem, name: str) -> bool:
    """Whether there is a job of that name already, where names are not the batch system's to give."""
    return system.find is not None and _run(system.find(name)).returncode == 0


def _run(command: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=_PATIENCE_S,
            check=False,
        )
    except OSError as error:
        raise BatchError(
            f"{command[0]} cannot be started ({error.strerror}): is this a login node?"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BatchError(f"{command[0]} has not answered for {_PATIENCE_S:.0f} s") from error
