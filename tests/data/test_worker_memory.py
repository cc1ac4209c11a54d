"""What workers make lies in memory that the training process sees, and that is used again when nobody looks."""

import os
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt.data import DataLoader, Dataset
from tests.data.loaders import batches, no_process_is_left  # noqa: F401
from tests.data.worker_data import (
    LARGE,
    Keeping,
    Many,
    Pair,
    Rows,
    WithGraph,
    samples,
)


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
    for number, (first, own) in enumerate(DataLoader(Rows(40), 2, num_workers=1, collate_fn=Keeping())):
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
    "sparse": lambda: torch.sparse_coo_tensor([[3, 1, 3]], torch.ones(3, LARGE), (4, LARGE)),
    "sparse, by rows": lambda: torch.eye(1000).to_sparse_csr(),
    "parameter": lambda: torch.nn.Parameter(torch.ones(LARGE)),
}


class Odd(Dataset):
    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        return {"odd": ODD[self.name](), "i": i}


_QUICK = {"bfloat16", "sparse", "part of a large tensor", "array backwards"}


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
        if isinstance(found, torch.Tensor):
            assert found.layout is expected.layout
            assert torch.equal(found.to_dense(), expected.to_dense())
            assert found.requires_grad == expected.requires_grad
            if not found.requires_grad and name != "expanded":
                found.mul_(2)
            continue
        assert found.tolist() == expected.tolist()
        if found.dtype.kind in "if":
            found[0] = 1


@pytest.mark.ci
def test_tensors_that_share_memory_still_do() -> None:
    ((whole, part),) = DataLoader(Pair(), batch_size=None, num_workers=1, collate_fn=samples)
    part[0] = 5
    assert whole[0] == 5


@pytest.mark.ci
def test_what_has_a_graph_is_refused_as_in_pytorch() -> None:
    with pytest.raises(
        RuntimeError, match="Cowardly refusing to serialize non-leaf tensor which requires_grad"
    ):
        list(DataLoader(WithGraph(), batch_size=None, num_workers=1))


@pytest.mark.ci
def test_long_lists_of_indices_and_long_batches_pass_one_another() -> None:
    loader = DataLoader(Many(), 40_000, num_workers=1, prefetch_factor=5, collate_fn=samples)
    assert [each for batch in loader for each in batch] == [f"number {i}" for i in range(200_000)]


@pytest.mark.ci
def test_a_forked_process_has_workers_of_its_own_and_leaves_its_parents_alone() -> None:
    # Not by a fork server, which Python takes for a child of whoever was forked from the process that started it.
    loader = DataLoader(Rows(12), 2, num_workers=1, persistent_workers=True, multiprocessing_context="fork")
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


class Sums(Dataset):
    """Sample i is the sum of the i-th tensor."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors)

    def __getitem__(self, i: int) -> float:
        return self.tensors[i].sum().item()


@pytest.mark.ci
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_not_forked_see_the_tensors_of_the_dataset_in_the_same_memory(method: str) -> None:
    tensors = [torch.zeros(LARGE), torch.ones(LARGE), torch.eye(3).to_sparse()]
    loader = DataLoader(
        Sums(tensors), 2, num_workers=2, multiprocessing_context=method, persistent_workers=True
    )
    assert [each.tolist() for each in loader] == [[0, LARGE], [3]]
    tensors[0][:] = 2
    assert [each.tolist() for each in loader] == [[2 * LARGE, LARGE], [3]]


@pytest.mark.ci
def test_a_fork_server_takes_a_dataset_of_more_tensors_than_it_passes_descriptors_on() -> None:
    tensors = [torch.full((1 << 18,), float(i % 2)) for i in range(300)]
    loader = DataLoader(Sums(tensors), 100, num_workers=1, multiprocessing_context="forkserver")
    assert [each.sum().item() for each in loader] == [50 << 18] * 3
