"""ZeroRedundancyOptimizer on threads: the bits of an ordinary optimizer, with a part of its memory."""

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import DistributedError
from distrt.distributed.optim import ZeroRedundancyOptimizer
from distrt.parallel import DistributedDataParallel
from distrt.parallel.join import Join
from distrt.parallel.sharding.partition import Partition, index_of_least
from tests.parallel.models import GLOBAL_BATCH, batches, make

STEPS = 6

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01, "centered": True}),
    "adafactor": (torch.optim.Adafactor, {"lr": 0.01}),
}


def values(model):
    return [p.detach().numpy().copy() for p in model.parameters()]


def backward(model, group, batch):
    inputs, targets = batch
    part = slice(*(edge * GLOBAL_BATCH // group.size() for edge in (group.rank(), group.rank() + 1)))
    loss = nn.functional.cross_entropy(model(torch.from_numpy(inputs[part])), torch.from_numpy(targets[part]))
    loss.backward()
    return loss


def trained(group, optimizer_of, name="mlp", steps=STEPS, model=None):
    """A model after some steps, and its optimizer."""
    model = model or DistributedDataParallel(make(name), process_group=group)
    optimizer = optimizer_of(list(model.parameters()))
    for batch in batches(name, steps):
        optimizer.zero_grad()
        backward(model, group, batch)
        optimizer.step()
    return model, optimizer


def sharded(group, kind, as_views=False, **options):
    return lambda params: ZeroRedundancyOptimizer(
        params, kind, process_group=group, parameters_as_bucket_view=as_views, **options
    )


@pytest.mark.parametrize("as_views", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_are_an_ordinary_optimizers_to_the_bit(name, world_size, as_views):
    kind, options = OPTIMIZERS[name]

    def run(group):
        ordinary, _ = trained(group, lambda params: kind(params, **options))
        ours, _ = trained(group, sharded(group, kind, as_views, **options))
        return values(ordinary), values(ours)

    for ordinary, ours in run_local(run, world_size):
        for expected, found in zip(ordinary, ours, strict=True):
            assert np.array_equal(expected, found)


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_hold_about_a_fair_part_of_the_state(world_size):
    def run(group):
        layers = [nn.Linear(32, 32) for _ in range(12)]
        params = [param for layer in layers for param in layer.parameters()]
        optimizer = ZeroRedundancyOptimizer(params, torch.optim.Adam, process_group=group)
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.step()
        return sum(
            value.numpy().nbytes for state in optimizer.optim.state.values() for value in state.values()
        )

    held = run_local(run, world_size)
    whole = 12 * (32 * 32 + 32) * 2 * 4 + 24 * 4  # two averages and a step for each parameter
    assert sum(held) == whole
    assert max(held) <= 1.01 * whole / world_size


@pytest.mark.parametrize("as_views", [False, True])
@pytest.mark.parametrize("then", [1, 2, 4])
def test_a_state_of_three_ranks_is_continued_by_any_number(then, as_views):
    options = {"lr": 0.01}

    def first(group):
        model, optimizer = trained(group, sharded(group, torch.optim.Adam, as_views, **options))
        optimizer.consolidate_state_dict(to=2)
        return model.module.state_dict(), optimizer.state_dict() if group.rank() == 2 else None

    weights, state = run_local(first, 3)[2]

    def go_on(group, load_into):
        model = make("mlp")
        model.load_state_dict(weights)
        model = DistributedDataParallel(model, process_group=group)
        optimizer = load_into(list(model.parameters()))
        before = {number: dict(each) for number, each in state["state"].items()}
        optimizer.load_state_dict(_copied(state))
        assert state["state"] == before  # what was loaded is the caller's, and stays whole
        return trained(group, lambda _: optimizer, model=model)

    def run(group):
        ordinary, _ = go_on(group, lambda params: torch.optim.Adam(params, lr=5.0))
        ours, _ = go_on(group, sharded(group, torch.optim.Adam, as_views, lr=5.0))
        return values(ordinary), values(ours)

    for ordinary, ours in run_local(run, then):
        for expected, found in zip(ordinary, ours, strict=True):
            assert np.array_equal(expected, found)


def _copied(state_dict):
    state = {
        number: {name: value.clone() for name, value in each.items()}
        for number, each in state_dict["state"].items()
    }
    return {"state": state, "param_groups": state_dict["param_groups"]}


def test_loading_leaves_the_callers_state_whole():
    def run(group):
        _, optimizer = trained(group, sharded(group, torch.optim.Adam))
        optimizer.consolidate_state_dict()
        if group.rank() > 0:
            return True
        state = optimizer.state_dict()
        optimizer.load_state_dict(state)
        return all(each is not None for each in state["state"].values()) and len(state["state"]) == 6

    assert all(run_local(run, 2))


def test_a_consolidated_state_does_not_change_with_later_steps():
    def run(group):
        model, optimizer = trained(group, sharded(group, torch.optim.Adam))
        optimizer.consolidate_state_dict()
        if group.rank() == 0:
            before = {n: s["exp_avg"].numpy().copy() for n, s in optimizer.state_dict()["state"].items()}
        trained(group, lambda _: optimizer, model=model)
        if group.rank() == 0:
            now = optimizer.state_dict()["state"]
            return all(np.array_equal(before[n], now[n]["exp_avg"].numpy()) for n in before)
        return True

    assert all(run_local(run, 2))


def test_a_state_that_cannot_be_sent_is_an_error_on_all_ranks():
    def run(group):
        _, optimizer = trained(group, sharded(group, torch.optim.SGD, lr=0.1, momentum=0.9))
        if group.rank() == 1:
            param = optimizer.optim.param_groups[0]["params"][0]
            optimizer.optim.state[param]["thing"] = object()
        with pytest.raises(TypeError if group.rank() == 1 else DistributedError) as caught:
            optimizer.consolidate_state_dict()
        return str(caught.value)

    first, second = run_local(run, 2)
    assert "rank 1 has a state that cannot be sent" in first
    assert "object" in second


@pytest.mark.parametrize("as_views", [False, True])
def test_a_parameter_that_a_script_gives_other_data_is_still_shared(as_views):
    def run(group):
        model = make("mlp")
        params = list(model.parameters())
        optimizer = sharded(group, torch.optim.SGD, as_views, lr=0.5)(params)
        for param in params:
            param.data = torch.zeros_like(param)  # what averaging of parameters does
            param.grad = torch.ones_like(param)
        optimizer.step()
        return values(model)

    for found in run_local(run, 3):
        for each in found:
            assert (each == -0.5).all()


def test_parameters_of_several_dtypes_come_by_groups():
    def run(group):
        single, double = nn.Linear(3, 2), nn.Linear(2, 3).double()
        optimizer = sharded(group, torch.optim.SGD, True, lr=1.0)(single.parameters())
        optimizer.add_param_group({"params": double.parameters()})
        for param in (*single.parameters(), *double.parameters()):
            param.data = torch.zeros_like(param)
            param.grad = torch.ones_like(param)
        optimizer.step()
        return [*values(single), *values(double)]

    for found in run_local(run, 2):
        assert [each.dtype for each in found] == [np.float32] * 2 + [np.float64] * 2
        assert all((each == -1).all() for each in found)


@pytest.mark.parametrize("as_views", [False, True])
def test_large_and_transposed_parameters_arrive(as_views):
    shapes = [(200, 100), (300,), (90, 120), (2, 3), ()]

    def run(group):
        params = [nn.Parameter(torch.ones(shape).double()) for shape in shapes]
        params += [nn.Parameter(torch.ones(shape).double().t()) for shape in ((150, 120), (4, 5))]
        optimizer = sharded(group, torch.optim.SGD, as_views, lr=1.0)(params)
        for number, param in enumerate(params):
            rows = torch.arange(param.numel(), dtype=torch.float64).reshape(param.shape)
            param.grad = rows + number if optimizer._param_to_rank[param] == group.rank() else None
        optimizer.step()
        return [
            np.array_equal(
                param.detach().numpy(), 1 - number - np.arange(param.numel()).reshape(tuple(param.shape))
            )
            for number, param in enumerate(params)
        ]

    assert run_local(run, 3) == [[True] * 7] * 3


def test_generators_of_groups_are_read_once():
    def run(group):
        model = make("mlp")
        optimizer = sharded(group, torch.optim.SGD, lr=0.1)([{"params": model.parameters()}])
        return len(optimizer.param_groups[0]["params"])

    assert run_local(run, 2) == [6, 6]


def test_schedules_find_the_optimizers_momentum():
    def scheduled(optimizer_of, group):
        model = make("mlp")
        optimizer = optimizer_of(model.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4)
        found = []
        for batch in batches("mlp", 3):
            backward(model, group, batch)
            optimizer.step()
            schedule.step()
            found += [(each["lr"], each["betas"]) for each in optimizer.param_groups]
        return found, optimizer

    def run(group):
        expected, _ = scheduled(torch.optim.AdamW, group)
        found, optimizer = scheduled(sharded(group, torch.optim.AdamW), group)
        return expected, found, optimizer.optim.param_groups[0]["betas"]

    for expected, found, last_used in run_local(run, 2):
        assert found == expected
        assert len(set(found)) == 3
        assert last_used == found[-2][1]


def test_changes_by_other_ranks_are_noticed_by_autograd():
    def run(group):
        params = [nn.Parameter(torch.ones(3)) for _ in range(2)]
        optimizer = sharded(group, torch.optim.SGD, lr=0.1)(params)
        for param in params:
            param.grad = torch.ones_like(param)
        losses = [(param * param).sum() for param in params]
        optimizer.step()
        for loss in losses:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                loss.backward()

    run_local(run, 2)


@pytest.mark.parametrize("as_views", [False, True])
def test_ranks_that_run_out_take_part(as_views):
    counts = (2, 5)

    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        optimizer = sharded(group, torch.optim.SGD, as_views, lr=0.1)(model.parameters())
        with Join([model, optimizer]):
            for batch in batches("mlp", counts[group.rank()]):
                backward(model, group, batch)
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
        return values(model)

    first, second = run_local(run, 2)
    for mine, theirs in zip(first, second, strict=True):
        assert np.array_equal(mine, theirs)
    start = values(make("mlp"))
    assert all(not np.array_equal(a, b) for a, b in zip(start, first, strict=True))


def test_it_may_be_the_first_that_ranks_wait_for():
    def run(group):
        params = [nn.Parameter(torch.zeros(4)) for _ in range(3)]
        optimizer = sharded(group, torch.optim.SGD, lr=1.0)(params)
        with Join([optimizer]):
            for _ in range(2 + group.rank()):
                for param in params:
                    param.grad = torch.ones_like(param)
                optimizer.step()
        return [param.sum().item() for param in params]

    assert run_local(run, 3) == [[-16.0] * 3] * 3


def test_overflows_are_skipped_by_all_ranks():
    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        optimizer = sharded(group, torch.optim.Adam, lr=0.1)(model.parameters())
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        history = []
        for step, batch in enumerate(batches("mlp", 3)):
            optimizer.zero_grad()
            inputs, targets = (torch.from_numpy(each) for each in batch)
            loss = nn.functional.cross_entropy(model(inputs), targets)
            before = values(model)
            scaler.scale(loss * (float("inf") if step == 1 else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
            history.append(all(map(np.array_equal, before, values(model))))
        return history, scaler.get_scale()

    for history, scale in run_local(run, 2):
        assert history == [False, True, False]
        assert scale == 4.0


def test_the_largest_go_first_to_whoever_has_least():
    params = [torch.zeros(size) for size in (2, 9, 5, 7, 3)]
    partition = Partition([{"params": params[:2], "lr": 1}, {"params": params[2:]}], 2)
    assert [[p.numel() for p in shard] for shard in partition.shards()] == [[9, 5], [2, 7, 3]]
    assert [[group.get("lr") for group in own] for own in partition.by_rank] == [[1, None]] * 2
    assert [partition.rank_of[param] for param in params] == [1, 0, 0, 1, 1]


def test_no_index_is_left():
    assert index_of_least([3, 1, 1]) == 1
    assert index_of_least([3, 1, 2], {1}) == 2
    with pytest.raises(AssertionError, match="All indices are disallowed"):
        index_of_least([1], {0})
