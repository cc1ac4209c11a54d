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
        logs: the files that its output is in, or may be in, as far as they are known.
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
        file_name: of the file in the job's folder that it is kept in.
        submit: the command that submits that file.
        reads_stdin: whether the file is that command's standard input instead.
        read_job: finds the job's name in what that command says.
        show: the command that says how a job is.
        read_state: reads what it says.
        unknown: a pattern in what it says of a job that it does not know.
        find: the command that fails where there is no such job; None where every submission gets a name of its own.
        follow: the command that shows a job's output of the last so many seconds (None: of all the time) and as it
            comes; None where it is in files.
        cancel: the command that ends a job.
    """

    name: str
    script: Callable[[Plan], str]
    file_name: Callable[[Plan], str]
    submit: Callable[[str], Command]
    read_job: Callable[[str], str]
    show: Callable[[str], Command]
    read_state: Callable[[str], State]
    unknown: str
    cancel: Callable[[str], Command]
    reads_stdin: bool = False
    find: Callable[[str], Command] | None = None
    follow: Callable[[str, int | None], Command] | None = None
