"""Whatever goes wrong in a worker is told in the training process, at once and by name."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from distrt.core.kernels import loops
from distrt.data import DataLoader
from tests.data.loaders import batches, no_process_is_left  # noqa: F401
from tests.data.worker_data import (
    Ending,
    Failing,
    FailingInItsOwnWay,
    Rows,
    Slow,
    a_function,
    fail_to_start,
    samples,
)

PROMPT_S = 2.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "error",
    [
        KeyError("key"),
        *(
            pytest.param(each, marks=pytest.mark.ci)
            for each in (ValueError("bad"), OSError(5, "fire"), StopIteration())
        ),
    ],
)
def test_an_error_keeps_its_class_and_brings_the_traceback(error: Exception) -> None:
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    iterator = iter(DataLoader(Failing(error), 2, num_workers=2))
    assert next(iterator)["y"].tolist() == [0, 1]
    with pytest.raises(expected) as caught:
        next(iterator)
    told = str(caught.value)
    assert told.startswith(
        f"Caught {type(error).__name__} in DataLoader worker process 1.\nOriginal Traceback"
    )
    assert "in __getitem__" in told and "raise self.error" in told
    assert next(iterator)["y"].tolist() == [4, 5]


@pytest.mark.slow  # PyTorch takes ten seconds to end its workers
def test_errors_messages_begin_as_in_pytorch(torch: ModuleType) -> None:
    def first_line(module: Any) -> str:
        with pytest.raises(ValueError) as caught:
            list(module.DataLoader(Failing(ValueError("bad")), 2, num_workers=2, collate_fn=samples))
        return str(caught.value).split("\n")[0]

    import distrt.data

    assert first_line(distrt.data) == first_line(torch.utils.data)


@pytest.mark.ci
def test_an_error_whose_class_is_known_to_nobody_else_is_a_runtime_error_that_names_it() -> None:
    with pytest.raises(RuntimeError, match="Caught LocalError in DataLoader worker process 1"):
        list(DataLoader(FailingInItsOwnWay(), 2, num_workers=2))


@pytest.mark.ci
def test_an_object_that_cannot_travel_is_an_error() -> None:
    with pytest.raises(Exception, match=r"Caught \w+ in DataLoader worker process 0(.|\n)*pickle"):
        list(DataLoader(Rows(), 2, num_workers=1, collate_fn=a_function))


@pytest.mark.ci
@pytest.mark.parametrize("persistent", [False, True])
def test_a_worker_that_cannot_start_says_so(persistent: bool) -> None:
    loader = DataLoader(Rows(), 2, num_workers=2, worker_init_fn=fail_to_start, persistent_workers=persistent)
    for _ in range(2):
        with pytest.raises(OSError, match=r"Caught OSError in DataLoader worker process 0(.|\n)*has no disk"):
            next(iter(loader))


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (
            "killed",
            r"DataLoader worker \(pid \d+\) is killed by signal: Killed. It was worker 1 of 2, and SIGKILL",
        ),
        (
            "exits",
            r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly with exit code 7. It was worker 1 of 2",
        ),
    ],
)
def test_a_worker_that_dies_is_named_at_once(end: str, told: str) -> None:
    loader = DataLoader(Ending(end), 2, num_workers=2, persistent_workers=True, prefetch_factor=1)
    iterator = iter(loader)
    assert [next(iterator)["y"].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=told):
            list(iterator)  # the other worker's batch may come first
    assert time.monotonic() - began < PROMPT_S
    assert multiprocessing.active_children() == []
    assert next(iter(loader))["y"].tolist() == [0, 1], "another pass starts other workers"


@pytest.mark.ci
def test_a_worker_that_somebody_kills_while_others_are_busy_is_named_at_once() -> None:
    iterator = iter(DataLoader(Slow(seconds=30, first=30), 2, num_workers=2))
    began = time.monotonic()
    victim = multiprocessing.active_children()[0].pid
    threading.Timer(0.2, os.kill, (victim, signal.SIGTERM)).start()
    with pytest.raises(RuntimeError, match=rf"worker \(pid {victim}\) is killed by signal: Terminated"):
        next(iterator)
    assert time.monotonic() - began < PROMPT_S


@pytest.mark.ci
def test_a_timeout_names_the_worker() -> None:
    iterator = iter(DataLoader(Slow(first=0.5), 1, num_workers=2, timeout=0.1))
    with pytest.raises(
        RuntimeError, match=r"DataLoader timed out after 0.1 seconds, waiting for worker 0 \(pid \d+\)"
    ):
        next(iterator)


@pytest.mark.ci
def test_what_cannot_be_pickled_cannot_be_spawned_and_a_warning_says_why() -> None:
    loader = DataLoader(
        Rows(), 2, num_workers=1, multiprocessing_context="spawn", collate_fn=lambda batch: batch
    )
    with (
        pytest.warns(UserWarning, match="Got pickle error when attempting to start a worker Process"),
        pytest.raises(Exception, match=r"[Pp]ickle"),
    ):
        iter(loader)


@pytest.mark.ci
def test_a_fork_waits_for_a_thread_that_compiles() -> None:
    class Compiling(Rows):
        def __getitem__(self, i: int) -> Any:
            with loops._compiling:
                return i

    held, done = threading.Event(), threading.Event()

    def compile_something() -> None:
        with loops._compiling:
            held.set()
            done.wait(0.2)

    thread = threading.Thread(target=compile_something)
    thread.start()
    held.wait()
    loader = DataLoader(Compiling(2), 2, num_workers=1, timeout=5, multiprocessing_context="fork")
    assert [batch.tolist() for batch in loader] == [[0, 1]]
    thread.join()


UNGUARDED = """
from distrt.data import DataLoader
for batch in DataLoader(range(4), 2, num_workers=2, multiprocessing_context={method!r}):
    print(batch.tolist())
"""


@pytest.mark.ci
@pytest.mark.parametrize("start", [["program.py"], ["-m", "program"]], ids=["script", "module"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_program_that_starts_workers_while_it_is_imported_is_told_of_the_guard(
    tmp_path: Path, method: str, start: list[str]
) -> None:
    (tmp_path / "program.py").write_text(UNGUARDED.format(method=method))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, *start],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if method == "fork":
        assert (run.returncode, run.stdout) == (0, "[0, 1]\n[2, 3]\n"), run.stderr
        return
    last = run.stderr.strip().split("\n")[-1]
    assert (run.returncode, run.stdout) == (1, "")
    assert "WorkerDied: DataLoader worker" in last and "below `if __name__ == '__main__':`" in last
