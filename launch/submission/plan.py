"""What is submitted: the job's wishes, the same for every batch system, and its command."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "HELD",
    "HOLD",
    "SECRET",
    "Plan",
    "minutes",
    "read_array",
    "read_nodes",
    "read_time",
    "shell_words",
]

#: A line of shell that gives the tasks of one job a secret of their own. It is on no command line.
SECRET = "export DISTRT_JOB_SECRET=\"$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \\n')\""
#: A line of shell, and what a launcher is then started with, so that a warning that comes before it listens waits for
#: it. A mask is inherited by what is executed, as a trap is not; coreutils before 8.31 can but have it ignored.
HOLD = """\
hold=(env --block-signal=USR1) # until the launcher listens
"${hold[@]}" true 2>/dev/null || hold=(bash -c 'trap "" USR1; exec "$@"' bash)
"""
HELD = '"${hold[@]}"'
_LINE = 100
_DAYS = re.compile(r"(?P<d>\d+)-(?P<h>\d+)(?::(?P<m>\d+)(?::(?P<s>\d+))?)?")
_HOURS = re.compile(r"(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+)")


@dataclass(frozen=True)
class Plan:
    """A job to be submitted.

    Attributes:
        command: what is run once on each machine: an interpreter, the launcher's options, the script, its arguments.
        folder: where it runs; for Kubernetes relative where the image says it.
        nodes: the least and the greatest number of machines.
        ranks: how many ranks each has, as ``--nproc-per-node`` takes it.
        cpus, gpus: of each machine; 0 for what the batch system gives by itself.
        memory: of each machine, as the batch system writes it; empty for what it gives by itself.
        limit_s: how long it may run; 0 for as long as the batch system lets it.
        warning_s: how long before that the ranks are told (SIGUSR1), so that they save and end.
        array: the first and the last number of a job array, and how many may run at once (0: all); None for one job.
        log: where its output goes.
        extra: further options of the batch system.
        image: of the container, for Kubernetes.
        kind: of Kubernetes' objects.
        namespace: of Kubernetes; empty for the present one.
        attempts: how often Kubernetes starts it again.
    """

    command: tuple[str, ...]
    folder: Path
    name: str = "distrt"
    nodes: tuple[int, int] = (1, 1)
    ranks: str = "1"
    cpus: int = 0
    gpus: int = 0
    memory: str = ""
    limit_s: int = 0
    warning_s: int = 120
    queue: str = ""
    account: str = ""
    array: tuple[int, int, int] | None = None
    log: str = ""
    extra: tuple[str, ...] = ()
    image: str = ""
    kind: str = "job"
    namespace: str = ""
    attempts: int = 6

    @property
    def is_warned(self) -> bool:
        """Whether the ranks hear before their time is over."""
        return 0 < self.warning_s < self.limit_s


def shell_words(words: Sequence[str], first: str) -> str:
    """A command, over several lines where it gets long; ``first`` is shell already, and may be empty."""
    lines = [first]
    for word in map(shlex.quote, words):
        if not lines[-1]:
            lines[-1] = word
        elif len(lines[-1]) + len(word) < _LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}")
    return " \\\n".join(lines)


def read_time(text: str) -> int:
    """Read a time as seconds, as Slurm reads it: ``M``, ``M:S``, ``H:M:S``, ``D-H``, ``D-H:M``, ``D-H:M:S``.

    Raises:
        ValueError: it is none of these.
    """
    if text.isdecimal():
        return int(text) * 60
    match = _DAYS.fullmatch(text) or _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(
            f"--time {text}: expected minutes, [hours:]minutes:seconds, or days-hours[:minutes[:seconds]]"
        )
    found = {name: int(value or 0) for name, value in match.groupdict().items()}
    return ((found.get("d", 0) * 24 + found["h"]) * 60 + found["m"]) * 60 + found["s"]


def minutes(seconds: int) -> int:
    """Whole minutes, no fewer than asked for."""
    return -(-seconds // 60)


def read_nodes(text: str) -> tuple[int, int]:
    """Read ``N`` or ``MIN:MAX``.

    Raises:
        ValueError: it is neither.
    """
    match = re.fullmatch(r"([1-9]\d*)(?::([1-9]\d*))?", text)
    if match is None or int(match[1]) > int(match[2] or match[1]):
        raise ValueError(f"--nodes {text}: expected a number of machines, or MIN:MAX")
    return int(match[1]), int(match[2] or match[1])


def read_array(text: str) -> tuple[int, int, int]:
    """Read ``FIRST-LAST`` or ``FIRST-LAST%AT_ONCE``.

    Raises:
        ValueError: it is neither.
    """
    match = re.fullmatch(r"(\d+)-(\d+)(?:%([1-9]\d*))?", text)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"--array {text}: expected FIRST-LAST, or FIRST-LAST%AT_ONCE, as in 0-9%2")
    return int(match[1]), int(match[2]), int(match[3] or 0)
