"""``reproducible=V`` on real ranks: runs that are killed and go on at another world size end with the same bits."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import ROOT, Job, RankRun

PROGRAM = ROOT / "tests" / "multiprocess" / "reproducible_program.py"


def digest_of(run: RankRun) -> str:
    assert run.exit_code == 0, run
    return next(line for line in run.stdout.splitlines() if "digest" in line).split()[-1]


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_killed_runs_that_go_on_at_another_world_size_end_with_the_same_bits(
    start_job: Callable[..., Job],
    run_ranks: Callable[..., RankRun],
    tmp_path: Path,
    seed: int,
    pytestconfig: pytest.Config,
) -> None:
    is_full = pytestconfig.getoption("full")
    steps = 50 if is_full else 25
    directories = []
    for name in ("whole", "broken"):
        directories.append(tmp_path / name)
        directories[-1].mkdir()
    whole, broken = directories
    expected = digest_of(run_ranks(PROGRAM, 2, args=[str(whole), str(steps)]))

    chance, saved = random.Random(seed), broken / "saved.pickle"
    killed = 0
    for world_size in chance.sample([1, 2, 4], 3 if is_full else 2):
        before = saved.stat().st_mtime_ns if saved.exists() else 0
        job = start_job(PROGRAM, world_size, args=[str(broken), str(steps)])
        _wait_for_a_save(saved, before, job)
        time.sleep(0.02 * chance.random())
        ranks = [pid for pid, line in job.pids().items() if "reproducible_program" in line]
        if ranks:
            os.kill(chance.choice(ranks), signal.SIGKILL)
            killed += 1
        job.finish()
    assert killed, "every run had ended before it could be killed"
    for world_size in (4, 1) if is_full else (1,):  # the second finds everything done
        assert digest_of(run_ranks(PROGRAM, world_size, args=[str(broken), str(steps)])) == expected


def _wait_for_a_save(saved: Path, before: int, job: Job) -> None:
    def is_there() -> bool:
        return (saved.exists() and saved.stat().st_mtime_ns > before) or job.process.poll() is not None

    job.wait_for(is_there, timeout_s=60.0)
