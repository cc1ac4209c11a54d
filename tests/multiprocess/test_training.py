"""Training on real ranks in shared memory, started by the launcher: the numbers, the deaths, the example."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import distrt
from tests.multiprocess.conftest import PROMPT_S, ROOT, Job, RankRun, clean_environment
from tests.parallel.models import batches, make, train
from tests.ports import free_port

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

PROGRAMS = ROOT / "tests" / "multiprocess" / "programs.py"
STEPS = 20


@pytest.mark.parametrize(
    ("name", "world_size"),
    [
        ("mlp", 2),
        ("cnn", 2),
        pytest.param("tied", 2, marks=pytest.mark.slow),
        pytest.param("mlp", 4, marks=pytest.mark.slow),
        pytest.param("cnn", 4, marks=pytest.mark.slow),
        pytest.param("tied", 4, marks=pytest.mark.ci),
    ],
)
def test_ranks_in_shared_memory_train_as_one_process(
    run_ranks: RunRanks, tmp_path: Path, name: str, world_size: int
) -> None:
    output = tmp_path / "trained.npz"
    run = run_ranks(PROGRAMS, world_size, args=["equivalence", name, str(STEPS), str(output)])
    assert run.exit_code == 0, run
    hashes = {run.lines(rank)[0] for rank in range(world_size)}
    assert len(hashes) == 1, f"the ranks' parameters differ in their bits\n{run}"
    alone = train(make(name, seed=0), batches(name, STEPS))
    with np.load(output) as together:
        assert set(together.files) == set(alone)
        for parameter, expected in alone.items():
            np.testing.assert_allclose(together[parameter], expected, rtol=0, atol=1e-12)


@pytest.mark.timeout(300)
def test_random_kills_are_named_and_leave_nothing(
    start_job: StartJob, seed: int, pytestconfig: pytest.Config
) -> None:
    rng = random.Random(seed)
    for number in range(20 if pytestconfig.getoption("full") else 4):
        world_size = rng.choice([2, 3, 4])
        job = start_job(PROGRAMS, world_size, args=["endless"])
        wait_s = rng.uniform(0.0, 1.2)
        victim = rng.choice([*range(world_size), "launcher"])
        about = f"kill {number}: {victim} of {world_size} ranks after {wait_s:.3f} s (seed {seed})"
        procs = _recorded_pids(job, world_size)
        time.sleep(wait_s)
        killed_at = time.monotonic()
        if victim == "launcher":
            job.process.kill()
            job.process.communicate()
            job.assert_nothing_left(wait_s=2.0, context=about)
            continue
        os.kill(procs[victim], signal.SIGKILL)
        run = job.finish()
        assert time.monotonic() - killed_at < PROMPT_S, f"{about}\n{run}"
        assert run.exit_code == 137, f"{about}\n{run}"
        assert re.search(rf"rank {victim}\b.*SIGKILL", run.stderr), f"{about}\n{run}"


def _recorded_pids(job: Job, world_size: int) -> dict[int, int]:
    """The ranks' process ids, as soon as all have started."""
    pids: dict[int, int] = {}

    def all_started() -> bool:
        for pid, _ in job.pids().items():
            try:
                variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            rank = next((v for v in variables if v.startswith(b"RANK=")), None)
            if rank is not None:
                pids.setdefault(int(rank.removeprefix(b"RANK=")), pid)
        return len(pids) == world_size

    job.wait_for(all_started)
    return pids


TRAIN_THEN = """
import os, sys
import distrt as torch
import distrt.distributed as dist
from distrt.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
model = DistributedDataParallel(torch.nn.Linear(8, 8))
for step in range(10):
    if step == 5 and dist.get_rank() == 1:
        {action}
    model(torch.ones(2, 8)).sum().backward()
dist.destroy_process_group()
"""


def test_a_rank_that_raises_ends_the_others_and_is_shown_last(run_ranks: RunRanks) -> None:
    run = run_ranks(TRAIN_THEN.format(action="raise ArithmeticError('step five')"), 3)
    assert run.exit_code == 1, run
    assert run.duration_s < PROMPT_S, run
    assert run.stderr.count("ArithmeticError: step five") >= 1, run
    assert run.stderr.count("Traceback (most recent call last)") == 1, run
    assert "rank 1" in run.stderr, run


def test_a_rank_that_leaves_early_is_named_to_those_that_need_it(run_ranks: RunRanks) -> None:
    run = run_ranks(TRAIN_THEN.format(action="sys.exit(0)"), 2)
    assert run.exit_code != 0, run
    assert run.duration_s < PROMPT_S, run
    assert re.search(r"PeerFailed: rank 0: all_reduce #\d+: rank 1", run.stderr), run


def test_a_rank_that_never_joins_is_named_to_those_that_wait(run_ranks: RunRanks) -> None:
    join = "import distrt.distributed as dist; dist.init_process_group()"
    run = run_ranks(f"import os\nif os.environ['RANK'] != '1':\n    {join}\n", 3)
    assert run.exit_code == 69, run
    assert run.duration_s < PROMPT_S, run
    assert re.search(r"rank 1 ended \(exit code 0\) before joining", run.stderr), run


@pytest.mark.ci
def test_ranks_started_by_hand_meet_at_the_master_address(tmp_path: Path) -> None:
    port = free_port()
    script = (
        "import distrt as torch, distrt.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "total = torch.tensor([float(dist.get_rank() + 1)])\n"
        "dist.all_reduce(total)\n"
        "print(dist.get_world_size(), total.item())\n"
    )
    ranks = []
    for rank in range(2):
        variables = {
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-c", script],
                env=clean_environment("by-hand", variables),
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    try:
        assert [rank.communicate(timeout=30)[0] for rank in ranks] == ["2 3.0\n"] * 2
        assert [rank.returncode for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


def test_a_plain_process_is_a_world_of_one(tmp_path: Path) -> None:
    script = (
        "import distrt as torch, distrt.distributed as dist\n"
        "dist.init_process_group()\n"
        "x = torch.ones(3); dist.all_reduce(x); dist.broadcast(x, 0); dist.barrier()\n"
        "print(dist.get_rank(), dist.get_world_size(), x.tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean_environment("alone"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "0 1 [1.0, 1.0, 1.0]\n"


@pytest.mark.parametrize(
    "world_size", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(4, marks=pytest.mark.slow)]
)
def test_the_digits_example_learns_and_writes_its_files(
    run_ranks: RunRanks, tmp_path: Path, world_size: int
) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'distrt[examples]'")
    output = tmp_path / "digits"
    args = ["--epochs", "3", "--output", str(output)]
    run = run_ranks(ROOT / "examples" / "train_digits.py", world_size, args=args)
    assert run.exit_code == 0, run
    plural = "s" if world_size > 1 else ""
    last = [line for line in run.stdout.splitlines() if line.strip()][-1]
    found = re.search(rf"test accuracy: (0\.\d{{4}}) \({world_size} rank{plural}\)$", last)
    assert found, run
    assert float(found[1]) > 0.9, run
    assert (output / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "0.weight" in distrt.load(output / "best.pt")


BROKEN_PASS = """
import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel

dist.init_process_group()
model = DistributedDataParallel(nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 300)), bucket_cap_mb=0.1)
handle = model.module[0].weight.register_hook(lambda gradient: 1 / 0)
try:
    model(torch.full((1, 300), 1000.0)).sum().backward()
except ZeroDivisionError:
    handle.remove()
model.zero_grad()
model(torch.full((1, 300), float(dist.get_rank()))).sum().backward()
print(model.module[1].bias.grad.sum().item(), model.module[1].weight.grad.abs().max().item() < 10)
dist.destroy_process_group()
"""


def test_what_a_broken_pass_has_launched_does_not_reach_the_next(run_ranks: RunRanks) -> None:
    run = run_ranks(BROKEN_PASS, 2)
    assert run.exit_code == 0, run
    assert run.lines(0) == run.lines(1) == ["300.0 True"], run


OVERFLOWS = """
import distrt as torch
import distrt.distributed as dist
from distrt.nn.parallel import DistributedDataParallel

dist.init_process_group()
model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.Linear(300, 1)))
optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
for step in range(6):
    optimizer.zero_grad()
    factor = float("inf") if (step, dist.get_rank()) in ((3, 2), (5, 1)) else 1.0
    scaler.scale(model(torch.ones(1, 300)).sum() * factor).backward()
    scaler.step(optimizer)
    scaler.update()
    if step >= 2:
        print(scaler.get_scale(), scaler.overflow and (scaler.overflow.name, scaler.overflow.rank))
dist.destroy_process_group()
"""


def test_the_rank_that_overflowed_is_named_on_all(run_ranks: RunRanks) -> None:
    run = run_ranks(OVERFLOWS, 3)
    assert run.exit_code == 0, run
    first, second = "('module.0.weight', 2)", "('module.0.weight', 1)"
    for rank in range(3):
        assert run.lines(rank) == ["8.0 None", f"4.0 {first}", f"4.0 {first}", f"2.0 {second}"], run


NARROW = """
import hashlib
import distrt as torch
import distrt.distributed as dist
from distrt.nn.parallel import DistributedDataParallel
from distrt.nn.parallel.distributed import _MixedPrecision

dist.init_process_group()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.Tanh(), torch.nn.Linear(512, 64))
dtypes = _MixedPrecision(torch.bfloat16, torch.float32)
model = DistributedDataParallel(model, bucket_cap_mb=0.05, mixed_precision=dtypes)
optimizer = torch.optim.Adam(model.parameters())
losses = []
for step in range(8):
    optimizer.zero_grad()
    loss = model(torch.ones(4, 64) * (dist.get_rank() + 1)).float().square().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
bits = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
print(hashlib.sha256(bits).hexdigest(), losses[-1] < losses[0], {p.dtype for p in model.parameters()})
dist.destroy_process_group()
"""


def test_narrow_training_keeps_wide_parameters_equal(run_ranks: RunRanks) -> None:
    run = run_ranks(NARROW, 2)
    assert run.exit_code == 0, run
    assert run.lines(0) == run.lines(1), run
    assert run.lines(0)[0].endswith(" True {torch.float32}"), run
