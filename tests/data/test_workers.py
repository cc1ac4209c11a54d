"""Batches that worker processes make are those that the loader would make itself, in the same order."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import forkserver, resource_tracker
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt.core.kernels import loops
from distrt.data import DataLoader, Dataset, DistributedSampler, TensorDataset, get_worker_info
from distrt.data.workers.process import _seed_streams
from tests.data.described import described
from tests.data.worker_data import (
    LARGE,
    About,
    Ending,
    Failing,
    Rows,
    Shares,
    Slow,
    fail_to_start,
    note_start,
    samples,
)

PROMPT_S = 2.0


def batches(loader: Any) -> list[Any]:
    return [described(batch) for batch in loader]


@pytest.fixture(scope="module", autouse=True)
def no_helpers_left() -> Any:
    """The standard library's own helper processes live as long as their parent, but for this."""
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Any:
    yield
    gc.collect()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 3},
        {"batch_sampler": [[4, 2], [0], [1, 1, 1]]},
        *(
            pytest.param(each, marks=pytest.mark.ci)
            for each in (
                {"batch_size": 3, "drop_last": True},
                {"batch_size": None},
                {"batch_size": 4, "sampler": [7, 1, 3, 5, 2]},
                {"batch_size": 2, "collate_fn": samples, "prefetch_factor": 1, "persistent_workers": True},
                {"batch_size": 2, "prefetch_factor": 0},
                {"batch_size": 2, "prefetch_factor": 300},
            )
        ),
    ],
    ids=str,
)
def test_batches_are_those_of_one_process(options: dict[str, Any]) -> None:
    alone = {
        name: each for name, each in options.items() if name not in ("prefetch_factor", "persistent_workers")
    }
    with_workers = DataLoader(Rows(), num_workers=2, **options)
    expected = batches(DataLoader(Rows(), **alone))
    assert batches(with_workers) == expected
    assert batches(with_workers) == expected
    assert len(with_workers) == len(iter(with_workers)) == len(expected)


@pytest.mark.ci
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_batches_are_the_same_however_workers_are_started(method: str) -> None:
    loader = DataLoader(
        Rows(),
        3,
        num_workers=2,
        multiprocessing_context=method,
        worker_init_fn=note_start,
        persistent_workers=True,
    )
    expected = batches(DataLoader(Rows(), 3))
    for _ in range(2):
        assert batches(loader) == expected


@pytest.mark.parametrize("own_generator", [False, pytest.param(True, marks=pytest.mark.ci)])
def test_same_seed_gives_the_same_order_whatever_the_workers(own_generator: bool) -> None:
    def three_passes(**options: Any) -> list[Any]:
        torch.manual_seed(5)
        generator = torch.Generator().manual_seed(7) if own_generator else None
        loader = DataLoader(TensorDataset(torch.arange(23)), 4, shuffle=True, generator=generator, **options)
        found = [[batch[0].tolist() for batch in loader] for _ in range(3)]
        return [*found, torch.rand(1).item()]

    expected = three_passes()
    assert expected[0] != expected[1]
    assert three_passes(num_workers=1) == expected
    assert three_passes(num_workers=2) == expected
    assert three_passes(num_workers=2, persistent_workers=True, prefetch_factor=5) == expected


def test_a_distributed_sampler_gives_its_share_to_workers() -> None:
    found = []
    for rank in range(2):
        loader = DataLoader(
            Rows(9), 2, sampler=DistributedSampler(range(9), 2, rank, padding="none"), num_workers=1
        )
        found += [i for batch in loader for i in batch["y"].tolist()]
    assert sorted(found) == list(range(9))


def test_workers_know_who_they_are_and_have_streams_of_their_own() -> None:
    torch.manual_seed(3)
    loader = DataLoader(About(), batch_size=None, num_workers=2)
    first = iter(loader)
    base = first.base_seed
    found = list(first)
    assert [each[0] for each in found] == list(range(6))
    assert [each[2:7] for each in found] == [[n % 2, 2, base + n % 2, 6, 1] for n in range(6)]
    assert len({each[1] for each in found} | {os.getpid()}) == 3
    draws = [each[7] for each in found]
    assert len(set(map(tuple, draws))) == 6
    torch.manual_seed(3)
    assert [each[7] for each in loader] == draws
    assert get_worker_info() is None


def test_workers_seeds_are_pytorchs(torch: ModuleType, seed: int) -> None:
    from torch.utils.data._utils.worker import _generate_state

    def drawn(number: int, base: int) -> float:
        _seed_streams(base, number)
        return float(np.random.rand())

    state = np.random.get_state()
    try:
        for number, base in [(0, 0), (1, 2**63 - 1), (7, seed)]:
            np.random.seed(_generate_state(base, number))
            assert drawn(number, base) == float(np.random.RandomState(_generate_state(base, number)).rand())
    finally:
        np.random.set_state(state)


def test_worker_info_has_pytorchs_fields(torch: ModuleType) -> None:
    import dataclasses

    from distrt.data.workers.info import WorkerInfo

    theirs = dataclasses.fields(torch.utils.data._utils.worker.WorkerInfo)
    assert [(each.name, each.default) for each in dataclasses.fields(WorkerInfo)] == [
        (each.name, each.default) for each in theirs
    ]


@pytest.mark.ci
@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_streams_come_in_pytorchs_order(torch: ModuleType, batch_size: int | None) -> None:
    their_info = torch.utils.data.get_worker_info

    class Theirs(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            info = their_info()
            return iter(range(info.id, 7 * (1 + info.id), 2))

    expected = torch.utils.data.DataLoader(Theirs(), batch_size, num_workers=2, prefetch_factor=1)
    actual = DataLoader(Shares(7), batch_size, num_workers=2, prefetch_factor=1)
    assert batches(actual) == batches(expected)


@pytest.mark.ci
@pytest.mark.parametrize("persistent", [False, True])
def test_streams_come_in_one_order_whichever_worker_is_slow(persistent: bool) -> None:
    def found(slow: int | None) -> list[Any]:
        loader = DataLoader(Shares(8, slow), 3, num_workers=2, persistent_workers=persistent)
        return [[batch.tolist() for batch in loader] for _ in range(2)]

    assert found(0) == found(1) == found(None)
    everything = sorted([*range(0, 8, 2), *range(1, 16, 2)])
    assert [sorted(i for batch in once for i in batch) for once in found(None)] == [everything] * 2


@pytest.mark.ci
def test_a_stream_that_is_longer_than_promised_warns() -> None:
    class Promising(Shares):
        def __len__(self) -> int:
            return 3

    loader = DataLoader(Promising(8), batch_size=None, num_workers=2)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="was reported to be 3"):
        list(loader)


@pytest.mark.ci
def test_batches_may_come_as_they_are_ready() -> None:
    loader = DataLoader(Slow(first=0.2), 2, num_workers=2, in_order=False)
    found = [batch["y"].tolist() for batch in loader]
    assert sorted(found) == [[i, i + 1] for i in range(0, 20, 2)]
    assert found[:2] != [[0, 1], [2, 3]]


# Breaking off


def test_a_pass_that_is_broken_off_leaves_no_worker() -> None:
    for _ in DataLoader(Rows(), 2, num_workers=2):
        break
    assert multiprocessing.active_children() == []


def test_an_iterator_that_is_dropped_leaves_no_worker_and_its_batches_stay() -> None:
    batch = next(iter(DataLoader(Rows(), 2, num_workers=2)))
    assert multiprocessing.active_children() == []
    assert batch["x"].is_shared()
    assert batch["x"].tolist() == [[0.0] * LARGE, [1.0] * LARGE]


def test_persistent_workers_go_on_with_a_new_pass_after_one_was_broken_off() -> None:
    loader = DataLoader(About(), batch_size=None, num_workers=2, persistent_workers=True)
    pids = {each[1] for each in loader}
    assert [each[0] for each, _ in zip(loader, range(2), strict=False)] == [0, 1]
    again = list(loader)
    assert [each[0] for each in again] == list(range(6))
    assert {each[1] for each in again} == pids
    del loader


@pytest.mark.ci
def test_two_passes_at_once_do_not_disturb_one_another() -> None:
    loader = DataLoader(Rows(4), 2, num_workers=1)
    pairs = [(a["y"].tolist(), b["y"].tolist()) for a in loader for b in loader]
    assert pairs == [([i, i + 1], [j, j + 1]) for i in (0, 2) for j in (0, 2)]


# Memory


@pytest.mark.ci
def test_blocks_are_used_again_and_never_while_somebody_looks() -> None:
    loader = DataLoader(Rows(120), 2, num_workers=2)
    kept, addresses = [], set()
    for number, batch in enumerate(loader):
        addresses.add(batch["x"].data_ptr())
        if number % 10 == 0:
            kept.append((number, batch["x"][1, ::7]))
    assert len(addresses) < 30
    for number, view in kept:
        assert view.unique().tolist() == [2 * number + 1]


def test_a_batch_that_the_worker_keeps_is_not_overwritten() -> None:
    class Caching:
        def __init__(self) -> None:
            self.first: Any = None

        def __call__(self, batch: Any) -> Any:
            made = torch.utils.data.default_collate(batch)
            self.first = made if self.first is None else self.first
            return self.first["x"], made["x"]

    for number, (first, own) in enumerate(DataLoader(Rows(40), 2, num_workers=1, collate_fn=Caching())):
        assert first.tolist() == [[0.0] * LARGE, [1.0] * LARGE]
        assert own[1, 0] == 2 * number + 1


@pytest.mark.ci
def test_a_forked_process_sees_the_batch_that_it_was_forked_with() -> None:
    iterator = iter(DataLoader(Rows(60), 2, num_workers=1))
    batch = next(iterator)
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.read(go[0], 1)
        os.write(ready[1], b"y" if batch["x"][1, 0] == 1 else b"n")
        os._exit(0)
    del batch
    for _ in iterator:
        pass
    os.write(go[1], b"!")
    assert os.read(ready[0], 1) == b"y"
    os.waitpid(child, 0)
    for each in (*ready, *go):
        os.close(each)


ODD = {
    "bfloat16": lambda: torch.arange(LARGE).to(torch.bfloat16),
    "part of a large tensor": lambda: torch.arange(40 * LARGE)[LARGE : 2 * LARGE],
    "transposed": lambda: torch.arange(2 * LARGE).view(2, LARGE).t(),
    "expanded": lambda: torch.arange(LARGE).expand(3, LARGE),
    "empty": lambda: torch.zeros(0, 3),
    "no dims": lambda: torch.tensor(3.5),
    "complex": lambda: torch.ones(LARGE, dtype=torch.complex64),
    "array backwards": lambda: np.arange(LARGE)[::-1],
    "array of text": lambda: np.array(["a", "bc"] * LARGE),
    "array of objects": lambda: np.array([{}, "x"], dtype=object),
    "array not to be written": lambda: np.frombuffer(bytes(8 * LARGE)),
    "long text": lambda: "text " * 100_000,
    "parameter": lambda: torch.nn.Parameter(torch.ones(LARGE)),
}


class Odd(Dataset):
    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        return {"odd": ODD[self.name](), "i": i}


_QUICK = {"bfloat16", "part of a large tensor", "array backwards"}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in _QUICK else pytest.mark.ci) for each in ODD]
)
def test_everything_travels(name: str) -> None:
    for batch in DataLoader(Odd(name), 1, num_workers=1, collate_fn=samples):
        expected, found = ODD[name](), batch[0]["odd"]
        assert type(found) is type(expected)
        if isinstance(found, str):
            assert found == expected
            continue
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tolist() == expected.tolist()
        if isinstance(found, torch.Tensor):
            assert found.requires_grad == expected.requires_grad
            if not found.requires_grad and name != "expanded":
                found.mul_(2)
        elif found.dtype.kind in "if":
            found[0] = 1


@pytest.mark.ci
def test_tensors_that_share_memory_still_do() -> None:
    class Pair(Dataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, i: int) -> Any:
            whole = torch.zeros(LARGE)
            return whole, whole[: LARGE - 1]

    ((whole, part),) = DataLoader(Pair(), batch_size=None, num_workers=1, collate_fn=samples)
    part[0] = 5
    assert whole[0] == 5


@pytest.mark.ci
def test_what_has_a_graph_is_refused_as_in_pytorch() -> None:
    class Graph(Rows):
        def __getitem__(self, i: int) -> Any:
            return torch.ones(LARGE, requires_grad=True) * 2

    with pytest.raises(
        RuntimeError, match="Cowardly refusing to serialize non-leaf tensor which requires_grad"
    ):
        list(DataLoader(Graph(), batch_size=None, num_workers=1))


@pytest.mark.ci
def test_long_lists_of_indices_and_long_batches_pass_one_another() -> None:
    class Long(Dataset):
        def __len__(self) -> int:
            return 200_000

        def __getitem__(self, i: int) -> str:
            return f"number {i}"

    loader = DataLoader(Long(), 40_000, num_workers=1, prefetch_factor=5, collate_fn=samples)
    assert [each for batch in loader for each in batch] == [f"number {i}" for i in range(200_000)]


@pytest.mark.ci
def test_a_forked_process_has_workers_of_its_own_and_leaves_its_parents_alone() -> None:
    loader = DataLoader(Rows(12), 2, num_workers=1, persistent_workers=True)
    iterator = iter(loader)
    next(iterator)
    child = os.fork()
    if not child:
        try:
            next(iterator)
        except RuntimeError as error:
            told = "begin a pass of its own" in str(error)
            del iterator
            again = [batch["y"].tolist() for batch in loader]
            loader._iterator._pool.close()
            os._exit(0 if told and len(again) == 6 else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [batch["y"][0].item() for batch in iterator] == [2, 4, 6, 8, 10]


# What goes wrong


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
    class LocalError(Exception):
        pass

    with pytest.raises(RuntimeError, match="Caught LocalError in DataLoader worker process 1"):
        list(DataLoader(Failing(LocalError("here")), 2, num_workers=2))


@pytest.mark.ci
def test_an_object_that_cannot_travel_is_an_error() -> None:
    with pytest.raises(Exception, match=r"Caught \w+ in DataLoader worker process 0(.|\n)*pickle"):
        list(DataLoader(Rows(), 2, num_workers=1, collate_fn=lambda batch: lambda: batch))


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
    loader = DataLoader(Ending(end), 2, num_workers=2, persistent_workers=True)
    iterator = iter(loader)
    assert next(iterator)["y"].tolist() == [0, 1]
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=told):
            next(iterator)
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
    assert [batch.tolist() for batch in DataLoader(Compiling(2), 2, num_workers=1, timeout=5)] == [[0, 1]]
    thread.join()
