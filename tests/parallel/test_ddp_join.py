"""Uneven inputs: ranks that have run out of batches take part in the others' collectives."""

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.parallel import DistributedDataParallel
from distrt.parallel.join import Join, Joinable, JoinHook
from tests.parallel.models import make


def inputs_of(rank, count):
    rng = np.random.default_rng(rank)
    return [torch.from_numpy(rng.standard_normal((4, 6))) for _ in range(count)]


def train(group, counts, optimizer=None, model=None, **options):
    model = DistributedDataParallel(model or make("mlp"), process_group=group, bucket_cap_mb=1e-3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with model.join(**options):
        for batch in inputs_of(group.rank(), counts[group.rank()]):
            model(batch).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    return {name: value.numpy().copy() for name, value in model.module.state_dict().items()}


def alone(counts, divisor):
    """One process that sees all ranks' batches of an iteration at once."""
    model = make("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [inputs_of(rank, count) for rank, count in enumerate(counts)]
    for step in range(max(counts)):
        present = [each[step] for each in batches if step < len(each)]
        loss = sum(model(batch).square().mean() for batch in present) / divisor(len(present))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name: value.numpy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("counts", [(3, 5), (5, 2), (1, 4, 6), (4, 4), (0, 3)], ids=str)
@pytest.mark.parametrize("by_all", [True, False])
def test_ranks_that_run_out_take_part_with_zeros(counts, by_all):
    def run(group):
        return train(group, counts, divide_by_initial_world_size=by_all)

    expected = alone(counts, (lambda present: len(counts)) if by_all else (lambda present: present))
    for found in run_local(run, len(counts)):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12)


def test_a_rank_that_has_run_out_keeps_its_gradients():
    """As PyTorch's does, whose zeros travel in buckets of their own."""

    def run(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        with model.join():
            for step in range(2 + group.rank()):
                model.zero_grad()
                model(torch.full((1, 1), 4.0**step)).sum().backward()
        return model.module.weight.grad.item()

    assert run_local(run, 2) == [4.0, 8.0]


def test_buffers_come_from_a_rank_that_still_has_input():
    def run(group):
        model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).double()
        return train(group, (2, 4), model=model)

    first, second = run_local(run, 2)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert first["1.num_batches_tracked"] == 4


def test_all_ranks_stop_where_one_may_not_run_out():
    def run(group):
        with pytest.raises(RuntimeError) as found:
            train(group, (2, 4), throw_on_early_termination=True)
        return str(found.value)

    assert run_local(run, 2) == [
        "Rank 0 exhausted all inputs.",
        "Detected at least one rank that exhausted inputs. Throwing across all ranks.",
    ]


def test_accumulation_without_averaging_goes_on_while_others_have_run_out():
    def run(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False).double(), process_group=group)
        torch.nn.init.ones_(model.module.weight)
        with model.join():
            for step in range((1, 3)[group.rank()]):
                value = torch.ones(1, 1, dtype=torch.float64)
                if step == 1:
                    with model.no_sync():
                        model(value).sum().backward()
                else:
                    model(value).sum().backward()
        return None if model.module.weight.grad is None else model.module.weight.grad.item()

    assert run_local(run, 2)[1] == (1 + 1 + 1) / 2


class Counter(Joinable):
    """PyTorch's tutorial: counts the inputs of all ranks."""

    def __init__(self, group):
        super().__init__()
        self.group, self.total, self.most = group, 0, None

    def __call__(self):
        Join.notify_join_context(self)
        self.total += self.add(1.0)

    def add(self, value):
        array = np.array([value])
        self.group.all_reduce(array)
        return array[0]

    def join_hook(self, **kwargs):
        return CounterHook(self, **kwargs)

    @property
    def join_device(self):
        return torch.device("cpu")

    @property
    def join_process_group(self):
        return self.group


class CounterHook(JoinHook):
    def __init__(self, counter, sync_max_count=False):
        self.counter, self.sync_max_count = counter, sync_max_count

    def main_hook(self):
        self.counter.total += self.counter.add(0.0)

    def post_hook(self, is_last_joiner):
        if self.sync_max_count:
            self.counter.most = is_last_joiner


def test_a_users_own_joinable():
    def run(group):
        counter = Counter(group)
        with Join([counter], sync_max_count=True):
            for _ in range(group.rank() + 2):
                counter()
        return counter.total, counter.most

    assert run_local(run, 3) == [(9, False), (9, False), (9, True)]


def test_what_join_refuses():
    def run(group):
        with pytest.raises(ValueError, match="requires at least one joinable"):
            Join([])
        with pytest.raises(AssertionError, match="constructor calls the ``Joinable`` constructor"):
            Join.notify_join_context(object())
        return True

    assert run_local(run, 1) == [True]
