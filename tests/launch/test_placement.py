"""Where a launcher stands among others, by the variables of those who start one on each machine."""

import pytest

from launch.command.arguments import parse_arguments
from launch.machines.placement import Placement, find_placement
from tests.launch.conftest import Refused

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_NODELIST": "gpu[07-08]",
    "SLURM_NNODES": "2",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
    "PMIX_NAMESPACE": "prterun-a-1@1",
}
PBS = {"PBS_NODEFILE": "/nodes", "PBS_TASKNUM": "3", "PBS_NODENUM": "1", "PBS_JOBID": "12.server"}
LSF = {"LSB_JOBID": "5", "LSF_PM_TASKID": "2", "LSB_MCPU_HOSTS": "hostA 4 hostB 4"}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}
KUBEFLOW = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "MASTER_ADDR": "job-master-0",
    "MASTER_PORT": "23456",
    "WORLD_SIZE": "3",
    "RANK": "2",
}
VOLCANO = {"VC_TASK_INDEX": "1", "VC_WORKER_HOSTS": "w-0.job,w-1.job"}


def find(variables: dict[str, str], host_name: str = "somewhere") -> Placement | None:
    files = {"/nodes": "hostA\nhostA\nhostB.cluster\nhostB.cluster\n"}
    return find_placement(variables, lambda: host_name, files.__getitem__)


def place(variables: dict[str, str], host_name: str = "somewhere") -> tuple[object, ...] | None:
    found = find(variables, host_name)
    return None if found is None else (found.source, found.node_rank, found.nodes, found.host)


@pytest.mark.parametrize(
    ("variables", "host_name", "expected"),
    [
        ({}, "h", None),
        (SLURM, "h", ("Slurm", 1, 2, "gpu07")),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NODEID": "0"}, "h", ("Slurm", 1, 2, "127.0.0.1")),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_NODEID": "0"}, "h", None),
        # The batch script itself is one launcher, whatever the allocation has.
        ({**SLURM, "SLURM_STEP_ID": "4294967291", "SLURM_PROCID": "0"}, "h", None),
        ({"PMI_FD": "9", "PMI_RANK": "0", "PMI_SIZE": "2"}, "h", ("PMI", 0, 2, "")),
        ({"PMI_FD": "9", "PMI_RANK": "0", "PMI_SIZE": "1"}, "h", None),
        # The children of a rank have its variables, and not its connection.
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, "h", None),
        ({**SLURM, "PMI_FD": "9", "PMI_RANK": "1", "PMI_SIZE": "2"}, "h", ("PMI", 1, 2, "")),
        (OPEN_MPI, "h", ("Open MPI", 1, 2, "")),
        ({**OPEN_MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, "h", ("Open MPI", 1, 2, "127.0.0.1")),
        ({**OPEN_MPI, "PBS_NODEFILE": "/nodes", "PBS_TASKNUM": "1"}, "h", ("Open MPI", 1, 2, "hostA")),
        ({**OPEN_MPI, **SLURM, "SLURM_STEP_ID": "4294967291"}, "h", ("Open MPI", 1, 2, "gpu07")),
        (PBS, "hostA.cluster", ("PBS", 0, 2, "hostA")),
        (PBS, "hostB", ("PBS", 1, 2, "hostA")),
        (PBS, "unknown", ("PBS", 1, 2, "hostA")),
        ({**PBS, "PBS_TASKNUM": "1"}, "hostA", None),
        (LSF, "hostB", ("LSF", 1, 2, "hostA")),
        (LSF, "unknown", ("LSF", 1, 2, "hostA")),
        ({**LSF, "LSF_PM_TASKID": ""}, "hostA", None),
        ({**LSF, "LSB_MCPU_HOSTS": "", "LSB_HOSTS": "hostA hostA hostB"}, "hostB", ("LSF", 1, 2, "hostA")),
        ({**LSF, "LSB_DJOB_HOSTFILE": "/nodes"}, "hostB.cluster", ("LSF", 1, 2, "hostA")),
        (KUBERNETES, "job-1.svc.ns.local", ("Kubernetes", 1, None, "job-0.svc.ns.local")),
        (KUBERNETES, "job-x-1", ("Kubernetes", 1, None, "job-x-0")),
        (KUBERNETES, "other", ("Kubernetes", 1, None, "")),
        (KUBEFLOW, "h", ("Kubeflow", 2, 3, "job-master-0")),
        ({**KUBEFLOW, "LOCAL_RANK": "0"}, "h", None),
        (VOLCANO, "h", ("Volcano", 1, 2, "w-0.job")),
    ],
)
def test_a_launcher_finds_its_place(
    variables: dict[str, str], host_name: str, expected: tuple[object, ...] | None
) -> None:
    assert place(variables, host_name) == expected


@pytest.mark.parametrize("variables", [SLURM, OPEN_MPI, PBS, LSF])
def test_launchers_of_one_job_agree_on_the_port_and_those_of_another_do_not(
    variables: dict[str, str],
) -> None:
    names = ("SLURM_JOB_ID", "PMIX_NAMESPACE", "PBS_JOBID", "LSB_JOBID")
    other = {name: "8" if name in names else value for name, value in variables.items()}
    one, again, another = (find(each) for each in (variables, dict(variables), other))
    assert one is not None and again is not None and another is not None
    assert 20000 <= one.port == again.port < 32768 and another.port != one.port


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], (2, 1, "hostA")),
        (["--nnodes", "2"], (2, 1, "hostA")),
        (["--master-addr", "mine", "--nnodes", "2"], (2, 1, "mine")),
        (["--standalone"], (1, 0, "127.0.0.1")),
        (["--nnodes", "1"], (1, 0, "127.0.0.1")),
        (["--nnodes=3", "--node-rank=2", "--master-addr=mine"], (3, 2, "mine")),
        (["--nnodes=2", "--rdzv-endpoint=mine:1", "--node-rank=0"], (2, 0, "mine")),
        (["--nnodes=2", "--rdzv-backend=c10d", "--rdzv-endpoint=mine"], (2, None, "mine")),
    ],
)
def test_the_command_line_wins(options: list[str], expected: tuple[object, ...]) -> None:
    meeting = parse_arguments([*options, "t.py"], LSF).meeting
    assert (meeting.max_nodes, meeting.node_rank, meeting.host) == expected


def test_pods_of_an_indexed_job_are_one_job_if_told_how_many_there_are() -> None:
    assert parse_arguments(["t.py"], KUBERNETES).meeting.is_one_machine
    given = ["--nnodes=2", "--master-addr=job-0.svc", "t.py"]
    assert parse_arguments(given, KUBERNETES).meeting.node_rank == 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({**OPEN_MPI, "OMPI_COMM_WORLD_RANK": "2"}, "launcher 2 of 2"),
        ({**OPEN_MPI, "OMPI_COMM_WORLD_SIZE": "two"}, "OMPI_COMM_WORLD_SIZE='two' is not a whole number"),
        (OPEN_MPI, "give --master-addr, or --standalone"),
        ({**PBS, "PBS_NODEFILE": "/nowhere/at/all"}, "the list of machines cannot be read"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    refused: Refused, variables: dict[str, str], message: str
) -> None:
    assert message in refused(["t.py"], variables)
