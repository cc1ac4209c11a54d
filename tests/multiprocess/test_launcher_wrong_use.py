"""Wrong use: each case gives one line that says what is wrong, its exit code, and starts no rank."""

import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun
from tests.multiprocess.test_launcher_surroundings import small_disk
from tests.ports import free_port

StartJob = Callable[..., Job]
SECRET, OTHER = "aa" * 32, "bb" * 32


def explanations(run: RankRun) -> list[str]:
    """What the launcher says of its end: no usage, no headline, no notes."""
    lines = run.stderr.splitlines()
    told = [line for line in lines if line.startswith("distrt-launch: ") and "run directory runs" not in line]
    assert "Traceback" not in run.stderr and "started" not in run.stdout, run
    return [line for line in told if "waiting for other machines" not in line]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.ci
@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--no-such-option"], 2, "unrecognized arguments: --no-such-option"),
        (["--nproc-per-node", "some"], 2, "--nproc-per-node takes a number, auto, cpu or gpu, got 'some'"),
        (["--max-restarts", "x"], 2, "argument --max-restarts/--max_restarts: invalid int value: 'x'"),
        (
            ["--master-port", "{taken}"],
            69,
            "the store cannot listen on 127.0.0.1:{taken}: Address already in use",
        ),
        (["--master-addr", "192.0.2.1"], 69, "the store cannot listen on 192.0.2.1:0: Cannot assign"),
        (
            ["--nnodes=2", "--node-rank=1", "--master-addr=127.0.0.1", "--master-port={free}"],
            69,
            "no store at",
        ),
        (["--nnodes=2", "--node-rank=1", "--master-addr=no.such.host.invalid"], 69, "no.such.host.invalid"),
        (["--nnodes=2", "--master-port={taken}"], 69, "the store cannot listen on 127.0.0.1:{taken}"),
        (["--log-dir", "/proc/nowhere"], 73, "no run directory can be made in /proc/nowhere"),
        (
            ["--log-dir", "{readonly}"],
            73,
            "no run directory can be made in {readonly} (Read-only file system)",
        ),
        (["--log-dir", "{script}"], 73, "no run directory can be made in {script} (File exists)"),
        (["--config", "{script}"], 2, "--config {script}:"),
        (["--hosts", "a:b"], 2, "--hosts a:b: expected NAME[:RANKS],..."),
    ],
)
def test_a_wrong_command_line_gets_one_line(
    start_job: StartJob,
    tmp_path: Path,
    taken_port: int,
    options: Sequence[str],
    exit_code: int,
    message: str,
) -> None:
    with ExitStack() as stack:
        found = {"taken": taken_port, "free": free_port(), "script": tmp_path / "script.py", "readonly": ""}
        if "{readonly}" in options:
            found["readonly"] = stack.enter_context(small_disk(tmp_path / "disk", "64k"))
            subprocess.run(["mount", "-o", "remount,ro", str(found["readonly"])], check=True)
        given = [option.format(**found) for option in options]
        patience = ["--rdzv-conf", "join_timeout=0.5"]
        run = start_job("print('started')", 1, launcher_args=[*patience, *given]).finish()
    assert run.exit_code == exit_code, run
    told = [line for line in run.stderr.splitlines() if line.startswith("distrt-launch: ")]
    assert len(told) == 1 and message.format(**found) in told[0], run
    assert "Traceback" not in run.stderr and not run.stdout


@pytest.mark.ci
def test_a_machine_with_another_secret_gets_one_line(start_job: StartJob) -> None:
    port = free_port()
    common = ["--nnodes=2", f"--master-port={port}", "--rdzv-conf", "join_timeout=3"]
    jobs = [
        start_job(
            "print('started')", 1, launcher_args=[*common, f"--node-rank={number}"],
            env={"DISTRT_JOB_SECRET": secret},
        )
        for number, secret in enumerate((SECRET, OTHER))
    ]  # fmt: skip
    runs = [job.finish() for job in jobs]
    assert [run.exit_code for run in runs] == [69, 77], runs
    (first,), (second,) = map(explanations, runs)
    assert "1 of 2 machines came to" in first and "does not hold this machine's DISTRT_JOB_SECRET" in second


@pytest.mark.ci
def test_machines_with_the_same_number_get_one_line_each(start_job: StartJob) -> None:
    port = free_port()
    common = ["--nnodes=3", f"--master-port={port}", "--rdzv-conf", "join_timeout=20"]
    jobs = [
        start_job("print('started')", 1, launcher_args=[*common, f"--node-rank={number}"])
        for number in (0, 1, 1)
    ]
    runs = [job.finish() for job in jobs]
    assert [run.exit_code for run in runs] == [69] * 3, runs
    for run in runs:
        (line,) = explanations(run)
        assert "two machines have --node-rank 1" in line and run.duration_s < PROMPT_S
