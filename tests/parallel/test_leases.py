"""The memory of wrappers that are gone comes back when the ranks next build one."""

import gc

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.comm.process_group import ProcessGroup
from distrt.parallel import DistributedDataParallel
from distrt.parallel.leases import _leased
from tests.multiprocess.side_by_side import run_distrt


@pytest.fixture
def freed(monkeypatch):
    """The sizes of the buffers that ranks have given back."""
    sizes = []
    free = ProcessGroup.free
    monkeypatch.setattr(
        ProcessGroup, "free", lambda group, array: (sizes.append(array.size), free(group, array))
    )
    return sizes


def wrap_and_train(group, model, passes=1):
    wrapped = DistributedDataParallel(model, process_group=group)
    for _ in range(passes):
        wrapped(torch.ones(1, 3) + group.rank()).sum().backward()
    return wrapped


@pytest.mark.ci
def test_a_dropped_wrapper_gives_its_buckets_back_when_the_next_one_is_made(freed):
    def run(group):
        for _ in range(5):
            wrapped = wrap_and_train(group, nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2).eval()))
            del wrapped
            gc.collect()
        return len(_leased[group])

    held = run_local(run, 2)
    assert held == [3, 3]  # of the last one: a bucket, and the buffers of two dtypes
    assert len(freed) == 2 * 4 * 3


def test_nothing_is_given_back_while_one_rank_still_has_its_wrapper(freed):
    def run(group):
        first = wrap_and_train(group, nn.Linear(3, 1))
        if group.rank() == 1:
            first = None
            gc.collect()
        second = wrap_and_train(group, nn.Linear(3, 1))
        return first is None, second.module.weight.grad.tolist()

    run_local(run, 2)
    assert freed == []


def test_gradients_of_a_dropped_wrapper_stay_as_they_are(freed):
    def run(group):
        models = [nn.Linear(3, 1) for _ in range(3)]
        wrap_and_train(group, models[0])
        kept = models[0].weight.grad
        gc.collect()
        wrap_and_train(group, models[1])
        was = kept.tolist()
        models[0](torch.ones(1, 3)).sum().backward()  # alone: it is nobody's any more
        return was, kept.tolist(), kept is models[0].weight.grad

    for was, now, is_same in run_local(run, 2):
        assert was == [[1.5, 1.5, 1.5]] and now == [[2.5, 2.5, 2.5]] and is_same
    assert freed == [4, 4]


def test_an_array_that_looks_at_a_bucket_keeps_it(freed):
    def run(group):
        model = nn.Linear(3, 1)
        wrap_and_train(group, model)
        seen = model.weight.grad.numpy()
        model.zero_grad()
        gc.collect()
        wrap_and_train(group, nn.Linear(3, 1))
        kept = seen.tolist(), len(freed)
        group.barrier()
        del seen
        wrap_and_train(group, nn.Linear(3, 1))
        return kept

    assert run_local(run, 2) == [([[1.5, 1.5, 1.5]], 0)] * 2
    assert len(freed) == 4  # the first one's bucket and the second's


def test_a_wrapper_that_was_dropped_no_longer_averages():
    def run(group):
        model = nn.Linear(3, 1)
        wrapped = DistributedDataParallel(model, process_group=group)
        outputs = wrapped(torch.ones(1, 3) + group.rank())
        del wrapped
        gc.collect()
        outputs.sum().backward()
        return model.weight.grad.numpy().copy()

    for rank, gradient in enumerate(run_local(run, 2)):
        np.testing.assert_array_equal(gradient, np.full((1, 3), 1.0 + rank))


def test_a_wrapper_that_was_dropped_no_longer_averages_late_gradients():
    def run(group):
        model = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 1))
        wrapped = DistributedDataParallel(
            model,
            process_group=group,
            delay_all_reduce_named_params=[("1.bias", model[1].bias)],
            param_to_hook_all_reduce=model[0].weight,
        )
        outputs = wrapped(torch.ones(1, 3)) * (1 + group.rank())
        del wrapped
        gc.collect()
        outputs.sum().backward()
        return model[1].bias.grad.tolist()

    assert run_local(run, 2) == [[1.0], [2.0]]


MEMORY = """
import gc
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel as DDP
dist.init_process_group('gloo')

def shared_mb():
    with open('/proc/self/smaps_rollup') as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith('Pss_Shmem')) // 1024

for _ in range(8):
    model = DDP(torch.nn.Linear(1024, 2048))
    for _ in range(2):
        model(torch.ones(1, 1024)).sum().backward()
        model.zero_grad()
    del model
    gc.collect()
print(shared_mb())
dist.destroy_process_group()
"""


@pytest.mark.ci
def test_ranks_that_wrap_model_after_model_hold_the_memory_of_one():
    """8 models of 8 MB: each rank's share of the segment would be 64 MB."""
    for told in run_distrt(MEMORY, 2):
        assert int(told) < 24, told
