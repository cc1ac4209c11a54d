"""Deaths of every kind: each is seen at once, named, gives its exit code, and leaves nothing."""

import json
import os
import random
import resource
import signal
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

TRAIN = """
    import os, signal, sys, time
    import distrt as torch
    import distrt.distributed as dist
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel
    phase, victim = sys.argv[1], int(sys.argv[2])
    dist.init_process_group("gloo")
    model = DistributedDataParallel(nn.Linear(4, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = 0
    def die_in(name):
        if step == 3 and name == phase and dist.get_rank() == victim:
            open("killed", "w").write(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)
    model.module.register_forward_hook(lambda *_: die_in("forward"))
    model.module.weight.register_hook(lambda grad: die_in("backward"))
    def reduce(state, bucket):
        die_in("all_reduce")
        return dist.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda it: it.value()[0])
    model.register_comm_hook(None, reduce)
    optimizer.register_step_post_hook(lambda *_: die_in("step"))
    for step in range(2000):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
    dist.destroy_process_group()
"""


def seen_after_s(run: RankRun, rank: int) -> float:
    """Seconds from a rank's death, which it has noted itself, to the launcher's word of it."""
    assert run.run_dir is not None
    events = map(json.loads, (run.run_dir / "events.jsonl").read_text().splitlines())
    (seen_at,) = [it["time"] for it in events if it["event"] == "rank_ended" and it["rank"] == rank]
    return float(seen_at) - float((run.run_dir.parent.parent / "killed").read_text())


def kill_in_phase(run_ranks: RunRanks, phase: str, victim: int) -> RankRun:
    run = run_ranks(textwrap.dedent(TRAIN), 2, args=[phase, str(victim)])
    assert run.exit_code == 137, run
    assert f"rank {victim} (pid" in run.stderr and "killed by SIGKILL (9)" in run.stderr, run
    return run


@pytest.mark.ci
def test_a_rank_killed_in_an_all_reduce_is_named(run_ranks: RunRanks) -> None:
    assert seen_after_s(kill_in_phase(run_ranks, "all_reduce", 1), 1) < PROMPT_S


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("phase", ["forward", "backward", "all_reduce", "step"])
def test_a_rank_killed_in_any_phase_is_seen_within_200_ms(
    run_ranks: RunRanks, phase: str, victim: int
) -> None:
    assert seen_after_s(kill_in_phase(run_ranks, phase, victim), victim) < 0.2


SIGNALLED = """
    import os, signal, sys, time
    open("ready" + os.environ["RANK"], "w").close()
    while True: time.sleep(0.05)
"""


def wait_until_ready(job: Job, world_size: int) -> list[int]:
    """Return the ranks' process numbers when all have run their first line."""
    marks = [job.run_base.parent / f"ready{rank}" for rank in range(world_size)]
    job.wait_for(lambda: all(mark.exists() for mark in marks))
    run_dir = job.run_dir()
    assert run_dir is not None
    return [it["pid"] for it in json.loads((run_dir / "procs.json").read_text())["ranks"]]


@pytest.mark.parametrize(
    ("number", "named"),
    [
        (signal.SIGTERM, "killed by SIGTERM (15)"),
        pytest.param(signal.SIGABRT, "killed by SIGABRT (6)", marks=pytest.mark.ci),
        pytest.param(signal.SIGRTMIN, "killed by SIGRTMIN (34)", marks=pytest.mark.ci),
    ],
)
def test_a_signal_to_one_rank_is_its_failure(start_job: StartJob, number: signal.Signals, named: str) -> None:
    job = start_job(textwrap.dedent(SIGNALLED), 2)
    os.kill(wait_until_ready(job, 2)[1], number)
    run = job.finish()
    assert run.exit_code == 128 + number
    assert "rank 1 (pid" in run.stderr and named in run.stderr, run
    assert "rank 0 was ended by the launcher" in run.stderr


def test_rank_0_killed_before_the_others_have_met_it_is_named(run_ranks: RunRanks) -> None:
    text = """
        import os, signal, time
        from distrt.comm.environment import read_environment
        from distrt.comm.stores.client import connect_store
        place = read_environment()
        if place.rank == 0:
            while not os.path.exists("here1") or not os.path.exists("here2"): time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)
        with connect_store(place, 30) as store:
            open(f"here{place.rank}", "w").close()
            store.wait(["rank 0's key"])
    """
    run = run_ranks(textwrap.dedent(text), 3)
    assert run.exit_code == 137 and run.duration_s < PROMPT_S
    assert "rank 0 (pid" in run.stderr and "killed by SIGKILL (9), before joining" in run.stderr, run


DATA_WORKERS = """
    import multiprocessing, os, queue, subprocess, time
    def load(batches):
        while True:
            batches.put(b"x" * 100)
            time.sleep(0.01)
    def main():
        context = multiprocessing.get_context("fork")
        batches = context.Queue(4)
        worker = context.Process(target=load, args=(batches,), daemon=True)
        worker.start()
        other = subprocess.Popen(["sleep", "300"])
        open(f"workers{os.environ['RANK']}", "w").write(f"{worker.pid} {other.pid}")
        while worker.is_alive() and other.poll() is None:
            try: batches.get(timeout=0.1)
            except queue.Empty: pass
        raise RuntimeError("a data worker has died")
    main()
"""


def kill_at_random(start_job: StartJob, rng: random.Random) -> str:
    """Kill the launcher, a rank or what a rank has started, at some moment; nothing may be left."""
    victim = rng.choice(["launcher", "rank", "data worker"])
    job = start_job(textwrap.dedent(DATA_WORKERS), 2)
    rank, wait_s, which = rng.randrange(2), rng.uniform(0.0, 0.3), rng.randrange(2)
    about = f"{victim} of rank {rank} after {wait_s:.3f} s"
    workers = job.run_base.parent / f"workers{rank}"
    if victim == "launcher":
        time.sleep(wait_s)
        job.process.kill()
        job.process.communicate()
        job.assert_nothing_left(wait_s=2.0, context=about)
        _forget_workers(job)
        return about
    job.wait_for(lambda: workers.exists() and len(workers.read_text().split()) == 2, timeout_s=PROMPT_S)
    run_dir = job.run_dir()
    assert run_dir is not None
    pid = json.loads((run_dir / "procs.json").read_text())["ranks"][rank]["pid"]
    time.sleep(wait_s)
    os.kill(pid if victim == "rank" else int(workers.read_text().split()[which]), signal.SIGKILL)
    run = job.finish()
    _forget_workers(job)
    assert run.exit_code == (137 if victim == "rank" else 1), f"{about}\n{run}"
    assert ("killed by SIGKILL" if victim == "rank" else "a data worker has died") in run.stderr, about
    return about


def _forget_workers(job: Job) -> None:
    """The next job's ranks say in files of the same names which their workers are."""
    for path in job.run_base.parent.glob("workers*"):
        path.unlink()


def test_a_few_random_kills_leave_no_orphan(start_job: StartJob, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(2):
        print(kill_at_random(start_job, rng))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_random_kills_leave_no_orphan(start_job: StartJob, seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        for path in tmp_path.glob("workers*"):
            path.unlink()
        print(kill_at_random(start_job, rng))


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """Make a control group with so much memory; needs root and a writable hierarchy."""
    first = Path("/sys/fs/cgroup/memory")
    parent, limit = (first, "memory.limit_in_bytes") if first.is_dir() else (first.parent, "memory.max")
    folder = parent / f"distrt-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(limit_bytes))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group for memory can be made here ({error})")
    try:
        yield folder
    finally:
        folder.rmdir()


@pytest.mark.ci
@pytest.mark.parametrize("is_child", [False, True])
def test_a_rank_without_memory_is_said_to_be_with_its_limit(start_job: StartJob, is_child: bool) -> None:
    eat = "held = [bytearray(1 << 22) for _ in range(100)]"
    if is_child:
        eat = f"import subprocess; subprocess.run([sys.executable, '-c', {eat!r}], check=True)"
    text = f"import os, sys, time\nif os.environ['RANK'] == '1':\n    {eat}\ntime.sleep(60)"
    with memory_group(160 << 20) as group:
        join = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
        run = start_job(text, 2, prefix=join).finish()
    limit = f"out of memory: the limit of the control group {group} is 160 MiB"
    if is_child:
        assert run.exit_code == 1 and f"a process of the job ran {limit}" in run.stderr, run
    else:
        assert run.exit_code == 137 and f"killed by SIGKILL (9), {limit}" in run.stderr, run
    assert "rank 1 (pid" in run.stderr


def test_an_allocation_past_the_address_space_is_an_exception_with_the_limit(start_job: StartJob) -> None:
    text = (
        "import os\nif os.environ['RANK'] == '1':\n    held = bytearray(1 << 40)\nimport time; time.sleep(60)"
    )
    limit = ("sh", "-c", 'ulimit -v 2097152 && exec "$@"', "sh")
    run = start_job(text, 2, prefix=limit).finish()
    assert run.exit_code == 1, run
    assert "rank 1 (pid" in run.stderr and "uncaught exception" in run.stderr
    assert "ulimit -v allows each rank 2.0 GiB" in run.stderr and run.stderr.rstrip().endswith("MemoryError")
    assert (
        resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    )  # of the test itself, untouched


def test_a_signal_for_the_user_is_passed_on_and_the_job_goes_on(start_job: StartJob) -> None:
    text = """
        import os, signal, sys, time
        caught = []
        signal.signal(signal.SIGUSR1, lambda *_: caught.append("saved"))
        open("ready" + os.environ["RANK"], "w").close()
        while not caught: time.sleep(0.02)
        print(*caught)
    """
    job = start_job(textwrap.dedent(text), 2)
    wait_until_ready(job, 2)
    job.process.send_signal(signal.SIGUSR1)
    run = job.finish()
    assert run.exit_code == 0, run
    assert run.lines(0) == run.lines(1) == ["saved"]


@pytest.mark.slow
def test_a_slow_rank_is_no_hung_rank(start_job: StartJob) -> None:
    text = """
        import time
        import distrt as torch
        import distrt.distributed as dist
        dist.init_process_group("gloo")
        dist.all_reduce(torch.ones(3))  # loads what is not loaded yet
        open(f"ready{dist.get_rank()}", "w").close()
        for _ in range(20):
            time.sleep(0.2 * dist.get_rank())
            dist.all_reduce(torch.ones(3))
        dist.destroy_process_group()
    """
    job = start_job(textwrap.dedent(text), 2, launcher_args=["--hang-timeout", "5"])
    pid = wait_until_ready(job, 2)[1]
    for _ in range(4):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.2)
    run = job.finish()
    assert run.exit_code == 0, run
