"""The samplers of one process: what they yield, how long they say they are, and what they refuse."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distrt.core.creation import tensor
from distrt.core.dtypes.dtype import float64
from distrt.core.random.generator import Generator, manual_seed
from distrt.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def test_sequential_sampler_yields_every_index_in_order() -> None:
    sampler = SequentialSampler("abc")
    assert (list(sampler), len(sampler)) == ([0, 1, 2], 3)


@given(size=st.integers(1, 60), seed=st.integers(0, 2**40))
def test_random_sampler_yields_a_permutation(size: int, seed: int) -> None:
    assert sorted(RandomSampler(range(size), generator=seeded(seed))) == list(range(size))


@given(size=st.integers(1, 20), count=st.integers(1, 100))
def test_more_samples_than_data_take_one_permutation_after_another(size: int, count: int) -> None:
    drawn = list(RandomSampler(range(size), num_samples=count))
    assert len(drawn) == count
    for start in range(0, count, size):
        part = drawn[start : start + size]
        assert len(set(part)) == len(part)


@given(size=st.integers(1, 20), count=st.integers(1, 100))
def test_replacement_yields_num_samples_indices_in_range(size: int, count: int) -> None:
    sampler = RandomSampler(range(size), replacement=True, num_samples=count)
    assert len(list(sampler)) == len(sampler) == count
    assert set(sampler) <= set(range(size))


def test_replacement_does_repeat() -> None:
    drawn = list(RandomSampler(range(100), replacement=True, generator=seeded(0)))
    assert len(set(drawn)) < 100


def test_random_sampler_follows_manual_seed_and_changes_from_pass_to_pass() -> None:
    sampler = RandomSampler(range(50))
    manual_seed(3)
    first, second = list(sampler), list(sampler)
    manual_seed(3)
    assert list(sampler) == first != second


def test_random_numbers_drawn_during_a_pass_do_not_change_it() -> None:
    sampler = RandomSampler(range(50))
    manual_seed(3)
    expected = list(sampler)
    manual_seed(3)
    indices = iter(sampler)
    drawn = [next(indices)]
    manual_seed(99)
    assert drawn + list(indices) == expected


def test_random_sampler_follows_a_dataset_that_grows() -> None:
    data = [0, 1]
    sampler = RandomSampler(data)
    data.append(2)
    assert (len(sampler), sorted(sampler)) == (3, [0, 1, 2])


def test_subset_random_sampler_permutes_the_given_indices() -> None:
    sampler = SubsetRandomSampler([5, 7, 9, 11], generator=seeded(1))
    assert (sorted(sampler), len(sampler)) == ([5, 7, 9, 11], 4)


def test_weighted_sampler_draws_in_proportion_to_the_weights(seed: int) -> None:
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    counts = np.bincount(list(WeightedRandomSampler(weights, 20_000, generator=seeded(seed))), minlength=4)
    expected = weights / weights.sum() * 20_000
    # 6 standard deviations of a binomial count: a wrong weight is far outside, a right one never in practice
    assert np.all(np.abs(counts - expected) <= 6 * np.sqrt(20_000 * 0.25))
    assert counts[1] == 0


def test_weighted_sampler_without_replacement_repeats_nothing_and_prefers_heavy_weights(seed: int) -> None:
    generator = seeded(seed)
    first = []
    for _ in range(2000):
        drawn = list(WeightedRandomSampler([1.0, 0.0, 9.0], 2, replacement=False, generator=generator))
        assert sorted(drawn) == [0, 2]
        first.append(drawn[0])
    assert abs(first.count(2) / 2000 - 0.9) < 0.05


def test_weighted_sampler_accepts_tensors_and_keeps_them_as_float64() -> None:
    sampler = WeightedRandomSampler(tensor([1.0, 2.0]), 3)
    assert (sampler.weights.dtype, sampler.weights.tolist()) == (float64, [1.0, 2.0])


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_weighted_sampler_refuses_what_is_no_distribution(weights: list[float]) -> None:
    with pytest.raises(RuntimeError, match="finite and non-negative"):
        list(WeightedRandomSampler(weights, 1))


def test_weighted_sampler_refuses_more_draws_than_positive_weights() -> None:
    with pytest.raises(RuntimeError, match="cannot draw 3 samples without replacement from 2"):
        list(WeightedRandomSampler([1.0, 0.0, 1.0], 3, replacement=False))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", range(1, 8))
def test_batch_sampler_equals_pytorch(torch: ModuleType, batch_size: int, drop_last: bool) -> None:
    for size in range(12):
        expected = torch.utils.data.BatchSampler(range(size), batch_size, drop_last)
        actual = BatchSampler(range(size), batch_size, drop_last)
        assert (list(actual), len(actual)) == (list(expected), len(expected))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda data: data.RandomSampler([]), ValueError),
        (lambda data: data.RandomSampler([1], num_samples=0), ValueError),
        (lambda data: data.RandomSampler([1], num_samples=1.5), ValueError),
        (lambda data: data.RandomSampler([1], replacement=1), TypeError),
        (lambda data: data.WeightedRandomSampler([1.0], 0), ValueError),
        (lambda data: data.WeightedRandomSampler([1.0], True), ValueError),
        (lambda data: data.WeightedRandomSampler([1.0], 1, replacement=1), ValueError),
        (lambda data: data.WeightedRandomSampler([[1.0]], 1), ValueError),
        (lambda data: data.BatchSampler([1], 0, False), ValueError),
        (lambda data: data.BatchSampler([1], True, False), ValueError),
        (lambda data: data.BatchSampler([1], 2, 0), ValueError),
        (lambda data: iter(data.Sampler()), NotImplementedError),
        (lambda data: len(data.Sampler()), TypeError),
    ],
)
def test_bad_arguments_raise_as_in_pytorch(data_module: ModuleType, make, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        make(data_module)
    assert type(caught.value) is error


def test_sampler_of_the_users_own_needs_only_iter() -> None:
    class Backwards(Sampler[int]):
        def __iter__(self):
            return iter([2, 1, 0])

    assert list(BatchSampler(Backwards(), 2, False)) == [[2, 1], [0]]
