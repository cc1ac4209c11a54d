"""Several launchers, one a machine: they meet, fail and restart together, and know which machine is lost."""

import json
import os
import re
import signal
import textwrap
import time
from collections.abc import Callable, Sequence

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun
from tests.multiprocess.mpi_ranks import MPIEXEC
from tests.multiprocess.namespaces import needs_namespaces, two_machines
from tests.ports import free_port

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

MEET = """
    import os, sys, time
    from distrt.comm.environment import read_environment
    from distrt.comm.stores.client import connect_store
    place, attempt = read_environment(), os.environ["TORCHELASTIC_RESTART_COUNT"]
    with connect_store(place, 30) as store:
        store.set(f"here/{place.rank}", b"")
        store.wait([f"here/{rank}" for rank in range(place.world_size)])
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")
    print("attempt", attempt, *(os.environ[name] for name in names), os.environ["TORCHELASTIC_RUN_ID"], flush=True)
"""
FAIL_FIRST = (
    MEET
    + """
    if attempt == "0" and place.rank == place.world_size - 1:
        raise ValueError("the cause")
    while attempt == "0":
        time.sleep(0.05)
"""
)
WAIT = MEET + "    while True: time.sleep(0.05)\n"


def start_machines(
    start_job: StartJob,
    text: str,
    options: Sequence[Sequence[str]],
    secrets: Sequence[str] = ("", ""),
    nproc: Sequence[int] = (2, 2),
    common: Sequence[str] = (),
) -> list[Job]:
    """One launcher for each entry of ``options``, on this machine."""
    conf = ["--rdzv-conf", "join_timeout=20,heartbeat_timeout=5", *common]
    return [
        start_job(
            textwrap.dedent(text),
            count,
            launcher_args=[*conf, *own],
            env={"DISTRT_JOB_SECRET": secret} if secret else None,
        )
        for own, secret, count in zip(options, secrets, nproc, strict=False)
    ]


def static(port: int, count: int = 2) -> list[list[str]]:
    """torchrun's way of numbering: each machine has its --node-rank."""
    return [
        ["--nnodes", str(count), "--node-rank", str(number), "--master-port", str(port)]
        for number in range(count)
    ]


def finish(jobs: Sequence[Job]) -> list[RankRun]:
    return [job.finish() for job in jobs]


def wait_for_output(job: Job, count: int) -> None:
    """Until so many ranks of a machine have written a line to their files."""

    def is_there() -> bool:
        run_dir = job.run_dir()
        found = list(run_dir.glob("attempt_0/*/stdout.log")) if run_dir else []
        return sum(path.stat().st_size > 0 for path in found) == count

    job.wait_for(is_there, timeout_s=PROMPT_S)


def test_machines_with_numbers_are_one_world(start_job: StartJob) -> None:
    jobs = start_machines(start_job, MEET, static(free_port()), nproc=(1, 2))
    runs = finish(jobs)
    assert [run.exit_code for run in runs] == [0, 0], runs
    run_id = str(runs[0].run_dir and runs[0].run_dir.name)
    assert runs[1].run_dir is not None and runs[1].run_dir.name == f"{run_id}-node1"
    assert runs[0].stdout == f"attempt 0 0 3 0 1 0 2 {run_id}\n"
    assert runs[1].lines(1) == [f"attempt 0 1 3 0 2 1 2 {run_id}"]
    assert runs[1].lines(2) == [f"attempt 0 2 3 1 2 1 2 {run_id}"]
    assert "machine 1 of 2, 2 ranks of 3" in runs[1].stderr


def test_machines_that_are_numbered_as_they_come_fail_and_restart_together(start_job: StartJob) -> None:
    meeting = ["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{free_port()}"]
    jobs = start_machines(
        start_job, FAIL_FIRST, [meeting, meeting], common=["--rdzv-id", "job7", "--max-restarts", "1"]
    )
    runs = finish(jobs)
    assert [run.exit_code for run in runs] == [0, 0], runs
    said = [line.split(" ", 1)[1] for run in runs for line in run.stdout.splitlines()]
    assert sorted(said) == sorted(
        f"attempt {attempt} {rank} 4 {rank % 2} 2 {rank // 2} 2 job7"
        for attempt in range(2)
        for rank in range(4)
    )
    for run in runs:  # whoever looks at either machine sees the cause
        assert run.stderr.count("ValueError: the cause") == 1 and "restart 1 of 1" in run.stderr
        assert "rank 3 (pid" in run.stderr and run.run_dir is not None
        result = json.loads((run.run_dir / "result.json").read_text())
        assert result["attempts"][0]["first_failure"]["rank"] == 3 and result["exit_code"] == 0


def test_a_killed_launcher_is_a_lost_machine(start_job: StartJob) -> None:
    jobs = start_machines(start_job, WAIT, static(free_port()))
    for job in jobs:
        wait_for_output(job, 2)
    jobs[1].process.kill()
    killed_at = time.monotonic()
    run = jobs[0].finish()
    assert run.exit_code == 69
    assert run.ended_at - killed_at < PROMPT_S
    assert re.search(r"machine 1 \(.+\) is lost: its launcher has ended", run.stderr), run
    jobs[1].process.wait()
    jobs[1].assert_nothing_left(wait_s=2.0)


@pytest.mark.slow
def test_the_machine_that_serves_the_store_may_be_lost(start_job: StartJob) -> None:
    jobs = start_machines(start_job, WAIT, static(free_port()))
    for job in jobs:
        wait_for_output(job, 2)
    jobs[0].process.kill()
    run = jobs[1].finish()
    assert run.exit_code == 69
    assert "the machine that serves the store at 127.0.0.1" in run.stderr and "is lost" in run.stderr, run
    jobs[0].process.wait()
    jobs[0].assert_nothing_left(wait_s=2.0)


@pytest.mark.slow
def test_a_signal_to_one_launcher_ends_all(start_job: StartJob) -> None:
    jobs = start_machines(start_job, WAIT, static(free_port()), nproc=(1, 2))
    wait_for_output(jobs[1], 2)
    jobs[1].process.send_signal(signal.SIGINT)
    runs = finish(jobs)
    assert [run.exit_code for run in runs] == [130, 130], runs
    assert all("stopped by SIGINT" in run.stderr for run in runs)


@pytest.mark.slow
def test_a_machine_that_is_done_waits_for_the_others_and_passes_a_signal_on(start_job: StartJob) -> None:
    first_ends = MEET + "    while place.rank: time.sleep(0.05)\n"
    jobs = start_machines(start_job, first_ends, static(free_port()), nproc=(1, 2))
    wait_for_output(jobs[1], 2)
    jobs[0].wait_for(lambda: not jobs[0].pids() or len(jobs[0].pids()) == 1)  # the guard
    time.sleep(0.5)
    assert jobs[0].process.poll() is None
    jobs[0].process.send_signal(signal.SIGTERM)
    runs = finish(jobs)
    assert [run.exit_code for run in runs] == [143, 143], runs
    assert all("stopped by SIGTERM" in run.stderr for run in runs)


@pytest.mark.slow
def test_two_machines_with_one_number_are_told(start_job: StartJob) -> None:
    first, second = static(free_port())
    third = [*second[:3], "1", *second[4:]]
    jobs = start_machines(start_job, MEET, [second, third, first], nproc=(1, 1, 1), secrets=("", "", ""))
    # A machine that comes when the others have already agreed waits for the next attempt, and there is none.
    runs = finish(jobs)
    told = [run for run in runs if "two machines have --node-rank 1" in run.stderr]
    assert [run.exit_code for run in told] == [69] * len(told)
    left_out = [run for run in runs if "has ended" in run.stderr and run.exit_code == 69]
    assert len(told) == 3 or (not told and len(left_out) == 1), runs


@pytest.mark.slow
def test_a_machine_with_another_secret_is_refused(start_job: StartJob) -> None:
    port = free_port()
    jobs = start_machines(start_job, MEET, static(port), secrets=("aa" * 32, "bb" * 32))
    refused = jobs[1].finish()
    assert refused.exit_code == 77
    assert f"the store at 127.0.0.1:{port} does not hold this machine's DISTRT_JOB_SECRET" in refused.stderr
    jobs[0].process.send_signal(signal.SIGTERM)
    alone = jobs[0].finish()
    assert alone.exit_code == 143 and "stopped by SIGTERM" in alone.stderr, alone


@pytest.mark.ci
@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--master-addr", "0.0.0.0"], 77, "set DISTRT_JOB_SECRET to the same hex digits"),
        (["--rdzv-conf", "join_timeout=0.3"], 69, "1 of 2 machines came to 127.0.0.1"),
        (["--rdzv-conf", "join_timeout=0.3", "--node-rank", "1"], 69, "is machine 0 running"),
    ],
)
def test_machines_that_cannot_meet_say_why(
    run_ranks: RunRanks, options: list[str], exit_code: int, message: str
) -> None:
    run = run_ranks("pass", 1, launcher_args=["--nnodes=2", f"--master-port={free_port()}", *options])
    assert run.exit_code == exit_code and run.duration_s < PROMPT_S
    assert message in run.stderr, run


@pytest.mark.slow
def test_a_range_of_machines_starts_with_those_that_came(run_ranks: RunRanks) -> None:
    options = ["--nnodes=1:3", "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{free_port()}"]
    run = run_ranks(
        textwrap.dedent(MEET), 2, launcher_args=[*options, "--rdzv-conf", "last_call_timeout=0.3"]
    )
    assert run.exit_code == 0, run
    assert sorted(line.split()[3:9] for line in run.stdout.splitlines()) == [
        ["0", "2", "0", "2", "0", "1"],
        ["1", "2", "1", "2", "0", "1"],
    ]


ALL_REDUCE = """
    import os, time
    import distrt as torch
    import distrt.distributed as dist
    dist.init_process_group("gloo")
    ones = torch.full((1000,), float(dist.get_rank()))
    dist.all_reduce(ones)
    print("sum", float(ones[0]), os.environ["GROUP_RANK"], flush=True)
    while os.path.exists("wait"):
        time.sleep(0.05)
        dist.all_reduce(ones)
    dist.destroy_process_group()
"""


@pytest.mark.slow
@needs_namespaces
def test_two_machines_on_a_cable_sum_and_notice_that_it_is_cut(start_job: StartJob) -> None:
    pytest.importorskip("mpi4py", reason="needs distrt[mpi]")
    secret = os.urandom(32).hex()
    with two_machines() as machines:
        common = ["--nnodes=2", "--master-port=29500", "--rdzv-conf", "join_timeout=30,heartbeat_timeout=2"]

        def start(text: str) -> list[Job]:
            address = machines[0].address
            return [
                start_job(
                    textwrap.dedent(text),
                    2,
                    launcher_args=[f"--node-rank={number}", f"--master-addr={address}", *common],
                    env={"DISTRT_JOB_SECRET": secret, "DISTRT_MACHINE": f"machine{number}"},
                    prefix=machine.prefix,
                )
                for number, machine in enumerate(machines)
            ]

        runs = finish(start(ALL_REDUCE))
        assert [run.exit_code for run in runs] == [0, 0], runs
        assert [
            run.lines(rank)[-1] for run, ranks in zip(runs, ((0, 1), (2, 3)), strict=True) for rank in ranks
        ] == [f"sum 6.0 {number}" for number in (0, 0, 1, 1)]
        jobs = start(WAIT)
        for job in jobs:
            wait_for_output(job, 2)
        machines[1].cut()
        cut_at = time.monotonic()
        runs = finish(jobs)
        assert [run.exit_code for run in runs] == [69, 69], runs
        assert re.search(r"machine 1 \(.+\) is lost: it has said nothing for", runs[0].stderr), runs
        assert "the machine that serves the store at 10.77.0.1" in runs[1].stderr, runs
        assert all(run.ended_at - cut_at < PROMPT_S for run in runs)


@pytest.mark.slow
@needs_namespaces
def test_a_cable_that_is_cut_for_a_moment_costs_a_job_nothing(start_job: StartJob) -> None:
    secret = os.urandom(32).hex()
    text = WAIT.replace("while True", "while not os.path.exists('enough')")
    with two_machines() as machines:
        jobs = [
            start_job(
                textwrap.dedent(text),
                1,
                launcher_args=[
                    f"--node-rank={number}",
                    f"--master-addr={machines[0].address}",
                    *["--nnodes=2", "--master-port=29500", "--rdzv-conf", "join_timeout=30"],
                ],
                env={"DISTRT_JOB_SECRET": secret},
                prefix=machine.prefix,
            )
            for number, machine in enumerate(machines)
        ]
        for job in jobs:
            job.wait_for(lambda job=job: job.run_dir() is not None, PROMPT_S)
        time.sleep(2.0)
        for machine in machines:
            machine.cut()
            time.sleep(1.5)
            machine.mend()
            time.sleep(1.5)
        (jobs[0].run_base.parent / "enough").touch()
        runs = finish(jobs)
        assert [run.exit_code for run in runs] == [0, 0], runs


@pytest.mark.ci
def test_launchers_that_mpiexec_started_find_one_another(start_job: StartJob) -> None:
    """Neither place nor secret is given: the process manager carries them."""
    pytest.importorskip("mpi4py", reason="needs distrt[mpi]")
    run = start_job(textwrap.dedent(MEET), 2, prefix=(str(MPIEXEC), "-n", "2")).finish()
    assert run.exit_code == 0, run
    places = {line.split("]")[0]: line.split()[3:9] for line in run.stdout.splitlines()}
    assert places == {
        f"[{rank}": [str(rank), "4", str(rank % 2), "2", str(rank // 2), "2"] for rank in range(4)
    }
