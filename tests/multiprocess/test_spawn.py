"""``distrt.multiprocessing``: processes that run a function, and the groups that they form."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import distrt as torch
import distrt.multiprocessing as mp
from tests.multiprocess import spawned
from tests.multiprocess.conftest import MARKER, ROOT
from tests.ports import free_port


def wait_until(condition, timeout_s=10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def descriptors():
    """Proves that the parent's table of open files is as it was."""
    mp.get_context("spawn").Queue().close()  # starts the resource tracker, which stays
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_every_process_gets_its_number_and_the_arguments(tmp_path, method):
    mp.start_processes(spawned.notes, args=(str(tmp_path), "x", 2), nprocs=2, start_method=method)
    assert [(tmp_path / str(i)).read_text() for i in range(2)] == ["0 ('x', 2)", "1 ('x', 2)"]


def test_what_a_process_raises_is_raised_in_the_parent():
    with pytest.raises(mp.ProcessRaisedException) as caught:
        mp.spawn(spawned.raises, args=(1,), nprocs=2)
    text = str(caught.value)
    assert text.startswith("\n\n-- Process 1 terminated with the following error:\nTraceback (most recent")
    assert "in raises" in text and "ValueError: process 1 does not like it" in text
    assert caught.value.error_index == 1 and is_gone(caught.value.error_pid)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.error_pid) == (text, caught.value.error_pid)


def test_a_process_that_is_killed_is_named_with_its_signal():
    with pytest.raises(
        mp.ProcessExitedException, match=r"^process 1 terminated with signal SIGKILL$"
    ) as caught:
        mp.spawn(spawned.is_killed, args=(1,), nprocs=2)
    assert (caught.value.exit_code, caught.value.signal_name) == (-signal.SIGKILL, "SIGKILL")
    assert pickle.loads(pickle.dumps(caught.value)).exit_code == -signal.SIGKILL


def test_an_exit_code_is_told():
    with pytest.raises(mp.ProcessExitedException, match=r"^process 0 terminated with exit code 3$") as caught:
        mp.spawn(spawned.exits, args=(3,), nprocs=2)
    assert (caught.value.exit_code, caught.value.signal_name) == (3, None)


def test_a_failure_ends_the_others(descriptors):
    context = mp.spawn(spawned.raises, args=(0,), nprocs=3, join=False)
    pids = context.pids()
    with pytest.raises(mp.ProcessRaisedException):
        while not context.join(timeout=30):
            pass
    assert all(is_gone(pid) for pid in pids)
    del context


@pytest.mark.ci
def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(caplog):
    context = mp.spawn(spawned.ignores_sigterm, nprocs=2, join=False)
    with caplog.at_level(logging.WARNING), pytest.raises(mp.ProcessRaisedException, match="stop"):
        while not context.join(grace_period=0.3):
            pass
    assert all(is_gone(pid) for pid in context.pids())
    assert "via signal SIGTERM" in caplog.text


def test_join_with_a_timeout_says_that_processes_still_run():
    context = mp.spawn(spawned.raises, args=(None,), nprocs=1, join=False)
    assert not context.join(timeout=0.01)
    context.processes[0].terminate()
    with pytest.raises(mp.ProcessExitedException, match="SIGTERM"):
        context.join()


def test_an_argument_that_cannot_be_pickled_leaves_no_process():
    before = set(os.listdir("/proc"))
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        mp.spawn(spawned.notes, args=(lambda: None,), nprocs=2)
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    assert not [pid for pid in children if pid not in before and "spawn_main" in command(pid)]


def command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_another_start_method_is_refused_with_a_warning(tmp_path):
    with pytest.warns(FutureWarning, match="only supports start_method=spawn"):
        mp.spawn(spawned.notes, args=(str(tmp_path),), nprocs=1, start_method="fork")


def test_a_tensor_in_the_arguments_is_shared():
    """Both ways: what processes write to it is seen here, a model's parameters and the views of it included."""
    tensor, model = torch.zeros(2, 3), torch.nn.Linear(3, 2)
    row, before = tensor[1], model.weight.detach().clone()
    queue = mp.get_context("spawn").Queue()
    context = mp.spawn(spawned.writes, args=(queue, tensor, model), nprocs=2, join=False)
    got = dict(queue.get(timeout=60) for _ in range(2))
    while not context.join():
        pass
    assert tensor.tolist() == [[1, 1, 1], [2, 2, 2]] and row.tolist() == [2, 2, 2]
    assert tensor.is_shared() and model.bias.is_shared()
    assert [got[index].tolist() for index in range(2)] == [[1, 1, 1], [2, 2, 2]]
    assert torch.equal(model.weight[0], before[0] + 1) and torch.equal(model.weight[1], before[1] + 1)


@pytest.mark.ci
def test_processes_train_one_shared_model_without_locks():
    """Hogwild: as the official example does it, with processes that are spawned and optimizers of their own."""
    model = torch.nn.Linear(4, 1)
    model.share_memory()
    context = mp.get_context("spawn")
    processes = [context.Process(target=spawned.trains_shared, args=(rank, model)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert torch.allclose(model.weight, torch.tensor([[1.0, -2.0, 3.0, 0.5]]), atol=0.05)


PARENT = """
import sys, threading, time
import distrt.multiprocessing as mp
from tests.multiprocess import spawned

def start():
    context = mp.spawn(spawned.raises, args=(None,), nprocs=2, join=False)
    print(*context.pids(), flush=True)
    return context

if __name__ == "__main__":
    if sys.argv[1] == "thread":
        thread = threading.Thread(target=lambda: globals().update(kept=start()))
        thread.start()
        thread.join()
    else:
        kept = start()
    time.sleep(60)
"""


@pytest.mark.parametrize("where", ["main", "thread"])
def test_children_end_with_a_parent_that_is_killed(tmp_path, where):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), MARKER: "spawn"}
    parent = subprocess.Popen(
        [sys.executable, str(script), where], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(1.0)  # the children are in their function, and the thread that started them is gone
        assert len(pids) == 2 and not any(is_gone(pid) for pid in pids)
    finally:
        parent.kill()
        parent.communicate()
    wait_until(lambda: all(is_gone(pid) for pid in pids))


def test_strategies_have_pytorchs_names():
    assert mp.get_all_sharing_strategies() == {"file_descriptor", "file_system"}
    before = mp.get_sharing_strategy()
    try:
        mp.set_sharing_strategy("file_system")
        assert mp.get_sharing_strategy() == "file_system"
        with pytest.raises(AssertionError, match="invalid sharing strategy 'telepathy'"):
            mp.set_sharing_strategy("telepathy")
    finally:
        mp.set_sharing_strategy(before)


def test_the_standard_librarys_names_are_there():
    import multiprocessing

    assert torch.multiprocessing is mp
    assert all(getattr(mp, name) is getattr(multiprocessing, name) for name in multiprocessing.__all__)
    assert {"Process", "Queue", "Pool", "set_start_method", "cpu_count"} <= set(mp.__all__)
    with pytest.warns(UserWarning, match="SpawnContext is renamed"):
        mp.SpawnContext([], [])


@pytest.mark.parametrize(
    ("scheme", "size"), [pytest.param("tcp", 2, marks=pytest.mark.slow), ("tcp", 4), ("file", 2), ("env", 2)]
)
def test_spawned_ranks_form_a_group(tmp_path, monkeypatch, scheme, size):
    port = free_port()
    if scheme == "env":
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", str(port))
    meeting = tmp_path / "meeting"
    method = {"tcp": f"tcp://127.0.0.1:{port}", "file": f"file://{meeting}", "env": "env://"}[scheme]
    mp.spawn(spawned.reduces, args=(size, method, str(tmp_path)), nprocs=size)
    total = size * (size + 1) / 2
    assert {(tmp_path / str(rank)).read_text() for rank in range(size)} == {
        f"{rank} ({[total] * 3},)" for rank in range(size)
    }
    assert not meeting.exists()


@pytest.mark.ci
@pytest.mark.parametrize("scheme", ["tcp", "file"])
def test_a_meeting_place_serves_worlds_of_several_sizes(tmp_path, scheme):
    method = f"tcp://127.0.0.1:{free_port()}" if scheme == "tcp" else f"file://{tmp_path}/meeting"
    mp.spawn(spawned.leaves_and_joins_again, args=(3, method), nprocs=3)


def test_a_rank_that_is_killed_ends_the_group(tmp_path):
    with pytest.raises(mp.ProcessException) as caught:
        mp.spawn(spawned.leaves_early, args=(2, f"file://{tmp_path}/meeting"), nprocs=2)
    told = str(caught.value)
    assert told == "process 0 terminated with signal SIGKILL" or "PeerFailed" in told
