"""``distrt-launch report`` on real jobs: what a new user finds on the page of a run that went slowly, or failed."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.page.page import page
from launch.page.reading import read_run
from tests.launch.runs import Page
from tests.multiprocess.conftest import PROMPT_S, Job, RankRun

StartJob = Callable[..., Job]

TRAIN = """
import os, signal, sys, time
import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.data import DataLoader, TensorDataset

slow, ends = int(sys.argv[1]), sys.argv[2]
dist.init_process_group()
model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8)), bucket_cap_mb=0.02)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
data = TensorDataset(torch.randn(320, 64), torch.randn(320, 8))

def augment(inputs):
    if dist.get_rank() == slow:
        time.sleep(0.03)  # the artificially slow rank
    return inputs

for inputs, wanted in DataLoader(data, batch_size=16):
    inputs = augment(inputs)
    optimizer.zero_grad()
    loss = (model(inputs) - wanted).square().mean()
    loss.backward()
    optimizer.step()
    dist.report(loss=loss, samples=len(inputs))
if ends == "killed" and dist.get_rank() == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    os.kill(os.getpid(), signal.SIGKILL)
dist.barrier()
if ends == "stays":
    open(f"ready{dist.get_rank()}", "w").close()
    time.sleep(100)
dist.destroy_process_group()
"""


def page_of(run_dir: Path | None) -> Page:
    assert run_dir is not None
    return Page(page(read_run(run_dir)))


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(TRAIN.splitlines(), 1) if text in line)


@pytest.mark.ci
def test_a_reader_finds_the_slow_rank_and_what_it_was_doing(run_ranks: Callable[..., RankRun]) -> None:
    run = run_ranks(TRAIN, 2, args=["1", "well"])
    assert run.exit_code == 0, run
    shown = page_of(run.run_dir)
    assert shown.texts("pill") == ["finished"]
    slow = [each for each in shown.texts("finding") if "slow" in each]
    lines = line_of("for inputs, wanted"), line_of("(model(inputs)")
    where = f"between script.py:{lines[0]} and script.py:{lines[1]}"
    assert len(slow) == 1 and slow[0].startswith(f"Rank 1 is slow: the script itself, {where}"), slow
    assert lines[0] < line_of("inputs = augment") < lines[1]
    assert [each[0] for each in shown.texts("mark")] == ["1"]  # the row of the table that stands out
    rows = {row[0]: row for row in shown.rows("ranks")[1:]}
    assert set(rows) == {"0", "1"} and all(
        row[2] == "20" and row[-1] == "exit code 0" for row in rows.values()
    )
    assert "% of communication hidden" in shown.text() and "Step 10" in shown.text()
    assert "Loss" in shown.text() and "Throughput, samples a second of all ranks" in shown.text()


@pytest.mark.ci
def test_a_killed_rank_and_the_restart_are_on_the_page(run_ranks: Callable[..., RankRun]) -> None:
    run = run_ranks(TRAIN, 4, args=["-1", "killed"], launcher_args=["--max-restarts", "1"])
    assert run.exit_code == 0, run
    shown = page_of(run.run_dir)
    failed = shown.texts("finding")[0]
    assert (
        failed.startswith("Rank 1 failed in attempt 0") and "SIGKILL" in failed and "in step 20" in failed
    ), failed
    course = shown.rows("course-h")
    assert [row[0] for row in course[1:]] == ["attempt 0", "attempt 1"]
    assert course[2][1].endswith("to step 20, exit code 0")


@pytest.mark.ci
def test_a_job_that_runs_has_a_page_and_one_whose_launcher_is_killed(
    start_job: StartJob, tmp_path: Path
) -> None:
    job = start_job(TRAIN, 2, args=["-1", "stays"])
    job.wait_for(lambda: (tmp_path / "ready0").exists() and (tmp_path / "ready1").exists(), PROMPT_S)
    assert page_of(job.run_dir()).texts("pill") == ["running"]
    os.kill(job.process.pid, signal.SIGKILL)
    job.process.communicate()
    job.assert_nothing_left(wait_s=10.0)
    broken = page_of(job.run_dir())
    assert broken.texts("pill") == ["broken off"] and broken.texts("finding")[0].startswith(
        "The run broke off"
    )


@pytest.mark.ci
def test_ranks_on_several_machines_note_how_far_their_clocks_are_apart(
    run_ranks: Callable[..., RankRun],
) -> None:
    pytest.importorskip("mpi4py", reason="needs MPI: pip install 'distrt[mpi]'")
    apart = 'import os\nos.environ["DISTRT_MACHINE"] = os.environ["RANK"]\n'
    run = run_ranks(apart + TRAIN, 2, args=["-1", "well"])
    assert run.exit_code == 0 and run.run_dir is not None, run
    for rank in range(2):
        record = (run.run_dir / f"attempt_0/{rank}/record.jsonl").read_text().splitlines()
        (clock,) = [line for line in map(json.loads, record) if line["kind"] == "clock"]
        # In truth it is one clock, so the offset is the error.
        assert abs(clock["offset_ns"]) <= clock["uncertainty_ns"] < 50_000_000
    assert "Clocks of the machines are aligned to within" in page_of(run.run_dir).text()


@pytest.mark.ci
def test_a_job_that_wants_no_record_leaves_none(run_ranks: Callable[..., RankRun]) -> None:
    run = run_ranks(TRAIN, 2, args=["-1", "well"], env={"DISTRT_RECORD": "off"})
    assert run.exit_code == 0 and run.run_dir is not None, run
    assert list(run.run_dir.rglob("record.jsonl")) == []
    assert "No rank has recorded a step." in page_of(run.run_dir).text()
