"""Workers of a ``DataLoader`` inside ranks: they train with them, and never outlive them."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun, clean_environment

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

TRAIN = """
    import os, sys, time
    import distrt as torch
    import distrt.distributed as dist
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel
    from distrt.utils.data import DataLoader, Dataset, DistributedSampler
    class Samples(Dataset):
        def __len__(self): return 64
        def __getitem__(self, i):
            open(f"worker{os.getpid()}", "w").close()
            return torch.full((5000,), float(i)), torch.get_num_threads()
    def main(method, epochs):
        dist.init_process_group("gloo")
        model = DistributedDataParallel(nn.Linear(5000, 40))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
        sampler = DistributedSampler(Samples(), shuffle=True)
        loader = DataLoader(Samples(), 4, sampler=sampler, num_workers=2, multiprocessing_context=method)
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            seen = []
            for x, threads in loader:
                assert threads.tolist() == [1] * len(x)
                seen += x[:, 0].int().tolist()
                optimizer.zero_grad()
                model(x).sum().backward()
                work = dist.all_reduce(torch.ones(300_000), async_op=True)  # its thread runs while workers start
                optimizer.step()
            work.wait()
            whole = torch.tensor(sorted(seen))
            parts = [torch.empty_like(whole) for _ in range(dist.get_world_size())]
            dist.all_gather(parts, whole)
            assert sorted(torch.cat(parts).tolist()) == list(range(64))
        print("trained")
        dist.destroy_process_group()
    if __name__ == "__main__":
        main(sys.argv[1], int(sys.argv[2]))
"""


@pytest.mark.ci
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_ranks_train_on_batches_of_workers(run_ranks: RunRanks, method: str) -> None:
    run = run_ranks(textwrap.dedent(TRAIN), 2, args=[method, "3"], timeout_s=100)
    assert run.exit_code == 0, run
    assert run.lines(0) == run.lines(1) == ["trained"]


@pytest.mark.ci
@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.parametrize("victim", ["rank", "launcher", "Ctrl-C"])
def test_workers_end_with_their_rank(start_job: StartJob, method: str, victim: str) -> None:
    job = start_job(textwrap.dedent(TRAIN), 2, args=[method, "100000"])
    folder = job.run_base.parent
    job.wait_for(lambda: len(list(folder.glob("worker*"))) >= 4, timeout_s=60)
    if victim == "rank":
        kill_a_rank(job)
        run = job.finish()
        assert run.exit_code == 137, run
    elif victim == "launcher":
        job.process.kill()
        job.process.communicate()
        job.assert_nothing_left(wait_s=3.0)
    else:
        began = time.monotonic()
        job.process.send_signal(signal.SIGINT)
        run = job.finish()
        assert run.exit_code == 130 and time.monotonic() - began < PROMPT_S, run


def kill_a_rank(job: Job) -> None:
    script = [pid for pid, line in job.pids().items() if "rank.py" in line and "script.py" in line]
    os.kill(min(script), signal.SIGKILL)


@pytest.mark.ci
def test_a_rank_whose_worker_is_killed_says_which(start_job: StartJob) -> None:
    job = start_job(textwrap.dedent(TRAIN), 1, args=["fork", "100000"])
    folder = job.run_base.parent
    job.wait_for(lambda: bool(list(folder.glob("worker*"))), timeout_s=60)
    while not job.process.poll() and not kill_newest(job):
        time.sleep(0.01)
    run = job.finish()
    assert run.exit_code == 1, run
    assert (
        "is killed by signal: Killed. It was worker" in run.stderr
        and "of 2, and SIGKILL ended it" in run.stderr
    )


def kill_newest(job: Job) -> bool:
    """Kill some worker, if there is one at this moment."""
    ranks = [pid for pid, line in job.pids().items() if "script.py" in line]
    workers = [pid for pid in ranks if parent_of(pid) in ranks]
    if workers:
        os.kill(max(workers), signal.SIGKILL)
    return bool(workers)


def parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


ALONE = """
    import os, sys, threading, time
    from distrt.utils.data import DataLoader, Dataset
    class Slow(Dataset):
        def __len__(self): return 10**6
        def __getitem__(self, i):
            open(f"worker{os.getpid()}", "w").close()
            time.sleep(float(sys.argv[3]))
            return i
    def train():
        for batch in DataLoader(Slow(), 2, num_workers=2, multiprocessing_context=sys.argv[1]): pass
    if __name__ == "__main__":
        if sys.argv[2] == "main thread":
            train()
        else:
            thread = threading.Thread(target=train)
            thread.start()
            thread.join()
"""


@pytest.fixture
def start_alone(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a program with a loader, in a session of its own; give it when both its workers work."""
    started: list[subprocess.Popen[bytes]] = []

    def start(method: str, thread: str, sample_s: float = 0.01) -> subprocess.Popen[bytes]:
        script = tmp_path / "alone.py"
        script.write_text(textwrap.dedent(ALONE))
        marker = uuid.uuid4().hex
        process = subprocess.Popen(
            [sys.executable, str(script), method, thread, str(sample_s)],
            cwd=tmp_path,
            env=clean_environment(marker),
            stderr=subprocess.PIPE,
            start_new_session=True,
            # Where the tests run in the background of a script, Ctrl-C is ignored, and children would go on so.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs here
        )
        started.append(process)
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("worker*"))) < 2:
            assert time.monotonic() < deadline and process.poll() is None, "no worker came"
            time.sleep(0.01)
        return process

    yield start
    for each in started:
        if each.poll() is None:
            each.kill()
            each.communicate()


def wait_until_gone(folder: Path, within_s: float) -> None:
    workers = [int(path.name.removeprefix("worker")) for path in folder.glob("worker*")]
    assert len(workers) >= 2
    deadline = time.monotonic() + within_s
    while (left := [pid for pid in workers if parent_of(pid) is not None]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"workers are left: {left}"


@pytest.mark.ci
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("thread", ["main thread", "another thread"])
@pytest.mark.parametrize("sample_s", [0.01, 100], ids=["soon ready", "busy"])
def test_workers_end_when_their_parent_is_killed(
    start_alone: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    method: str,
    thread: str,
    sample_s: float,
) -> None:
    process = start_alone(method, thread, sample_s)
    process.kill()
    process.communicate()
    wait_until_gone(tmp_path, within_s=3.0)


@pytest.mark.ci
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_ctrl_c_is_told_once_and_leaves_no_worker(
    start_alone: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, method: str
) -> None:
    process = start_alone(method, "main thread")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    wait_until_gone(tmp_path, within_s=1.0)
    assert process.returncode == -signal.SIGINT
    assert errors.count(b"Traceback") == errors.count(b"KeyboardInterrupt") == 1, errors.decode()
