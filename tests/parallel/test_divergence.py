"""DivergenceGuard: parameters that differ in one bit are named, with the ranks, on every rank."""

import copy
import re

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import CollectiveMismatch, DistributedError
from distrt.nn.parallel import DistributedDataParallel
from distrt.parallel import DivergenceGuard
from distrt.parallel.divergence import _WORDS, fingerprint
from tests.parallel.models import make

ONES = torch.ones(2, 6, dtype=torch.float64)


def complaints(world_size, change, model=lambda: make("mlp")):
    """What each rank says after ``change(rank, parameters by name)``."""

    def run(group):
        trained = model()
        guard = DivergenceGuard(trained, group=group)
        guard.check()
        change(group.rank(), dict(trained.named_parameters()))
        with pytest.raises(DistributedError) as found:
            guard.check()
        group.barrier()  # the group is as good as before
        return str(found.value)

    return run_local(run, world_size)


def flip(tensor, place, bit=0):
    """Change one bit of one element."""
    tensor._array.reshape(-1).view(np.uint64)[place] ^= np.uint64(1) << np.uint64(bit)


def test_one_bit_on_one_rank_is_named_on_all():
    def change(rank, parameters):
        if rank == 2:
            flip(parameters["2.weight"], 77)

    said = complaints(4, change)
    for rank, each in enumerate(said):
        assert each.startswith(f"rank {rank}: ")
        assert "2.weight (16, 16) torch.float64 differs on rank 2 from that on ranks 0, 1, 3." in each


def test_the_first_of_several_is_named_and_the_others_counted():
    def change(rank, parameters):
        if rank != 1:
            for name in ("4.bias", "0.bias", "2.weight"):
                flip(parameters[name], 0, bit=63)

    for each in complaints(3, change):
        assert (
            "0.bias (16,) torch.float64 differs on rank 1 from that on ranks 0, 2, and so do 2 more" in each
        )


def test_without_a_majority_all_sides_are_named():
    def change(rank, parameters):
        flip(parameters["0.bias"], 3, bit=rank % 2)

    for each in complaints(2, change):
        assert "differs between rank 0 and rank 1." in each
    for each in complaints(4, change):
        assert "differs between ranks 0, 2 and ranks 1, 3." in each


def test_signs_and_zeros_count():
    def change(rank, parameters):
        if rank:
            parameters["0.bias"].data.neg_()

    def zeros():
        model = nn.Sequential(nn.Linear(4, 4))
        nn.init.zeros_(model[0].bias)
        return model

    for each in complaints(2, change, zeros):
        assert "0.bias" in each


def test_training_is_watched_by_itself():
    """A rank that misses a step is found before the next pass that compares."""

    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        guard = DivergenceGuard(model, every=3, group=group)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        done = []
        try:
            for step in range(10):
                optimizer.zero_grad()
                model(ONES).square().sum().backward()
                if step != 4 or group.rank() != 1:
                    optimizer.step()
                done.append(step)
        except DistributedError as error:
            assert "rank 1 from that on ranks 0, 2" in str(error)
            assert "after 6 forward passes" in str(error)
            assert re.search(r"module\.\d\.weight", str(error))
        return done, guard.passes

    assert run_local(run, 3) == [(list(range(6)), 6)] * 3


def test_equal_parameters_pass_and_evaluation_is_not_counted():
    def run(group):
        model = make("mlp")
        guard = DivergenceGuard(model, every=2, group=group)
        before = group.sequence
        for _ in range(7):
            model(ONES)
        model.eval()(ONES)
        compared = group.sequence - before
        guard.remove()
        model.train()(ONES)
        return guard.passes, compared

    assert run_local(run, 2) == [(7, 3)] * 2


def test_a_copied_model_is_not_watched():
    def run(group):
        model = make("mlp")
        guard = DivergenceGuard(model, every=1, group=group)
        copied = copy.deepcopy(model)
        for _ in range(3):
            copied(ONES)
        return guard.passes

    assert run_local(run, 2) == [0, 0]


def test_parameters_that_each_rank_keeps_for_itself_are_left_out():
    def run(group):
        model = nn.Linear(3, 3)
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, ["bias"])
        nn.init.zeros_(model.weight)
        nn.init.constant_(model.bias, group.rank())
        DivergenceGuard(model, group=group).check()
        DivergenceGuard(DistributedDataParallel(model, process_group=group), group=group).check()
        return True

    assert run_local(run, 2) == [True, True]


def test_models_of_different_sizes_are_a_mismatch_and_one_rank_has_nothing_to_compare():
    def run(group):
        model = nn.Linear(2, 2, bias=group.rank() == 0)
        with pytest.raises(CollectiveMismatch):
            DivergenceGuard(model, group=group).check()
        return True

    assert run_local(run, 2) == [True, True]
    assert run_local(lambda group: DivergenceGuard(make("mlp"), group=group).check(), 1) == [None]


def test_every_must_be_a_number_of_passes():
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        run_local(lambda group: DivergenceGuard(make("mlp"), every=0, group=group), 1)


@pytest.mark.parametrize("size", [0, 1, 3, 8, 8 * _WORDS - 8, 8 * _WORDS, 8 * _WORDS + 5, 24 * _WORDS + 8])
def test_any_change_of_one_byte_changes_the_fingerprint(size, rng):
    data = rng.integers(0, 256, size, np.uint8)
    expected = fingerprint(data)
    assert fingerprint(data.copy()) == expected
    assert 0 <= expected < 2**64
    for place in rng.integers(0, size, 50) if size else ():
        changed = data.copy()
        changed[place] ^= np.uint8(1 << rng.integers(0, 8))
        assert fingerprint(changed) != expected
    assert fingerprint(np.append(data, np.uint8(0))) != expected


def test_the_fingerprint_depends_on_the_order_of_words_and_blocks(rng):
    blocks = rng.integers(0, 2**63, (3, _WORDS), np.int64)
    seen = {
        fingerprint(blocks),
        fingerprint(blocks[::-1]),
        fingerprint(np.roll(blocks, 1)),
        fingerprint(blocks.T),
    }
    assert len(seen) == 4
    assert fingerprint(np.asfortranarray(blocks)) == fingerprint(blocks)


def test_many_similar_arrays_have_different_fingerprints():
    """Two flipped signs, two swapped values: what sums of products would miss."""
    base = np.arange(1.0, 65.0)
    seen = {fingerprint(base)}
    for first in range(64):
        for second in range(first):
            flipped, swapped = base.copy(), base.copy()
            flipped[[first, second]] *= -1
            swapped[[first, second]] = swapped[[second, first]]
            seen |= {fingerprint(flipped), fingerprint(swapped)}
    assert len(seen) == 1 + 64 * 63


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.complex64, torch.bool])
def test_every_dtype_has_bits(dtype):
    first, second = torch.zeros(5, dtype=dtype), torch.zeros(5, dtype=dtype)
    second[3] = 1
    assert fingerprint(first._array) != fingerprint(second._array)
