"""Datasets and their combinations."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distrt.core.creation import arange, tensor
from distrt.core.random.generator import Generator, manual_seed
from distrt.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset):
    def __init__(self, size: int, start: int = 0) -> None:
        self.values = [i * i for i in range(start, start + size)]

    def __getitem__(self, index):
        return self.values[index]

    def __len__(self) -> int:
        return len(self.values)


class Stream(IterableDataset):
    def __init__(self, *values: int) -> None:
        self.values = values

    def __iter__(self):
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


def test_dataset_without_getitem_says_so() -> None:
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError):
        len(Dataset())


def test_tensor_dataset_yields_tuples_of_rows() -> None:
    data = TensorDataset(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([7, 8]))
    features, label = data[1]
    assert (features.tolist(), label.item(), len(data)) == ([3.0, 4.0], 8, 2)


def test_tensor_dataset_refuses_different_lengths() -> None:
    with pytest.raises(AssertionError, match=r"size mismatch between tensors: they have \[2, 3\] rows"):
        TensorDataset(arange(2), arange(3))


def test_subset_yields_the_chosen_samples_in_order() -> None:
    part = Subset(Squares(10), [3, 1, 1])
    assert ([part[i] for i in range(3)], len(part)) == ([9, 1, 1], 3)
    assert part.__getitems__([2, 0]) == [1, 9]


def test_subset_that_overrides_getitem_only_is_refused() -> None:
    class Doubled(Subset):
        def __getitem__(self, index):
            return 2 * super().__getitem__(index)

    with pytest.raises(NotImplementedError, match="Doubled overrides __getitem__ but not __getitems__"):
        Doubled(Squares(3), [0])


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_concatenation_indexes_like_the_concatenated_list(lengths: list[int]) -> None:
    parts = [Squares(length, start=10 * i) for i, length in enumerate(lengths)]
    whole = ConcatDataset(parts)
    expected = [value for part in parts for value in part.values]
    assert len(whole) == len(expected)
    assert [whole[i] for i in range(len(whole))] == expected
    assert [whole[i - len(whole)] for i in range(len(whole))] == expected


def test_concatenation_refuses_an_index_out_of_range() -> None:
    whole = Squares(2) + Squares(3)
    with pytest.raises(IndexError):
        whole[5]
    with pytest.raises(ValueError, match="out of range"):
        whole[-6]


def test_plus_concatenates_and_chains() -> None:
    assert isinstance(Squares(1) + Squares(1), ConcatDataset)
    chained = Stream(1, 2) + Stream(3)
    assert isinstance(chained, ChainDataset)
    assert (list(chained), len(chained)) == ([1, 2, 3], 3)


def test_mixing_kinds_of_dataset_is_refused() -> None:
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        Squares(1) + Stream(1)
    with pytest.raises(TypeError, match="only supports IterableDataset"):
        list(Stream(1) + Squares(1))
    with pytest.raises(AssertionError, match="empty"):
        ConcatDataset([])


@given(size=st.integers(2, 80), data=st.data())
def test_random_split_by_lengths_is_a_partition(size: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, size))
    parts = random_split(range(size), [cut, size - cut])
    assert [len(part) for part in parts] == [cut, size - cut]
    assert sorted(value for part in parts for value in part.indices) == list(range(size))


@pytest.mark.parametrize("fractions", [[0.5, 0.5], [0.3, 0.3, 0.4], [0.1] * 10, [1.0], [0.9, 0.1]])
def test_random_split_by_fractions_has_pytorchs_lengths(torch: ModuleType, fractions: list[float]) -> None:
    for size in range(20, 60):
        expected, actual = (
            split(range(size), fractions) for split in (torch.utils.data.random_split, random_split)
        )
        assert [len(part) for part in actual] == [len(part) for part in expected], size


def test_random_split_warns_of_a_fraction_that_leaves_nothing(data_module: ModuleType) -> None:
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        assert [len(part) for part in data_module.random_split(range(4), [1.0, 0.0])] == [4, 0]


def test_random_split_follows_its_generator_or_the_default_one() -> None:
    def split(generator: Generator | None) -> list[int]:
        return list(random_split(range(50), [25, 25], generator=generator)[0].indices)

    assert split(Generator().manual_seed(4)) == split(Generator().manual_seed(4))
    manual_seed(5)
    first = split(None)
    manual_seed(5)
    assert split(None) == first


@pytest.mark.parametrize("lengths", [[1, 2], [20], [0.5, 0.6], [-0.5, 1.5]])
def test_random_split_refuses_lengths_that_do_not_fit(data_module: ModuleType, lengths: list[float]) -> None:
    with pytest.raises(ValueError, match=r"Sum of input lengths|Fraction at index"):
        data_module.random_split(range(10), lengths)
