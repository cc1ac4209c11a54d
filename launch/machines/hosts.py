"""``--hosts a:4,b:4``: a launcher on each of these machines, started by ssh or mpiexec; this process runs no ranks.

By ssh: the job's secret goes to each launcher as the first line of its standard input, never onto a command line, where
others could read it. The input then stays open: when it ends, because this process or the connection has, the
launcher ends its ranks. By mpiexec: this process becomes mpiexec, through which the launchers find one another
(`launch.machines.process_manager`). `launch.chief` runs them.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.job import THREAD_VARIABLES
from launch.ranks.processes import python_command

__all__ = ["Host", "Words", "launcher_command", "mpiexec_command", "read_hosts", "ssh_command"]

Words = tuple[tuple[str, ...], tuple[str, ...]]

_SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=5")
_PASSED_ON = re.compile(
    r"(DISTRT_(?!JOB_SECRET)\w+|PYTHONPATH|TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE|NO_COLOR)$"
)


@dataclass(frozen=True)
class Host:
    """A machine, as ssh (``user@name``) or mpiexec knows it, and how many ranks it gets, as text."""

    name: str
    ranks: str

    @property
    def address(self) -> str:
        """What the other machines call it."""
        return self.name.rpartition("@")[2]


def read_hosts(text: str, ranks: str) -> tuple[Host, ...]:
    """Read ``a:4,b:4``; a host without a number gets ``ranks``.

    Raises:
        ValueError: it is malformed, or names a host twice.
    """
    hosts = []
    for part in text.split(","):
        name, colon, count = part.strip().partition(":")
        if not re.fullmatch(r"[\w@][\w.@-]*", name) or (colon and not re.fullmatch(r"[1-9]\d*", count)):
            raise ValueError(f"--hosts {text}: expected NAME[:RANKS],..., as in a:4,b:4; got {part!r}")
        hosts.append(Host(name, count or ranks))
    if len({host.name for host in hosts}) < len(hosts):
        raise ValueError(f"--hosts {text}: a machine is named twice")
    return tuple(hosts)


def launcher_command(hosts: Sequence[Host], number: int, words: Words, port: int | None) -> list[str]:
    """Return the command of one machine's launcher: ours, with other values for some options, of which the last counts.

    Args:
        words: our own command line, before the script and from there on.
        port: where the first machine serves the store; None where a process manager tells.
    """
    place = ["--hosts=", "--nproc-per-node", hosts[number].ranks]
    if port is not None:
        address = ["--master-addr", hosts[0].address, "--master-port", str(port)]
        place += ["--nnodes", str(len(hosts)), "--node-rank", str(number), *address]
    return [*python_command(), "-m", "launch", *words[0], *place, *words[1]]


def ssh_command(host: Host, command: Sequence[str], variables: Mapping[str, str], folder: str) -> list[str]:
    """Return how ``command`` is run on a machine by ssh: in ``folder``, with some of our variables."""
    kept = {
        name: value
        for name, value in variables.items()
        if _PASSED_ON.match(name) or (name in THREAD_VARIABLES and value)
    }
    words = [
        f"cd {shlex.quote(folder)} && exec env",
        *(f"{name}={shlex.quote(value)}" for name, value in sorted(kept.items())),
        shlex.join(command),
    ]
    return [*_SSH, host.name, f"sh -c {shlex.quote(' '.join(words))}"]


def mpiexec_command(hosts: Sequence[Host], words: Words) -> list[str]:
    """Return how mpiexec starts one launcher on each machine; the one beside our interpreter is preferred."""
    beside = Path(sys.executable).with_name("mpiexec")
    command = [str(beside) if beside.exists() else "mpiexec", "-host"]
    command.append(",".join(f"{host.name}:1" for host in hosts))
    for number in range(len(hosts)):
        command += [":"] * (number > 0)
        command += ["-n", "1", *launcher_command(hosts, number, words, None)]
    return command
