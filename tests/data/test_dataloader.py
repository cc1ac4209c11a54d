"""DataLoader yields PyTorch's batches, reports PyTorch's lengths and refuses what PyTorch refuses."""

import inspect
import multiprocessing
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import distrt.core.creation as ours
import distrt.data
import distrt.utils.data
from distrt.core.random.generator import Generator, manual_seed
from distrt.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
)
from tests.data.described import described


class Mixed(Dataset):
    """A sample of everything that collation knows; works with either library's loader."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < self.size:
            raise IndexError(i)
        return {"x": np.full(2, i, np.float32), "y": i, "z": (i / 2, str(i)), "w": [i % 2 == 0]}

    def __len__(self) -> int:
        return self.size


def stream_of(base: type, size: int, promised: int | None = None) -> Any:
    class Stream(base):
        def __iter__(self) -> Iterator[int]:
            return iter(range(size))

        if promised is not None:

            def __len__(self) -> int:
                return promised

    return Stream()


def batches(loader: Any) -> list[Any]:
    return [described(batch) for batch in loader]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 10, 11])
def test_batches_equal_pytorch(torch: ModuleType, batch_size: int, drop_last: bool) -> None:
    for size in (0, 1, 6, 7, 10):
        expected = torch.utils.data.DataLoader(Mixed(size), batch_size, drop_last=drop_last)
        actual = DataLoader(Mixed(size), batch_size, drop_last=drop_last)
        assert batches(actual) == batches(expected)
        assert len(actual) == len(expected)


@pytest.mark.parametrize(
    "options", [{"batch_size": None}, {"batch_size": 2}, {"batch_sampler": [[4, 2], [0]]}]
)
def test_sampling_options_equal_pytorch(torch: ModuleType, options: dict[str, Any]) -> None:
    expected = torch.utils.data.DataLoader(Mixed(5), **options)
    actual = DataLoader(Mixed(5), **options)
    assert batches(actual) == batches(expected)
    assert len(actual) == len(expected)
    assert (actual.batch_size, actual.drop_last) == (expected.batch_size, expected.drop_last)


def test_sampler_chooses_order_and_length() -> None:
    loader = DataLoader(Mixed(5), batch_size=2, sampler=[4, 0, 3])
    assert [batch["y"].tolist() for batch in loader] == [[4, 0], [3]]
    assert len(loader) == 2


@given(size=st.integers(1, 40), batch_size=st.integers(1, 12), seed=st.integers(0, 2**40))
def test_tensor_dataset_gathered_at_once_equals_sample_by_sample(
    size: int, batch_size: int, seed: int
) -> None:
    tensors = [ours.arange(size), ours.tensor(np.arange(2.0 * size).reshape(size, 2))]
    plain = TensorDataset(*tensors)

    class SampleBySample(TensorDataset):
        """A subclass may do anything in __getitem__, so the loader must call it."""

    for wrap in (lambda dataset: dataset, lambda dataset: Subset(dataset, list(range(size))[::-1])):
        runs = []
        for dataset in (plain, SampleBySample(*tensors)):
            generator = Generator().manual_seed(seed)
            runs.append(batches(DataLoader(wrap(dataset), batch_size, shuffle=True, generator=generator)))
        assert runs[0] == runs[1]


def test_tensor_dataset_equals_pytorch(torch: ModuleType) -> None:
    array = np.arange(14, dtype=np.float32).reshape(7, 2)
    theirs = torch.utils.data.TensorDataset(torch.tensor(array), torch.arange(7))
    mine = TensorDataset(ours.tensor(array), ours.arange(7))
    assert batches(DataLoader(mine, 3)) == batches(torch.utils.data.DataLoader(theirs, 3))


def test_subclass_of_tensor_dataset_has_its_getitem_called() -> None:
    class Negated(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return -self.tensors[0][index].item()

    assert next(iter(DataLoader(Negated(ours.arange(3)), 3))).tolist() == [0, -1, -2]


def test_getitems_fetches_a_batch_in_one_call() -> None:
    class Batched(Mixed):
        def __getitems__(self, indices: list[int]) -> list[int]:
            return [10 * i for i in indices]

    assert next(iter(DataLoader(Batched(5), 3))).tolist() == [0, 10, 20]


def test_shuffle_follows_manual_seed_and_gives_a_new_order_in_every_pass() -> None:
    loader = DataLoader(Mixed(40), batch_size=40, shuffle=True)

    def order() -> list[int]:
        (batch,) = loader
        return batch["y"].tolist()

    manual_seed(11)
    first, second = order(), order()
    manual_seed(11)
    assert order() == first != second
    assert sorted(first) == list(range(40))


def test_shuffle_takes_its_randomness_from_the_given_generator() -> None:
    def order(seed: int) -> list[int]:
        generator = Generator().manual_seed(seed)
        return [batch["y"].item() for batch in DataLoader(Mixed(20), shuffle=True, generator=generator)]

    assert order(1) == order(1) != order(2)


def test_distributed_samplers_split_the_batches_of_all_ranks() -> None:
    seen = []
    for rank in range(3):
        sampler = DistributedSampler(range(9), 3, rank)
        seen += [i for batch in DataLoader(Mixed(9), 2, sampler=sampler) for i in batch["y"].tolist()]
    assert sorted(seen) == list(range(9))


def test_collate_fn_receives_the_list_of_samples() -> None:
    loader = DataLoader([5, 6, 7], batch_size=2, collate_fn=lambda samples: samples)
    assert list(loader) == [[5, 6], [7]]
    assert list(DataLoader([5, 6], batch_size=None, collate_fn=lambda sample: sample + 1)) == [6, 7]


def test_two_passes_can_run_at_the_same_time() -> None:
    loader = DataLoader([1, 2, 3])
    assert [(a.item(), b.item()) for a in loader for b in loader][:4] == [(1, 1), (1, 2), (1, 3), (2, 1)]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 4, None])
def test_stream_equals_pytorch(torch: ModuleType, batch_size: int | None, drop_last: bool) -> None:
    if batch_size is None and drop_last:
        drop_last = False
    for size in (0, 1, 8, 9):
        options = {"batch_size": batch_size, "drop_last": drop_last}
        expected = torch.utils.data.DataLoader(
            stream_of(torch.utils.data.IterableDataset, size, size), **options
        )
        actual = DataLoader(stream_of(IterableDataset, size, size), **options)
        assert len(actual) == len(expected)
        assert batches(actual) == batches(expected)


def test_stream_without_a_length_has_none() -> None:
    loader = DataLoader(stream_of(IterableDataset, 3))
    with pytest.raises(TypeError):
        len(loader)
    assert len(list(loader)) == 3


def test_stream_longer_than_it_promised_warns() -> None:
    loader = DataLoader(stream_of(IterableDataset, size=5, promised=3), batch_size=None)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="was reported to be 3"):
        assert list(loader) == [0, 1, 2, 3, 4]


BAD = {
    "negative workers": {"num_workers": -1},
    "negative timeout": {"timeout": -1, "num_workers": 1},
    "prefetch without workers": {"prefetch_factor": 2},
    "negative prefetch": {"prefetch_factor": -1, "num_workers": 1},
    "persistent without workers": {"persistent_workers": True},
    "context without workers": {"multiprocessing_context": "spawn"},
    "unknown context": {"multiprocessing_context": "teleport", "num_workers": 1},
    "sampler and shuffle": {"sampler": [0], "shuffle": True},
    "batch_sampler and batch_size": {"batch_sampler": [[0]], "batch_size": 2},
    "batch_sampler and shuffle": {"batch_sampler": [[0]], "shuffle": True},
    "batch_sampler and sampler": {"batch_sampler": [[0]], "sampler": [0]},
    "batch_sampler and drop_last": {"batch_sampler": [[0]], "drop_last": True},
    "no batches and drop_last": {"batch_size": None, "drop_last": True},
    "batch size 0": {"batch_size": 0},
    "fractional batch size": {"batch_size": 1.5},
}


@pytest.mark.parametrize("name", BAD)
def test_options_that_exclude_one_another_raise_as_in_pytorch(data_module: ModuleType, name: str) -> None:
    with pytest.raises(ValueError):
        data_module.DataLoader([1, 2, 3], **BAD[name])


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_stream_takes_no_sampling_options_as_in_pytorch(
    data_module: ModuleType, options: dict[str, Any]
) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"expected unspecified {name} option"):
        data_module.DataLoader(stream_of(data_module.IterableDataset, 3), **options)


def test_shuffling_an_empty_dataset_raises_as_in_pytorch(data_module: ModuleType) -> None:
    with pytest.raises(ValueError, match="num_samples should be a positive integer"):
        data_module.DataLoader([], shuffle=True)


@pytest.mark.parametrize(
    "name", ["batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"]
)
def test_attribute_cannot_be_set_after_construction(data_module: ModuleType, name: str) -> None:
    with pytest.raises(
        ValueError, match=f"{name} attribute should not be set after DataLoader is initialized"
    ):
        setattr(data_module.DataLoader([1]), name, None)


def test_constructor_has_pytorchs_keywords_order_and_defaults(torch: ModuleType) -> None:
    def keywords(loader: type) -> list[tuple[Any, ...]]:
        return [(p.name, p.kind, p.default) for p in inspect.signature(loader).parameters.values()]

    assert keywords(DataLoader) == keywords(torch.utils.data.DataLoader)


def test_multiprocessing_context_may_be_a_name_or_a_context() -> None:
    context = multiprocessing.get_context("spawn")
    for option in ("spawn", context):
        assert (
            DataLoader([1], num_workers=1, multiprocessing_context=option).multiprocessing_context is context
        )
    with pytest.raises(TypeError, match="valid context object or a string"):
        DataLoader([1], num_workers=1, multiprocessing_context=3)


@pytest.mark.parametrize("workers", [0, 1])
def test_pinned_memory_without_a_gpu_is_a_warning_as_in_pytorch(
    data_module: ModuleType, workers: int
) -> None:
    loader = data_module.DataLoader([1, 2, 3], pin_memory=True, num_workers=workers)
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator is found"):
        warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork")  # from Python 3.12 on
        assert [batch.tolist() for batch in loader] == [[1], [2], [3]]


def test_more_workers_than_cores_are_a_warning_as_in_pytorch(data_module: ModuleType) -> None:
    with pytest.warns(
        UserWarning, match="will create 4096 worker processes in total. Our suggested max number"
    ):
        data_module.DataLoader([1], num_workers=4096)


def test_error_in_a_dataset_keeps_its_type() -> None:
    class Broken(Mixed):
        def __getitem__(self, i: int) -> Any:
            raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        next(iter(DataLoader(Broken(3))))


class Repeating:
    """Draws a sampler's batches for ever."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from self.sampler


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.ci)])
def test_a_loader_may_repeat_its_sampler(num_workers: int, torch: ModuleType) -> None:
    """As public loaders do whose workers go on from epoch to epoch: by the names that PyTorch has for it."""
    seen = []
    for library in (distrt.utils.data, torch.utils.data):
        loader = library.DataLoader([1, 2, 3], batch_size=2, num_workers=num_workers)
        assert loader._auto_collation and loader._index_sampler is loader.batch_sampler
        loader._DataLoader__initialized = False
        loader.batch_sampler = Repeating(loader.batch_sampler)
        loader._DataLoader__initialized = True
        batches = loader._get_iterator()
        seen.append([next(batches).tolist() for _ in range(5)])
        with pytest.raises(ValueError, match="should not be set after DataLoader is initialized"):
            loader.sampler = None
    assert seen[0] == seen[1] == [[1, 2], [3], [1, 2], [3], [1, 2]]


def test_default_sampler_is_sequential() -> None:
    assert isinstance(DataLoader([1]).sampler, SequentialSampler)


def test_pytorchs_paths_lead_here() -> None:
    import distrt.utils.data as facade
    from distrt.utils import data as through_utils
    from distrt.utils.data.distributed import DistributedSampler as AtFullPath

    assert through_utils is facade
    assert (
        facade.distributed.DistributedSampler is facade.DistributedSampler is AtFullPath is DistributedSampler
    )
    assert facade.DataLoader is DataLoader
    for module in (facade, distrt.data):
        assert module.__all__ == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
