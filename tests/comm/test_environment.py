"""``read_environment`` under Slurm, Open MPI and PMI, and under one launcher within another."""

import pytest

from distrt.comm import slurm
from distrt.comm.environment import read_environment, require_same_world
from distrt.core.errors import RendezvousError, SettingError

JOB = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_NTASKS": "4"}
BATCH = {
    **JOB,
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_TASKS_PER_NODE": "2(x2)",
}
TASK = {**BATCH, "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}
FIRST_TASK = {**BATCH, "SLURM_STEP_ID": "0"}
LAUNCHED = {
    **dict(
        zip(
            ("DISTRT_RANK", "DISTRT_WORLD_SIZE", "DISTRT_LOCAL_RANK", "DISTRT_LOCAL_WORLD_SIZE"),
            "1212",
            strict=True,
        )
    ),
    **{"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
}
LAUNCHED["DISTRT_LOCAL_RANK"], LAUNCHED["DISTRT_LOCAL_WORLD_SIZE"] = "1", "2"


def place(variables, **given):
    found = read_environment(variables, **given)
    return found.rank, found.world_size, found.local_rank, found.local_world_size, found.source


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (TASK, (3, 4, 1, 2, "Slurm")),
        (FIRST_TASK, (0, 4, 0, 2, "Slurm")),
        (
            {**FIRST_TASK, "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"},
            (0, 2, 0, 1, "Slurm"),
        ),
        ({**TASK, "SLURM_TASKS_PER_NODE": "3,1", "SLURM_LOCALID": "0"}, (3, 4, 0, 1, "Slurm")),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}, (0, 2, 0, 2, "Slurm")),
        ({**BATCH, "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}, (0, 4, 0, 2, "Slurm")),
        (
            {
                "OMPI_COMM_WORLD_RANK": "3",
                "OMPI_COMM_WORLD_SIZE": "4",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            },
            (3, 4, 1, 2, "Open MPI"),
        ),
        (
            {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"},
            (3, 4, 1, 2, "PMI"),
        ),
    ],
)
def test_every_launcher_tells_a_rank_its_place(variables, expected):
    assert place(variables) == expected


@pytest.mark.parametrize(
    "variables",
    [
        JOB,
        BATCH,
        {**BATCH, "SLURM_STEP_ID": "batch"},
        {**BATCH, "SLURM_STEP_ID": "4294967291"},
        {"MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2"},
    ],
)
def test_a_process_that_no_one_started_with_others_is_a_world_of_one(variables):
    assert place(variables) == (0, 1, 0, 1, "none")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({**TASK, "PMI_RANK": "3", "PMI_SIZE": "4"}, (3, 4, 1, 2, "Slurm")),
        (
            {**FIRST_TASK, "SLURM_NTASKS": "2", "SLURM_TASKS_PER_NODE": "1(x2)", **LAUNCHED},
            (1, 2, 1, 2, "distrt-launch"),
        ),
        ({**TASK, "PMI_RANK": "3", "PMI_SIZE": "4", **LAUNCHED}, (1, 2, 1, 2, "distrt-launch")),
        ({**BATCH, **LAUNCHED}, (1, 2, 1, 2, "distrt-launch")),
        (
            {
                **TASK,
                "TORCHELASTIC_RUN_ID": "x",
                "RANK": "0",
                "WORLD_SIZE": "4",
                "LOCAL_RANK": "0",
                "LOCAL_WORLD_SIZE": "1",
            },
            (0, 4, 0, 1, "torchrun"),
        ),
        (
            {**TASK, "RANK": "7", "WORLD_SIZE": "8", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"},
            (7, 8, 3, 4, "torchrun"),
        ),
        (
            {**FIRST_TASK, "SLURM_NTASKS": "1", "SLURM_TASKS_PER_NODE": "1", "RANK": "1", "WORLD_SIZE": "2"},
            (1, 2, 1, 2, "torchrun"),
        ),
        ({**FIRST_TASK, "PMI_RANK": "1", "PMI_SIZE": "2"}, (1, 2, 1, 2, "PMI")),
    ],
)
def test_of_launchers_within_one_another_the_inner_one_decides(variables, expected):
    assert place(variables) == expected


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {**TASK, "RANK": "0", "WORLD_SIZE": "4"},
            r"torchrun says rank 0 of 4, Slurm says rank 3 of 4; in each task, `export RANK=\$SLURM_PROCID",
        ),
        ({**TASK, "RANK": "0", "WORLD_SIZE": "1"}, "torchrun says rank 0 of 1, Slurm says rank 3 of 4"),
        (
            {**TASK, "PMI_RANK": "0", "PMI_SIZE": "1"},
            r"PMI says rank 0 of 1; start the tasks with `srun --mpi=pmi2`",
        ),
        ({**LAUNCHED, "RANK": "0"}, "distrt-launch says rank 1 of 2, torchrun says rank 0 of 2"),
        ({"RANK": "0", "WORLD_SIZE": "2", "PMI_RANK": "1", "PMI_SIZE": "2"}, "PMI says rank 1 of 2"),
        ({"PMI_RANK": "1"}, "found PMI_RANK=1, but PMI_SIZE not"),
        ({**TASK, "SLURM_TASKS_PER_NODE": "x"}, "SLURM_TASKS_PER_NODE='x' does not say"),
    ],
)
def test_real_contradictions_name_both_sides_and_the_fix(variables, message):
    with pytest.raises(RendezvousError, match=message) as caught:
        read_environment(variables)
    assert isinstance(caught.value, ValueError)  # PyTorch's class for variables that are missing


def test_a_script_that_knows_its_place_wins_over_contradictory_variables():
    assert place({**TASK, "RANK": "0", "WORLD_SIZE": "4"}, rank=1, world_size=3) == (1, 3, 1, 3, "script")


def test_mpi_must_know_the_jobs_ranks():
    require_same_world(read_environment(TASK), 4)
    with pytest.raises(
        SettingError, match=r"Slurm says that this job has 4 ranks, but MPI knows of 1; .*srun --mpi=pmi2"
    ):
        require_same_world(read_environment(TASK), 1)
    with pytest.raises(SettingError, match=r"torchrun says that this job has 2 ranks, but MPI knows of 3"):
        require_same_world(read_environment({"RANK": "0", "WORLD_SIZE": "2"}), 3)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("gpu5", ["gpu5"]),
        ("node[1-3,07],gpu5", ["node1", "node2", "node3", "node07", "gpu5"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("r[1-2]n[1,3]-ib", ["r1n1-ib", "r1n3-ib", "r2n1-ib", "r2n3-ib"]),
        ("a,b[2],c", ["a", "b2", "c"]),
    ],
)
def test_lists_of_machines_are_expanded(text, hosts):
    assert slurm.expand_hosts(text) == hosts


@pytest.mark.parametrize("text", ["", "a[1-", "a[x]", "a]1[", "a[3-1]", "a,,b", "a[1-99999999]"])
def test_a_malformed_list_of_machines_is_refused(text):
    with pytest.raises(SettingError, match="malformed"):
        slurm.expand_hosts(text)


def test_tasks_meet_at_the_first_machine_and_each_step_at_its_own_port():
    hosts = {**TASK, "SLURM_STEP_NODELIST": "localhost,other"}
    assert slurm.meeting_point(hosts, 2, 4) == ("localhost", 20000 + 4711 % 192 * 64)
    jobs = [
        {**hosts, "SLURM_JOB_ID": str(4711 + job), "SLURM_STEP_ID": str(step)}
        for job in range(9)
        for step in range(9)
    ]
    ports = {slurm.meeting_point(variables, 2, 4)[1] for variables in jobs}
    assert len(ports) == 81 and min(ports) >= 20000 and max(ports) < 32768
    assert slurm.meeting_point(hosts, 4, 4)[0] == "127.0.0.1"


def test_a_machine_whose_name_nobody_knows_is_asked_of_slurm(tmp_path, monkeypatch):
    unknown = {**TASK, "SLURM_STEP_NODELIST": "no-such-host.invalid", "SLURM_LAUNCH_NODE_IPADDR": "10.1.2.3"}
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        '#!/bin/sh\n[ "$*" = "--oneliner show node no-such-host.invalid" ] && echo "A=1 NodeAddr=10.9.9.9 B=2"'
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert slurm.meeting_point(unknown, 2, 4)[0] == "10.9.9.9"
    scontrol.write_text("#!/bin/sh\nexit 1")
    assert slurm.meeting_point(unknown, 2, 4)[0] == "10.1.2.3"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("no-such-host.invalid", False)],
)
def test_only_loopback_needs_no_secret(host, expected):
    assert slurm.is_loopback(host) is expected
