"""DistributedSampler follows PyTorch's index arithmetic, and its ranks agree."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distrt.data import BatchSampler, DataLoader, DistributedSampler, set_default_world

sizes = st.integers(1, 200)
worlds = st.integers(1, 9)
seeds = st.integers(0, 2**40)


@pytest.fixture
def restored_world() -> Iterator[None]:
    """Takes the default world back afterwards, and restores what the package had registered."""
    from distrt.data import distributed_sampler

    before = distributed_sampler._default_world
    yield
    set_default_world(before)


def shares(size: int, world: int, **options: object) -> list[list[int]]:
    return [list(DistributedSampler(range(size), world, rank, **options)) for rank in range(world)]


def interleaved(parts: list[list[int]]) -> list[int]:
    """The list that the ranks took turns to take from."""
    return [index for turn in zip(*parts, strict=True) for index in turn]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("world", range(1, 9))
def test_unshuffled_indices_equal_pytorch_for_every_small_size(
    torch: ModuleType, world: int, drop_last: bool
) -> None:
    theirs = torch.utils.data.DistributedSampler
    for size in range(1, 51):
        for rank in range(world):
            options = {"num_replicas": world, "rank": rank, "shuffle": False, "drop_last": drop_last}
            expected, actual = theirs(range(size), **options), DistributedSampler(range(size), **options)
            assert list(actual) == list(expected), (size, world, rank)
            assert (len(actual), actual.total_size) == (len(expected), expected.total_size)


def test_default_arguments_equal_pytorch(torch: ModuleType) -> None:
    expected = torch.utils.data.DistributedSampler(range(10), 2, 1)
    actual = DistributedSampler(range(10), 2, 1)
    for name in ("shuffle", "seed", "drop_last", "epoch", "num_samples", "num_replicas", "rank"):
        assert getattr(actual, name) == getattr(expected, name), name


@given(size=sizes, world=worlds, seed=seeds)
def test_shuffled_ranks_cover_the_data_and_repeat_the_front_to_pad(size: int, world: int, seed: int) -> None:
    parts = shares(size, world, seed=seed)
    per_rank = math.ceil(size / world)
    assert [len(part) for part in parts] == [per_rank] * world
    order = interleaved(parts)
    assert sorted(order[:size]) == list(range(size))
    assert order[size:] == [order[i % size] for i in range(size, per_rank * world)]


@given(size=sizes, world=worlds, seed=seeds)
def test_drop_last_gives_disjoint_equal_shares(size: int, world: int, seed: int) -> None:
    parts = shares(size, world, seed=seed, drop_last=True)
    assert [len(part) for part in parts] == [size // world] * world
    assert max(Counter(interleaved(parts)).values(), default=1) == 1


@given(size=st.integers(30, 100), epoch=st.integers(0, 1000), seed=seeds)
def test_order_depends_on_seed_plus_epoch_only(size: int, epoch: int, seed: int) -> None:
    first = DistributedSampler(range(size), 2, 0, seed=seed)
    first.set_epoch(epoch)
    second = DistributedSampler(range(size), 2, 0, seed=seed + epoch)
    other = DistributedSampler(range(size), 2, 0, seed=seed + epoch + 1)
    assert list(first) == list(first) == list(second) != list(other)


def test_epochs_differ_and_forgetting_set_epoch_repeats_the_order() -> None:
    sampler = DistributedSampler(range(100), 2, 0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_global_randomness_neither_changes_the_order_nor_is_changed() -> None:
    from distrt.core.random.generator import manual_seed, numpy_generator

    manual_seed(1)
    first = list(DistributedSampler(range(50), 2, 0))
    after = numpy_generator(None).integers(2**60)
    manual_seed(1)
    assert numpy_generator(None).integers(2**60) == after
    assert list(DistributedSampler(range(50), 2, 0)) == first


@pytest.mark.parametrize("rank", [-1, 2, 7])
def test_rank_outside_the_world_raises_value_error(rank: int) -> None:
    with pytest.raises(ValueError, match=rf"Invalid rank {rank}, rank should be in the interval \[0, 1\]"):
        DistributedSampler(range(10), 2, rank)


def test_empty_dataset_gives_every_rank_nothing() -> None:
    assert shares(0, 3) == shares(0, 3, drop_last=True) == [[], [], []]


@pytest.mark.usefixtures("restored_world")
def test_world_is_asked_for_only_when_it_was_not_given() -> None:
    set_default_world(lambda: (4, 3))
    sampler = DistributedSampler(range(8), shuffle=False)
    assert (sampler.num_replicas, sampler.rank, list(sampler)) == (4, 3, [3, 7])
    assert list(DistributedSampler(range(8), rank=1, shuffle=False)) == [1, 5]
    assert DistributedSampler(range(8), 2, 0).num_replicas == 2


@pytest.mark.usefixtures("restored_world")
def test_without_a_process_group_the_error_says_what_to_do() -> None:
    set_default_world(None)
    with pytest.raises(ValueError, match=r"init_process_group\(\) first, or pass both num_replicas and rank"):
        DistributedSampler(range(8))
    assert len(DistributedSampler(range(8), 2, 0)) == 4


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [0, 1, 37, 64, 100])
def test_a_virtual_shard_has_the_same_samples_in_each_step_on_any_number_of_ranks(
    size: int, drop_last: bool, seed: int
) -> None:
    def steps(world: int) -> list[list[list[int]]]:
        """For each step, each shard's samples."""
        of_ranks = []
        for rank in range(world):
            sampler = DistributedSampler(
                range(size),
                world,
                rank,
                seed=seed,
                drop_last=drop_last,
                virtual_shards=8,
                batch_size=24 // world,
            )
            indices = list(sampler)
            assert len(indices) == len(sampler)
            of_ranks.append(
                [indices[start : start + 24 // world] for start in range(0, len(indices), 24 // world)]
            )
        found = []
        for batches in zip(*of_ranks, strict=True):
            batch = [index for part in batches for index in part]
            found.append(
                [batch[start : start + len(batch) // 8] for start in range(0, len(batch), len(batch) // 8)]
            )
        return found

    one = steps(1)
    assert all(steps(world) == one for world in (2, 4, 8))
    indices = [index for step in one for shard in step for index in shard]
    if drop_last:
        assert len(set(indices)) == len(indices) == size // 8 * 8
    else:
        assert set(indices) == set(range(size))


def test_shards_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(ValueError, match="3 ranks cannot divide 8 virtual shards evenly"):
        DistributedSampler(range(9), 3, 0, virtual_shards=8, batch_size=8)
    with pytest.raises(ValueError, match="multiple of the 4 shards of each rank; got 6"):
        DistributedSampler(range(9), 2, 0, virtual_shards=8, batch_size=6)
    with pytest.raises(ValueError, match="batch_size must be given"):
        DistributedSampler(range(9), 2, 0, virtual_shards=8)


# Every sample once


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("padding", ["wrap", "none"])
@pytest.mark.parametrize("sizes_of_batches", [1, pytest.param(7, marks=pytest.mark.ci)])
def test_batches_of_all_ranks_are_what_is_documented(
    sizes_of_batches: int, padding: str, shuffle: bool, drop_last: bool, seed: int
) -> None:
    """For every n in 1..200, world 1..5, batch 1..7 (quick: one of them); sampler and loader both cut, or neither."""
    for size in range(1, 201):
        for world in range(1, 6):
            options = {"shuffle": shuffle, "seed": seed, "drop_last": drop_last, "padding": padding}
            parts = shares(size, world, **options)
            read = Counter(index for part in parts for index in part)
            lengths = [len(part) for part in parts]
            if drop_last:
                assert lengths == [size // world] * world
                assert set(read.values()) <= {1}
            elif padding == "none":
                assert lengths == [len(range(rank, size, world)) for rank in range(world)]
                assert read == Counter(range(size))
            else:
                assert lengths == [-(-size // world)] * world
                order = interleaved(parts)
                assert read == Counter(range(size)) + Counter(
                    order[i % size] for i in range(size, len(order))
                )
            samplers = on_ranks(size, world, **options)
            assert [len(each) for each in samplers] == lengths
            for batch in ((size + world + more) % 7 + 1 for more in range(sizes_of_batches)):
                for sampler, part in zip(samplers, parts, strict=True):
                    batches = list(BatchSampler(sampler, batch, drop_last))
                    kept = len(part) // batch * batch if drop_last else len(part)
                    assert [index for each in batches for index in each] == part[:kept]
                    assert len(batches) == len(BatchSampler(sampler, batch, drop_last))


def read_until(samplers: list[DistributedSampler], batch: int, steps: int) -> list[int]:
    """What ranks read in so many steps, in the order of the list."""
    iterators = [iter(each) for each in samplers]
    found = []
    for _ in range(steps):
        parts = [list(itertools.islice(each, batch)) for each in iterators]
        for sampler, part in zip(samplers, parts, strict=True):
            sampler.advance(len(part))
        found += [index for turn in itertools.zip_longest(*parts) for index in turn if index is not None]
    return found


def on_ranks(size: int, world: int, **options: object) -> list[DistributedSampler]:
    return [DistributedSampler(range(size), world, rank, **options) for rank in range(world)]


@given(
    size=sizes,
    runs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(0, 9)), min_size=1, max_size=5),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
    seed=seeds,
)
def test_one_integer_resumes_on_any_number_of_ranks_with_every_sample_read_once(
    size: int, runs: list[tuple[int, int, int]], epoch: int, shuffle: bool, seed: int
) -> None:
    options = {"shuffle": shuffle, "seed": seed, "padding": "none"}
    state = {"samples": epoch * size}
    read: list[int] = []
    for world, batch, steps in [*runs, (3, 1, size)]:
        samplers = on_ranks(size, world, **options)
        for each in samplers:
            each.load_state_dict(state)
            each.set_epoch(each.epoch)
        if samplers[0].epoch == epoch:
            read += read_until(samplers, batch, steps)
        state = samplers[0].state_dict()  # rank 0 has one batch at least as long as the others'
    (whole,) = on_ranks(size, 1, **options)
    whole.set_epoch(epoch)
    assert read == list(whole)
    assert state == {"samples": (epoch + 1) * size}


@given(size=sizes, world=worlds, batch=st.integers(1, 7), steps=st.integers(0, 9), seed=seeds)
def test_a_resumed_padded_pass_reads_what_is_left_of_an_unbroken_one(
    size: int, world: int, batch: int, steps: int, seed: int
) -> None:
    samplers = on_ranks(size, world, seed=seed)
    unbroken = shares(size, world, seed=seed)
    read_until(samplers, batch, steps)
    states = [each.state_dict() for each in samplers]
    assert all(each == states[0] for each in states)
    again = on_ranks(size, world, seed=seed)
    for each in again:
        each.load_state_dict(states[0])
    if again[0].epoch == 0:
        assert [list(each) for each in again] == [part[steps * batch :] for part in unbroken]
    else:
        assert steps * batch >= len(unbroken[0]) or states[0]["samples"] == size


def test_the_position_is_used_once_and_left_behind_by_another_epoch() -> None:
    (sampler,) = on_ranks(10, 1, shuffle=False)
    sampler.load_state_dict({"samples": 7})
    assert sampler.state_dict() == {"samples": 7}
    sampler.set_epoch(0)
    assert (list(sampler), len(sampler)) == ([7, 8, 9], 10)
    assert list(sampler) == list(range(10))
    sampler.load_state_dict({"samples": 23})
    assert (sampler.epoch, sampler.state_dict()) == (2, {"samples": 23})
    sampler.set_epoch(3)
    assert list(sampler) == list(range(10))
    assert sampler.state_dict() == {"samples": 30}


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.ci)])
def test_a_loader_counts_what_it_has_given_not_what_its_workers_have_made(workers: int) -> None:
    sampler = DistributedSampler(range(40), 2, 0, shuffle=False)
    loader = DataLoader(range(40), batch_size=4, sampler=sampler, num_workers=workers)
    batch = list(itertools.islice(loader, 3))[-1]
    assert batch.tolist() == [16, 18, 20, 22]
    assert sampler.state_dict() == {"samples": 24}
    rest = DistributedSampler(range(40), 4, 1, shuffle=False)
    rest.load_state_dict(sampler.state_dict())
    loader = DataLoader(range(40), batch_sampler=BatchSampler(rest, 3, False), num_workers=workers)
    assert [each.tolist() for each in loader] == [[25, 29, 33], [37]]
    assert rest.state_dict() == {"samples": 40}


@pytest.mark.parametrize("state", [{}, {"samples": -1}, {"samples": 1.5}, {"samples": 1, "epoch": 2}])
def test_what_is_no_position_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r'expected \{"samples": a number of samples\}'):
        DistributedSampler(range(9), 2, 0).load_state_dict(state)


def test_another_padding_is_refused() -> None:
    with pytest.raises(ValueError, match='padding must be "wrap" or "none", got \'zero\''):
        DistributedSampler(range(9), 2, 0, padding="zero")
    with pytest.raises(ValueError, match="which virtual_shards cannot have"):
        DistributedSampler(range(9), 2, 0, padding="none", virtual_shards=2, batch_size=2)
