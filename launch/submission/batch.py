"""What ``distrt-launch submit`` needs to know of a batch system."""

from collections.abc import Callable
from dataclasses import dataclass

from launch.submission.plan import Plan

__all__ = ["BatchSystem", "State"]

Command = tuple[str, ...]


@dataclass(frozen=True)
class State:
    """What a batch system says of a job.

    Attributes:
        text: in its own words.
        is_over: whether it does not run again.
        exit_code: the job's, when it is over.
        logs: the files of its output, as far as they are known.
    """

    text: str
    is_over: bool = False
    exit_code: int = 0
    logs: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchSystem:
    """A batch system, as its commands.

    Attributes:
        script: writes what is submitted.
        suffix: of the file that it is kept in.
        submit: the command that submits that file.
        reads_stdin: whether the file is that command's standard input instead.
        read_job: finds the job's name in what that command says.
        show: the command that says how a job is.
        read_state: reads what it says; the exit code of ``show`` is not looked at.
        follow: the command that shows a job's output as it comes; None where it is in files.
        cancel: the command that ends a job.
    """

    name: str
    script: Callable[[Plan], str]
    suffix: str
    submit: Callable[[str], Command]
    read_job: Callable[[str], str]
    show: Callable[[str], Command]
    read_state: Callable[[str], State]
    cancel: Callable[[str], Command]
    reads_stdin: bool = False
    follow: Callable[[str], Command] | None = None
