"""Mixed precision under data parallelism: ranks skip a step together, and stay equal to the bit."""

import contextlib
import warnings

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.parallel import DistributedDataParallel

STEPS = 8


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def values(model):
    return [p.detach().numpy().copy() for p in model.parameters()]


def train(group, dtype, overflows, hook=None, **options):
    """Steps under autocast with a GradScaler; ``overflows`` are the (step, rank) at which a loss is infinite."""
    model = DistributedDataParallel(make(), process_group=group, **options)
    if hook is not None:
        model.register_comm_hook(None, hook)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
    rng = np.random.default_rng(group.rank())
    scales, changed = [], []
    for step in range(STEPS):
        inputs = torch.from_numpy(rng.standard_normal((4, 6)).astype(np.float32))
        before = values(model)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            loss = model(inputs).float().square().mean()
        if (step, group.rank()) in overflows:
            loss = loss * float("inf")
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
        changed.append(any(not np.array_equal(a, b) for a, b in zip(before, values(model), strict=True)))
    return scales, changed, values(model), scaler.overflow


def schedule(bad_steps):
    """PyTorch's documented one: halve on overflow, double after three good steps in a row."""
    scale, good, scales = 1024.0, 0, []
    for step in range(STEPS):
        if step in bad_steps:
            scale, good = scale / 2, 0
        else:
            good += 1
            if good == 3:
                scale, good = scale * 2, 0
        scales.append(scale)
    return scales


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_overflow_on_one_rank_skips_the_step_on_all(dtype):
    overflows = {(2, 0), (3, 1), (5, 0), (5, 1)}
    first, second = run_local(lambda group: train(group, dtype, overflows), 2)
    bad = {step for step, _ in overflows}
    for scales, changed, _, overflow in (first, second):
        assert scales == schedule(bad)
        assert changed == [step not in bad for step in range(STEPS)]
        assert overflow is not None and (overflow.group, overflow.number) == (0, 0)
    for mine, theirs in zip(first[2], second[2], strict=True):
        assert np.isfinite(mine).all() and np.array_equal(mine, theirs)


def keeps_apart(state, bucket):
    """A communication hook that leaves every rank its own gradients."""
    future = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


def test_gradients_that_were_not_averaged_are_skipped_together_and_the_rank_is_known():
    results = run_local(lambda group: train(group, torch.bfloat16, {(4, 1)}, hook=keeps_apart), 2)
    for scales, changed, _, overflow in results:
        assert scales == schedule({4})
        assert changed == [step != 4 for step in range(STEPS)]
        assert overflow.rank == 1 and overflow.scale == schedule({4})[3]


@pytest.mark.parametrize("options", [{}, {"bucket_cap_mb": 1e-4}, {"find_unused_parameters": True}])
def test_the_rank_that_overflowed_is_known_although_gradients_were_averaged(options):
    for rank in range(3):
        for _, _, _, overflow in run_local(
            lambda group, bad=rank: train(group, torch.bfloat16, {(5, bad)}, **options), 3
        ):
            assert (overflow.number, overflow.rank) == (0, rank)


def test_where_every_rank_overflows_none_is_named():
    for *_, overflow in run_local(lambda group: train(group, torch.bfloat16, {(5, 0), (5, 1)}), 2):
        assert (overflow.number, overflow.rank) == (0, None)


def test_each_parameter_is_blamed_on_the_rank_where_it_overflowed():
    """Rank 0's last layer and rank 1's first one overflow in one step; the first one's parameter comes first."""

    def run(group):
        model = DistributedDataParallel(make(), process_group=group, bucket_cap_mb=1e-5)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        found = []
        for step in range(4):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(2, 6)).sum()).backward()
            if step == 2:
                layer = model.module[0 if group.rank() else 2]
                handle = layer.weight.register_hook(lambda gradient: gradient * float("inf"))
            if step == 3:
                handle.remove()
            scaler.step(optimizer)
            scaler.update()
            found.append(scaler.overflow)
        return found

    for found in run_local(run, 2):
        assert found[:3] == [None, None, None]
        assert (found[3].number, found[3].rank) == (0, 1)


def test_what_stayed_on_its_rank_is_blamed_on_that_rank():
    def run(group):
        model = DistributedDataParallel(make(), process_group=group)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        for step in range(3):
            optimizer.zero_grad()
            factor = float("inf") if step == 2 and group.rank() == 1 else 1.0
            with model.no_sync() if step == 2 else contextlib.nullcontext():
                scaler.scale(model(torch.ones(2, 6)).sum() * factor).backward()
            scaler.step(optimizer)
            scaler.update()
        return scaler.overflow

    assert [overflow.rank for overflow in run_local(run, 2)] == [1, 1]


def test_an_average_that_overflows_although_no_rank_did_is_blamed_on_none():
    def run(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
        found = []
        for value in (1.0, 3e38):
            optimizer.zero_grad()
            scaler.scale(model(torch.full((1, 1), value)).sum()).backward()
            with np.errstate(all="ignore"):
                scaler.step(optimizer)
            scaler.update()
            found.append(scaler.overflow)
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of the sum that overflows
        results = run_local(run, 2)
    for before, after in results:
        assert before is None and (after.number, after.rank) == (0, None)


def test_a_scaler_goes_on_while_other_ranks_have_run_out_of_input():
    def run(group):
        model = DistributedDataParallel(make(), process_group=group)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        with model.join():
            for _ in range(2 + group.rank()):
                optimizer.zero_grad()
                scaler.scale(model(torch.ones(2, 6)).square().mean()).backward()
                scaler.step(optimizer)
                scaler.update()
        return values(model)

    for mine, theirs in zip(*run_local(run, 2), strict=True):
        assert np.array_equal(mine, theirs)


def test_accumulation_under_autocast_averages_the_sum():
    def run(group):
        model = DistributedDataParallel(make(), process_group=group)
        inputs = torch.full((2, 6), 1.0 + group.rank())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with model.no_sync():
                model(inputs).float().sum().backward()
            model(inputs).float().sum().backward()
        return [p.grad.numpy().copy() for p in model.parameters()]

    first, second = run_local(run, 2)
    for mine, theirs in zip(first, second, strict=True):
        assert mine.dtype == np.float32 and np.array_equal(mine, theirs)
