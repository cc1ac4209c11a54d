"""``distrt-launch top`` on a job that runs."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, clean_environment

StartJob = Callable[..., Job]

TRAIN = """
    import time
    import distrt as torch
    import distrt.distributed as dist
    dist.init_process_group("gloo")
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(5):
        loss = model(torch.ones(1)).square().sum()
        loss.backward()
        optimizer.step()
        dist.report(loss=loss * 0 + 0.125, samples=64)
    dist.barrier()
    open(f"ready{dist.get_rank()}", "w").close()
    if dist.get_rank() == 0:
        dist.all_reduce(torch.ones(7))
    while True: time.sleep(0.05)
"""


def top(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launch", "top", *arguments],
        cwd=folder,
        env=clean_environment("none"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.ci
def test_top_shows_what_every_rank_is_doing(start_job: StartJob, tmp_path: Path) -> None:
    job = start_job(textwrap.dedent(TRAIN), 2)
    job.wait_for(lambda: (tmp_path / "ready0").exists() and (tmp_path / "ready1").exists(), PROMPT_S)
    run_dir = job.run_dir()
    assert run_dir is not None
    pids = [it["pid"] for it in json.loads((run_dir / "procs.json").read_text())["ranks"]]
    os.kill(pids[1], signal.SIGSTOP)
    shown = top(str(run_dir), "--once", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    heading, first, second = shown.stdout.splitlines()
    assert heading.split()[:4] == ["rank", "pid", "state", "step"]
    assert first.split()[:2] == ["0", str(pids[0])] and "all_reduce(SUM, float32, 7 elements)" in first
    assert first.split()[3:7] == ["5", "0.0", "0.125", "0"], first
    assert "100 %" in first and "script.py:" in first
    assert second.split()[:4] == ["1", str(pids[1]), "stopped", "5"] and "computes; last barrier" in second
    os.kill(pids[1], signal.SIGCONT)
    job.process.send_signal(signal.SIGTERM)
    job.finish()
    over = top(str(run_dir), folder=tmp_path)
    assert over.returncode == 0 and over.stdout.count("ended") == 2


def test_top_without_a_job_says_so(tmp_path: Path) -> None:
    shown = top(folder=tmp_path)
    assert shown.returncode == 66 and "no job in runs" in shown.stderr
