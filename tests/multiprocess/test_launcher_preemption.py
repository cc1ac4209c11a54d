"""A job that is told to make room: all ranks save after one step, end with 75, and the next goes on bit by bit."""

import json
import os
import re
import signal
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, ROOT, Job, RankRun
from tests.ports import free_port

StartJob = Callable[..., Job]
EXAMPLE = ROOT / "examples" / "resumable.py"


def example(
    start_job: StartJob,
    folder: Path,
    pause: float,
    nproc: int = 2,
    more: Sequence[str] = (),
    **options: object,
) -> Job:
    args = ["--folder", str(folder), "--epochs", "2", "--every", "10", "--pause", str(pause), *more]
    return start_job(EXAMPLE, nproc, args=args, **options)


def checksum(run: RankRun) -> str:
    assert run.exit_code == 0, run
    return re.findall(r"sha256 (\w{16})", run.stdout)[0]


def wait_for_a_checkpoint(job: Job, folder: Path) -> None:
    job.wait_for((folder / "latest").exists, PROMPT_S)


@pytest.mark.ci
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_a_job_that_is_told_to_go_saves_and_goes_on_bit_by_bit(
    start_job: StartJob, tmp_path: Path, number: signal.Signals
) -> None:
    whole = checksum(example(start_job, tmp_path / "whole", 0.0).finish())
    job = example(start_job, tmp_path / "parts", 0.1)
    wait_for_a_checkpoint(job, tmp_path / "parts")
    job.process.send_signal(number)
    run = job.finish()
    assert run.exit_code == 75 and run.run_dir is not None, run
    assert "the ranks have saved, and ended with 75" in run.stderr and "Traceback" not in run.stderr
    assert json.loads((run.run_dir / "result.json").read_text())["exit_code"] == 75
    again = example(start_job, tmp_path / "parts", 0.0).finish()
    begun = int(re.findall(r"begins at step (\d+)", again.stdout)[0])
    assert 10 <= begun < 62 and checksum(again) == whole


@pytest.mark.ci
def test_a_batch_system_that_tells_every_process_lets_ranks_save_with_their_workers(
    start_job: StartJob, tmp_path: Path
) -> None:
    job = example(start_job, tmp_path / "parts", 0.1, more=("--workers", "1"))
    wait_for_a_checkpoint(job, tmp_path / "parts")
    pids = [job.process.pid, *job.pids()]
    assert len(pids) >= 1 + 1 + 2 + 2  # the launcher, its guard, ranks, workers
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    run = job.finish()
    assert run.exit_code == 75 and "DataLoader" not in run.stderr, run


@pytest.mark.ci
def test_a_signal_to_one_rank_alone_is_acted_on_by_all(start_job: StartJob, tmp_path: Path) -> None:
    job = example(start_job, tmp_path / "parts", 0.1, launcher_args=["--max-restarts", "3"])
    wait_for_a_checkpoint(job, tmp_path / "parts")
    run_dir = job.run_dir()
    assert run_dir is not None
    os.kill(json.loads((run_dir / "procs.json").read_text())["ranks"][1]["pid"], signal.SIGTERM)
    run = job.finish()
    assert run.exit_code == 75 and "restart" not in run.stderr, run


@pytest.mark.slow
def test_a_signal_to_one_of_two_machines_is_acted_on_by_both(start_job: StartJob, tmp_path: Path) -> None:
    port = free_port()
    jobs = [
        example(
            start_job, tmp_path / "parts", 0.1, 1,
            launcher_args=["--nnodes=2", f"--node-rank={number}", f"--master-port={port}", "--max-restarts=2"],
        )
        for number in range(2)
    ]  # fmt: skip
    wait_for_a_checkpoint(jobs[0], tmp_path / "parts")
    jobs[1].process.send_signal(signal.SIGTERM)
    runs = [job.finish() for job in jobs]
    assert [run.exit_code for run in runs] == [75, 75], runs


@pytest.mark.ci
def test_a_signal_to_the_launcher_does_not_hurry_ranks_that_save_already(start_job: StartJob) -> None:
    """Rank 0 has saved and is gone, rank 1 still writes when the batch system tells the launcher, too."""
    script = """
        import os, sys, time
        if os.environ["RANK"] == "1":
            while not os.path.exists("told"): time.sleep(0.01)
            time.sleep(0.3)
            open("saved", "w").close()
        sys.exit(75)
    """
    job = start_job(textwrap.dedent(script), 2, launcher_args=["--max-restarts", "1"])
    folder = job.run_base.parent
    job.wait_for(
        lambda: any('"rank": 0, "how"' in path.read_text() for path in job.run_base.glob("*/events.jsonl"))
    )
    job.process.send_signal(signal.SIGTERM)
    (folder / "told").touch()
    run = job.finish()
    assert run.exit_code == 75 and (folder / "saved").exists() and "restart" not in run.stderr, run


def test_a_job_that_has_not_begun_to_listen_ends_at_once(start_job: StartJob) -> None:
    job = start_job("import time; open('ready', 'w').close(); time.sleep(60)", 1)
    job.wait_for((job.run_base.parent / "ready").exists)
    job.process.send_signal(signal.SIGTERM)
    run = job.finish()
    assert run.exit_code == 143 and run.duration_s < PROMPT_S
