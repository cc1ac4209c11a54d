"""ShardedOptimizer on threads: the bits of DistributedDataParallel and an ordinary optimizer, slice by slice."""

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import UnsupportedError
from distrt.parallel import DistributedDataParallel
from distrt.parallel.sharding.sliced import ShardedOptimizer
from tests.parallel.models import batches, make
from tests.parallel.test_zero import OPTIMIZERS, STEPS, backward, trained, values

ELEMENTWISE = {name: each for name, each in OPTIMIZERS.items() if name != "adafactor"}


def sliced(group, kind, **options):
    """What `trained` makes an optimizer by."""
    return lambda params: ShardedOptimizer(params, kind, process_group=group, **options)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_parameters_and_state_are_an_ordinary_optimizers_to_the_bit(name, world_size):
    kind, options = ELEMENTWISE[name]

    def run(group):
        model, ordinary = trained(group, lambda params: kind(params, **options))
        ours, optimizer = trained(group, sliced(group, kind, **options), model=make("mlp"))
        optimizer.consolidate_state_dict()
        expected = ordinary.state_dict()
        found = optimizer.state_dict() if group.rank() == 0 else None
        return values(model), values(ours), expected, found

    results = run_local(run, world_size)
    for ordinary, ours, _, _ in results:
        for expected, found in zip(ordinary, ours, strict=True):
            assert np.array_equal(expected, found)
    require_same_state(*results[0][2:])


def require_same_state(expected, found):
    assert found["param_groups"] == expected["param_groups"]
    assert list(found["state"]) == list(expected["state"])
    for number, state in expected["state"].items():
        assert list(found["state"][number]) == list(state)
        for name, value in state.items():
            other = found["state"][number][name]
            assert (other.shape, other.dtype) == (value.shape, value.dtype)
            assert np.array_equal(other.numpy(), value.numpy())


@pytest.mark.parametrize("then", [1, 2, 4])
def test_a_state_of_three_ranks_is_continued_by_any_number(then):
    def first(group):
        model, optimizer = trained(group, sliced(group, torch.optim.Adam, lr=0.01), model=make("mlp"))
        optimizer.consolidate_state_dict(to=1)
        return values(model), optimizer.state_dict() if group.rank() == 1 else None

    weights, state = run_local(first, 3)[1]

    def go_on(group, wrapped, optimizer_of):
        model = make("mlp")
        with torch.no_grad():
            for param, value in zip(model.parameters(), weights, strict=True):
                param.copy_(torch.from_numpy(value))
        model = DistributedDataParallel(model, process_group=group) if wrapped else model
        optimizer = optimizer_of(list(model.parameters()))
        parts = {n: {k: v.clone() for k, v in each.items()} for n, each in state["state"].items()}
        optimizer.load_state_dict({**state, "state": parts})
        return values(trained(group, lambda _: optimizer, model=model)[0])

    def run(group):
        ordinary = go_on(group, True, lambda params: torch.optim.Adam(params, lr=5.0))
        return ordinary, go_on(group, False, sliced(group, torch.optim.Adam, lr=5.0))

    for ordinary, ours in run_local(run, then):
        for expected, found in zip(ordinary, ours, strict=True):
            assert np.array_equal(expected, found)


def test_state_is_there_once():
    def run(group):
        model = nn.Linear(64, 64)
        optimizer = sliced(group, torch.optim.Adam)(model.parameters())
        model(torch.ones(2, 64)).sum().backward()
        optimizer.step()
        return sum(v.numel() for state in optimizer.optim.state.values() for v in state.values())

    for held in run_local(run, 4):
        assert held == 2 * (64 * 64 + 64) / 4 + 1


def test_rank_0_gives_its_values_and_groups_have_their_own_options():
    def run(group):
        model = make("mlp", seed=group.rank())
        weights = [p for n, p in model.named_parameters() if "weight" in n]
        biases = [p for n, p in model.named_parameters() if "bias" in n]
        optimizer = sliced(group, torch.optim.SGD, lr=0.1)(
            [{"params": weights, "momentum": 0.9}, {"params": biases, "lr": 0.0}]
        )
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        start = values(model)
        for batch in batches("mlp", 2):
            backward(model, group, batch)
            optimizer.step()
            schedule.step()
        return start, values(model), [each["lr"] for each in optimizer.optim.param_groups]

    results = run_local(run, 2)
    expected = values(make("mlp", seed=0))
    for start, now, rates in results:
        assert all(map(np.array_equal, start, expected))
        assert all(map(np.array_equal, now, results[0][1]))
        assert [np.array_equal(a, b) for a, b in zip(start, now, strict=True)] == [False, True] * 3
        assert rates == [0.05, 0.0]


def test_gradients_add_up_until_a_step_and_are_used_up_by_it():
    def run(group):
        model = make("mlp")
        optimizer = sliced(group, torch.optim.SGD, lr=0.1)(model.parameters())
        for batch in batches("mlp", 2):
            backward(model, group, batch)
        optimizer.step()
        assert all(param.grad is None for param in model.parameters())
        return values(model)

    def plainly(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        first, second = batches("mlp", 2)
        with model.no_sync():
            backward(model, group, first)
        backward(model, group, second)
        optimizer.step()
        return values(model)

    for ours, plain in zip(run_local(run, 2), run_local(plainly, 2), strict=True):
        assert all(map(np.array_equal, ours, plain))


def test_what_it_cannot_do_is_refused():
    def run(group):
        params = list(make("mlp").parameters())
        with pytest.raises(UnsupportedError, match="use ZeroRedundancyOptimizer"):
            sliced(group, torch.optim.Adafactor)(params)
        optimizer = sliced(group, torch.optim.SGD, lr=0.1)(params[:2])
        with pytest.raises(UnsupportedError, match="groups cannot be added later"):
            optimizer.add_param_group({"params": params[2:]})
        with pytest.raises(RuntimeError, match="parameter 0 has no gradient"):
            optimizer.step()
        with pytest.raises(RuntimeError, match="has not been consolidated on this rank"):
            optimizer.state_dict()
        for param in params[:2]:
            param.grad = torch.ones_like(param)
        optimizer.step()  # the refusals have left it whole

    run_local(run, 2)


def test_a_kept_value_of_the_forward_pass_is_known_to_have_changed():
    def run(group):
        param = nn.Parameter(torch.ones(3))
        optimizer = sliced(group, torch.optim.SGD, lr=0.1)([param])
        loss = (param * param).sum()
        param.grad = torch.ones(3)
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    run_local(run, 2)


def test_threads_train_with_copies_of_their_own():
    def run(group):
        model, optimizer = trained(
            group, sliced(group, torch.optim.Adam, lr=0.01), model=make("cnn"), name="cnn"
        )
        (flat,) = optimizer.flats[0]
        assert not flat.is_one_copy
        return [float(optimizer.optim.state[flat.shard]["step"]), len(values(model))]

    assert run_local(run, 2) == [[STEPS, 6]] * 2
