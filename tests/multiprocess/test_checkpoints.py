"""``distrt.checkpoint`` on real ranks: any of them may be killed at any moment, and the run goes on elsewhere."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import ROOT, Job, RankRun

PROGRAM = ROOT / "tests" / "multiprocess" / "checkpoint_program.py"


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_runs_with_a_rank_killed_go_on_at_another_world_size_with_the_same_bits(
    start_job: Callable[..., Job],
    run_ranks: Callable[..., RankRun],
    tmp_path: Path,
    seed: int,
    pytestconfig: pytest.Config,
) -> None:
    is_full = pytestconfig.getoption("full")
    steps = 60 if is_full else 20
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = run_ranks(PROGRAM, 2, args=[str(whole), str(steps)]).digest()

    chance = random.Random(seed)
    killed = 0
    for world_size in chance.sample([1, 2, 4] * 2, 5 if is_full else 2):
        newest = _newest(broken)
        job = start_job(PROGRAM, world_size, args=[str(broken), str(steps)])
        job.wait_for(lambda: _newest(broken) > newest or job.process.poll() is not None, timeout_s=60.0)  # noqa: B023
        time.sleep(0.03 * chance.random())
        killed += job.kill_a_rank(PROGRAM, chance)
        run = job.finish()
        assert f"begins at {newest}" in run.stdout, run  # what was whole is what the run goes on from
    assert killed, "every run had ended before it could be killed"
    assert run_ranks(PROGRAM, 4, args=[str(broken), str(steps)]).digest() == expected
    left = sorted(path.name for path in broken.iterdir())
    assert left[-1] == "latest" and len(left) == 3, left  # two checkpoints are kept


def _newest(folder: Path) -> int:
    """The step of the newest checkpoint that is there."""
    return max((int(path.name.rpartition("-")[2]) for path in folder.glob("[0-9]*-step-*")), default=0)
