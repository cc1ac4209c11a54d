"""What Slurm's variables say: a task's place in its step, which machines there are, and where the ranks can meet.

``environment`` and ``rendezvous`` call it. Standard library only.
"""

import ipaddress
import re
import socket
import subprocess
from collections.abc import Mapping

from distrt.core.errors import SettingError

__all__ = ["expand_hosts", "is_loopback", "is_task", "local_world_size", "meeting_point", "task_count"]

#: Set by srun for the tasks of a step, and by nothing else.
_STEP_SIGNS = (
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_TASKS_PER_NODE",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_SRUN_COMM_HOST",
)
_FIRST_SPECIAL_STEP = 0xFFFFFFF0  # the batch, extern and interactive steps have the numbers up from here
_LOWEST_PORT, _JOBS, _STEPS = 20000, 192, 64  # ports up to 32287: outgoing connections have theirs above
_SCONTROL_S = 5.0
_PART = re.compile(r"([^,\[\]]*)(?:\[([^\]]*)\])?")


def is_task(variables: Mapping[str, str]) -> bool:
    """Whether this process is a task that srun started, and so one rank of several.

    The batch script of an allocation, a shell of ``salloc`` and what they start see SLURM_NTASKS and a
    SLURM_PROCID of 0 as well, but nobody started the other tasks: a plain ``python train.py`` there is a world of
    one, and ``distrt-launch`` there decides for itself. Such processes have no step's number, or one of the numbers
    that Slurm keeps for those steps, and none of the variables that only srun sets. Without any job number,
    somebody set the task's variables by hand, and meant them.
    """
    if not variables.get("SLURM_PROCID"):
        return False
    if variables["SLURM_PROCID"] != "0":
        return True
    step = variables.get("SLURM_STEP_ID") or variables.get("SLURM_STEPID") or ""
    if step:
        return step.isdigit() and int(step) < _FIRST_SPECIAL_STEP
    if any(variables.get(name) for name in _STEP_SIGNS):
        return True
    return not (variables.get("SLURM_JOB_ID") or variables.get("SLURM_JOBID"))


def task_count(variables: Mapping[str, str]) -> str:
    """Return the name of the variable that holds the number of the step's tasks."""
    names = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS")
    return next((name for name in names if variables.get(name)), "SLURM_NTASKS")


def local_world_size(variables: Mapping[str, str], world_size: int) -> int:
    """Return how many of the step's tasks are on this machine.

    SLURM_NTASKS_PER_NODE is there only if the user gave it, and is what was asked for; so it is looked at last.

    Raises:
        SettingError: the variables do not say.
    """
    node = int(variables.get("SLURM_NODEID") or 0)
    for name in ("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"):
        counts = _task_counts(variables.get(name, ""))
        if sum(counts) == world_size and node < len(counts):
            return counts[node]
    if node == 0 and (variables.get("SLURM_NNODES") or variables.get("SLURM_JOB_NUM_NODES") or "1") == "1":
        return world_size
    asked = variables.get("SLURM_NTASKS_PER_NODE", "")
    if asked.isdigit() and int(asked) > 0:
        return min(int(asked), world_size)
    raise SettingError(
        f"Slurm: {world_size} tasks on several machines, but SLURM_TASKS_PER_NODE="
        f"{variables.get('SLURM_TASKS_PER_NODE', '')!r} does not say how many are on machine {node}"
    )


def _task_counts(text: str) -> list[int]:
    """Read "2(x3),1" as 2, 2, 2, 1; nothing where it is malformed."""
    counts: list[int] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            return []
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def meeting_point(variables: Mapping[str, str], local_size: int, world_size: int) -> tuple[str, int]:
    """Return the host and port where rank 0 serves the store, the same in every task.

    The host is the first machine of the step; loopback where all tasks are on one. Where its name cannot be
    resolved, Slurm is asked for its address; and where Slurm does not say, it is the machine where srun ran, which
    under sbatch is the first one, too. Of the latest jobs, and of the steps of a job, each has a port of its own.
    """
    job = _digits(variables.get("SLURM_JOB_ID") or variables.get("SLURM_JOBID") or "")
    step = _digits(variables.get("SLURM_STEP_ID") or variables.get("SLURM_STEPID") or "")
    port = _LOWEST_PORT + job % _JOBS * _STEPS + step % _STEPS
    if local_size == world_size:
        return "127.0.0.1", port
    names = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
    hosts = next((variables[name] for name in names if variables.get(name)), "")
    if not hosts:
        raise SettingError(
            "Slurm: neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST is set; set MASTER_ADDR"
        )
    first = expand_hosts(hosts)[0]
    if _addresses(first):
        return first, port
    return _node_address(first) or variables.get("SLURM_LAUNCH_NODE_IPADDR") or first, port


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine alone."""
    found = _addresses(host)
    return bool(found) and all(ipaddress.ip_address(address).is_loopback for address in found)


def expand_hosts(text: str) -> list[str]:
    """Return the hosts of a list in Slurm's notation: "node[1-2,07],gpu5" is node1, node2, node07, gpu5.

    Raises:
        SettingError: the list is malformed.
    """
    hosts: list[str] = []
    for part in _split(text):
        names = [""]
        for match in _PART.finditer(part):
            plain, ranges = match[1], match[2]
            endings = [""] if ranges is None else _numbers(ranges, text)
            names = [name + plain + ending for name in names for ending in endings]
        hosts += names
    if not hosts or not all(hosts) or any("[" in host or "]" in host for host in hosts):
        raise SettingError(f"Slurm: the list of machines {text!r} is malformed")
    return hosts


def _split(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    if not re.fullmatch(r"[^\[\]]*(?:\[[^\[\]]+\][^\[\]]*)*", text):
        raise SettingError(f"Slurm: the list of machines {text!r} is malformed")
    return re.split(r",(?![^\[]*\])", text)


def _numbers(ranges: str, text: str) -> list[str]:
    found: list[str] = []
    for piece in ranges.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", piece)
        if match is None or int(match[2] or match[1]) - int(match[1]) not in range(1 << 20):
            raise SettingError(f"Slurm: the list of machines {text!r} is malformed")
        first, last = match[1], match[2] or match[1]
        found += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return found


def _digits(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _addresses(host: str) -> set[str]:
    """The addresses of a host, without a zone; none where its name cannot be resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(address[0]).partition("%")[0] for *_, address in found}


def _node_address(node: str) -> str | None:
    """The address that Slurm knows a node by; None where it does not say, or says a name that nobody knows."""
    try:
        run = subprocess.run(
            ["scontrol", "--oneliner", "show", "node", node],
            capture_output=True,
            text=True,
            timeout=_SCONTROL_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\bNodeAddr=(\S+)", run.stdout)
    return match[1] if match and _addresses(match[1]) else None
