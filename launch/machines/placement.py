"""Where this launcher stands among others, as those say who started one on each machine: mpiexec, srun, pbsdsh, ...

`find_placement` reads environment variables, and nothing else of the machine but a list of hosts that a variable names.
`fill_in` puts what it finds where the command line says nothing.

Source: the manuals of Slurm (srun), Open MPI, MPICH (hydra), PBS (pbsdsh), LSF (blaunch), Kubernetes (Indexed Jobs),
Kubeflow's trainer (PyTorchJob) and Volcano.
"""

import argparse
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distrt.comm import slurm
from launch.machines.addresses import port_of

__all__ = ["Placement", "fill_in", "find_placement"]

Variables = Mapping[str, str]

_KUBERNETES_PORT = 29500


@dataclass(frozen=True)
class Placement:
    """One launcher of several.

    Attributes:
        source: who says so.
        node_rank: this launcher's number.
        nodes: how many there are; None where nobody says.
        host, port: where number 0 can be reached; no host where nobody says.
        has_pmi: whether the launchers can tell one another the rest through the process manager.
    """

    source: str
    node_rank: int
    nodes: int | None
    host: str = ""
    port: int = 0
    has_pmi: bool = False


def find_placement(
    variables: Variables,
    host_name: Callable[[], str] = socket.getfqdn,
    read_text: Callable[[str], str] = lambda path: Path(path).read_text(),
) -> Placement | None:
    """Return this launcher's place among others, or None where it is the only one.

    From the inner to the outer: mpiexec runs within a batch job, and tasks of a step within an allocation.

    Raises:
        ValueError: the variables make no sense.
    """
    for read in (_pmi, _open_mpi, _slurm, _pbs, _lsf, _volcano, _kubeflow, _indexed_job):
        found = read(variables, host_name, read_text)
        if found is not None:
            if found.nodes is not None and not 0 <= found.node_rank < found.nodes:
                raise ValueError(
                    f"{found.source} says that this is launcher {found.node_rank} of {found.nodes}; "
                    f"give --node-rank and --nnodes, or --standalone for a job on this machine alone"
                )
            return None if found.nodes == 1 else found
    return None


def fill_in(given: argparse.Namespace, variables: Variables) -> Placement | None:
    """Complete --nnodes, --node-rank, --master-addr and --master-port out of the environment, where they are not given.

    Returns:
        The place that was found and used.

    Raises:
        ValueError: there are several launchers, and nobody says where they meet.
    """
    if given.standalone or given.rdzv_backend != "static" or given.rdzv_endpoint:
        return None
    found = find_placement(variables)
    if found is None or (found.nodes is None and given.nnodes == "1:1"):
        return None
    if given.nnodes not in ("1:1", str(found.nodes)) and found.nodes is not None:
        return None  # it is about something else
    given.nnodes = given.nnodes if found.nodes is None else str(found.nodes)
    if given.master_addr != "127.0.0.1":
        given.node_rank = given.node_rank or found.node_rank
        return None
    if not found.host and not found.has_pmi:
        raise ValueError(
            f"{found.source} started this as launcher {found.node_rank} of {given.nnodes}, and does not say where "
            f"number 0 is: give --master-addr, or --standalone for a job on this machine alone"
        )
    given.node_rank = given.node_rank or found.node_rank
    given.master_addr = found.host
    given.master_port = given.master_port or found.port or None
    return found


def _pmi(variables: Variables, host_name: object, read_text: object) -> Placement | None:
    """MPICH's and Intel's mpiexec, and ``srun --mpi=pmi2``: with a connection to the process manager."""
    if not variables.get("PMI_FD") or not variables.get("PMI_RANK"):
        return None
    return Placement("PMI", _number(variables, "PMI_RANK"), _number(variables, "PMI_SIZE"), has_pmi=True)


def _open_mpi(variables: Variables, host_name: object, read_text: Callable[[str], str]) -> Placement | None:
    """Open MPI says nothing of machines; a batch system around it may."""
    if not variables.get("OMPI_COMM_WORLD_RANK"):
        return None
    nodes = _number(variables, "OMPI_COMM_WORLD_SIZE")
    job = variables.get("PMIX_NAMESPACE") or variables.get("OMPI_MCA_ess_base_jobid") or "0"
    if _number(variables, "OMPI_COMM_WORLD_LOCAL_SIZE") == nodes:
        host = "127.0.0.1"
    else:
        host = next(iter(_scheduled_hosts(variables, read_text)), "")
    return Placement("Open MPI", _number(variables, "OMPI_COMM_WORLD_RANK"), nodes, host, port_of(job))


def _slurm(variables: Variables, host_name: object, read_text: object) -> Placement | None:
    if not slurm.is_task(variables):
        return None
    nodes = _number(variables, slurm.task_count(variables))
    if nodes == 1:
        return Placement("Slurm", 0, 1)
    host, port = slurm.meeting_point(variables, slurm.local_world_size(variables, nodes), nodes)
    return Placement("Slurm", _number(variables, "SLURM_PROCID"), nodes, host, port)


def _pbs(
    variables: Variables, host_name: Callable[[], str], read_text: Callable[[str], str]
) -> Placement | None:
    """A task that pbsdsh started; the batch script itself is task 1, and alone."""
    if not variables.get("PBS_NODEFILE") or _number(variables, "PBS_TASKNUM", 1) <= 1:
        return None
    hosts = _scheduled_hosts(variables, read_text)
    number = _place_of(host_name(), hosts, _number(variables, "PBS_NODENUM"))
    return Placement("PBS", number, len(hosts), hosts[0], port_of(variables.get("PBS_JOBID", "")))


def _lsf(
    variables: Variables, host_name: Callable[[], str], read_text: Callable[[str], str]
) -> Placement | None:
    """A task that blaunch started."""
    if not variables.get("LSB_JOBID") or not variables.get("LSF_PM_TASKID"):
        return None
    hosts = _scheduled_hosts(variables, read_text)
    number = _place_of(host_name(), hosts, _number(variables, "LSF_PM_TASKID") - 1)
    return Placement("LSF", number, len(hosts), hosts[0], port_of(variables["LSB_JOBID"]))


def _volcano(variables: Variables, host_name: object, read_text: object) -> Placement | None:
    lists = [name for name in variables if re.fullmatch(r"VC_\w+_HOSTS", name)]
    index = variables.get("VC_TASK_INDEX") or variables.get("VK_TASK_INDEX")
    if not index or len(lists) != 1:
        return None
    hosts = variables[lists[0]].split(",")
    return Placement("Volcano", int(index), len(hosts), hosts[0], _KUBERNETES_PORT)


def _kubeflow(variables: Variables, host_name: object, read_text: object) -> Placement | None:
    """A pod of a PyTorchJob: these are the numbers of pods, for nobody is a rank yet."""
    names = ("KUBERNETES_SERVICE_HOST", "MASTER_ADDR", "WORLD_SIZE", "RANK")
    if not all(variables.get(name) for name in names) or variables.get("LOCAL_RANK"):
        return None
    port = _number(variables, "MASTER_PORT", _KUBERNETES_PORT)
    return Placement(
        "Kubeflow",
        _number(variables, "RANK"),
        _number(variables, "WORLD_SIZE"),
        variables["MASTER_ADDR"],
        port,
    )


def _indexed_job(variables: Variables, host_name: Callable[[], str], read_text: object) -> Placement | None:
    """A pod of an Indexed Job with a headless service: pod 0 is called like this one, but for the number."""
    if not variables.get("KUBERNETES_SERVICE_HOST") or not variables.get("JOB_COMPLETION_INDEX"):
        return None
    index = _number(variables, "JOB_COMPLETION_INDEX")
    match = re.fullmatch(rf"(.+)-{index}(\..*)?", host_name())
    host = f"{match[1]}-0{match[2] or ''}" if match else ""
    return Placement("Kubernetes", index, None, host, _KUBERNETES_PORT)


def _scheduled_hosts(variables: Variables, read_text: Callable[[str], str]) -> list[str]:
    """The machines of the batch job, each once, the first one first."""
    if text := variables.get("SLURM_JOB_NODELIST"):
        return slurm.expand_hosts(text)
    if path := variables.get("PBS_NODEFILE") or variables.get("LSB_DJOB_HOSTFILE"):
        try:
            return list(dict.fromkeys(read_text(path).split()))
        except OSError as error:
            raise ValueError(f"the list of machines cannot be read: {error}") from None
    words = variables.get("LSB_MCPU_HOSTS", "").split()[::2] or variables.get("LSB_HOSTS", "").split()
    return list(dict.fromkeys(words))


def _place_of(name: str, hosts: list[str], otherwise: int) -> int:
    """Where a machine stands in a list, whichever of them write their names in full."""
    short = [host.partition(".")[0] for host in hosts]
    own = name.partition(".")[0]
    return short.index(own) if own in short else otherwise


def _number(variables: Variables, name: str, otherwise: int | None = None) -> int:
    text = variables.get(name, "")
    if not text and otherwise is not None:
        return otherwise
    if not text.isdigit():
        raise ValueError(f"{name}={text!r} is not a whole number")
    return int(text)
