"""Batches that worker processes make are those that the loader would make itself, in the same order."""

import multiprocessing
import os
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt.data import DataLoader, DistributedSampler, TensorDataset, get_worker_info
from distrt.data.workers.process import _seed_streams
from tests.data.loaders import batches, no_process_is_left  # noqa: F401
from tests.data.worker_data import (
    LARGE,
    About,
    Promising,
    Rows,
    Shares,
    Slow,
    note_start,
    samples,
)


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
    ids=lambda options: ", ".join(
        f"{name}={getattr(each, '__name__', each)}" for name, each in options.items()
    ),
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
    staying = three_passes(num_workers=2, persistent_workers=True, prefetch_factor=5)
    assert (
        staying[0] == expected[0]
    )  # later passes draw no base seed: tests/oracle/test_persistent_workers.py


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

    expected = torch.utils.data.DataLoader(
        Theirs(), batch_size, num_workers=2, prefetch_factor=1, multiprocessing_context="fork"
    )
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
    loader = DataLoader(Promising(8), batch_size=None, num_workers=2)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="was reported to be 3"):
        warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork")  # from Python 3.12 on
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
