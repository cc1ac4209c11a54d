"""``reproducible=V`` on real ranks: runs that are killed and go on at another world size end with the same bits."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import ROOT, Job, RankRun

PROGRAM = ROOT / "tests" / "multiprocess" / "reproducible_program.py"


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
    expected = run_ranks(PROGRAM, 2, args=[str(whole), str(steps)]).digest()

    chance, saved = random.Random(seed), broken / "saved.pickle"
    killed = 0
    for world_size in chance.sample([1, 2, 4], 3 if is_full else 2):
        before = saved.stat().st_mtime_ns if saved.exists() else 0
        job = start_job(PROGRAM, world_size, args=[str(broken), str(steps)])
        _wait_for_a_save(saved, before, job)
        time.sleep(0.02 * chance.random())
        killed += job.kill_a_rank(PROGRAM, chance)
        job.finish()
    assert killed, "every run had ended before it could be killed"
    for world_size in (4, 1) if is_full else (1,):  # the second finds everything done
        assert run_ranks(PROGRAM, world_size, args=[str(broken), str(steps)]).digest() == expected


THREADS = """
import distrt as torch
import distrt.distributed as dist
from distrt.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank, model = dist.get_rank(), torch.nn.Linear(2, 2)
assert torch.get_num_threads() == 2
DistributedDataParallel(model, reproducible=2)
print("from the environment:", torch.get_num_threads())
torch.set_num_threads(1 + rank)
try:
    DistributedDataParallel(model, reproducible=2)
except dist.DistBackendError as error:
    print(type(error).__name__, error)
torch.set_num_threads(2)
DistributedDataParallel(model, reproducible=2)
print("from the script:", torch.get_num_threads())
dist.destroy_process_group()
"""


def test_ranks_use_one_thread_or_as_many_as_all_scripts_set(run_ranks: Callable[..., RankRun]) -> None:
    run = run_ranks(THREADS, 2, env={"OMP_NUM_THREADS": "2"})
    assert run.exit_code == 0, run
    for rank in range(2):
        default, refused, chosen = run.lines(rank)
        assert default == "from the environment: 1"
        assert refused.startswith("CollectiveMismatch") and "1 on rank 0, 2 on rank 1" in refused
        assert chosen == "from the script: 2"


def _wait_for_a_save(saved: Path, before: int, job: Job) -> None:
    def is_there() -> bool:
        return (saved.exists() and saved.stat().st_mtime_ns > before) or job.process.poll() is not None

    job.wait_for(is_there, timeout_s=60.0)
