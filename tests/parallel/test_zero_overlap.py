"""ZeroRedundancyOptimizer stepping in the backward pass: the bits of steps after it."""

import numpy as np
import pytest

import distrt as torch
from distrt.comm.local import run_local
from distrt.distributed.algorithms.ddp_comm_hooks.ddp_zero_hook import (
    hook_with_zero_step,
    hook_with_zero_step_interleaved,
)
from distrt.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from distrt.distributed.optim import ZeroRedundancyOptimizer
from distrt.parallel import DistributedDataParallel
from distrt.parallel.sharding.overlap import _spread
from tests.parallel.models import batches, make
from tests.parallel.test_zero import backward, values

STEPS, WITHOUT = 7, 2  # the first passes find out which buckets there are
HOOKS = [hook_with_zero_step, hook_with_zero_step_interleaved]


def require_same_state(expected, found):
    assert found["param_groups"] == expected["param_groups"]
    assert list(found["state"]) == list(expected["state"])
    for number, state in expected["state"].items():
        assert list(found["state"][number]) == list(state)
        for name, value in state.items():
            other = found["state"][number][name]
            assert (other.shape, other.dtype) == (value.shape, value.dtype)
            assert np.array_equal(other.numpy(), value.numpy())


def overlapping(group, kind, **options):
    model = DistributedDataParallel(make("mlp"), process_group=group, bucket_cap_mb=2e-4)
    optimizer = ZeroRedundancyOptimizer(
        model.parameters(), kind, process_group=group, overlap_with_ddp=True, **options
    )
    return model, optimizer


@pytest.mark.parametrize("is_spread", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("make_hook", HOOKS)
def test_parameters_and_state_are_those_of_steps_after_backward(make_hook, world_size, is_spread):
    def run(group):
        model, optimizer = overlapping(group, torch.optim.Adam, lr=0.01)
        hook = make_hook(allreduce_hook, model, optimizer, shard_buckets=is_spread)
        model.register_comm_hook(group, hook)
        ordinary = DistributedDataParallel(make("mlp"), process_group=group, bucket_cap_mb=2e-4)
        ordinary.register_comm_hook(group, allreduce_hook)
        plain = torch.optim.Adam(ordinary.parameters(), lr=0.01)
        for step, batch in enumerate(batches("mlp", STEPS)):
            for each in (model, ordinary):
                each.zero_grad()
                backward(each, group, batch)
            if step >= WITHOUT:
                plain.step()
        assert len(model.reducer.buckets) > 2
        optimizer.consolidate_state_dict()
        found = optimizer.state_dict() if group.rank() == 0 else None
        held = sum(v.numel() for state in optimizer.optim.state.values() for v in state.values())
        return values(model), values(ordinary), found, plain.state_dict(), held

    results = run_local(run, world_size)
    for ours, expected, *_ in results:
        assert all(map(np.array_equal, ours, expected))
    require_same_state(results[0][3], results[0][2])
    whole = sum(v.numel() for state in results[0][3]["state"].values() for v in state.values())
    assert sum(each[-1] for each in results) == whole


def test_what_it_cannot_do_is_refused(caplog):
    def run(group):
        model, optimizer = overlapping(group, torch.optim.SGD, lr=0.1)
        for call in (
            optimizer.state_dict,
            optimizer.consolidate_state_dict,
            lambda: optimizer.load_state_dict({"state": {}, "param_groups": []}),
        ):
            with pytest.raises(RuntimeError, match="has been fully initialized"):
                call()
        with pytest.raises(RuntimeError, match="only supports a single parameter group"):
            optimizer.add_param_group({"params": [torch.ones(1)]})
        assert optimizer.step() is None
        params = list(make("mlp").parameters())
        with pytest.raises(ValueError, match="no supported functional optimizer equivalent"):
            ZeroRedundancyOptimizer(params, torch.optim.ASGD, group, overlap_with_ddp=True)
        without = ZeroRedundancyOptimizer(params, torch.optim.SGD, group, lr=0.1)
        for make_hook in HOOKS:
            with pytest.raises(ValueError, match="must be constructed with `overlap_with_ddp=True`"):
                make_hook(allreduce_hook, model, without)
        group.backend_asked = "gloo"
        for make_hook in HOOKS:
            with pytest.raises(
                RuntimeError, match="Gloo backend using Overlapping DDP with ZeRO may meet hangs"
            ):
                make_hook(allreduce_hook, model, optimizer)

    run_local(run, 1)
    assert "`step()` should not be included in the training loop" in caplog.text


def test_buckets_are_cut_below_a_fair_share():
    buckets = [[torch.zeros(size) for size in sizes] for sizes in ((4, 4, 4, 4), (2, 2))]
    sizes = [[[p.numel() for p in own] for own in shards] for shards in _spread(buckets, 2)]
    assert sizes == [[[4, 4], [4, 4]], [[2, 2], []]]
