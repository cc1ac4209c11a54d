"""States of sharded models and their optimizers: whole ones are those of one process."""

import io

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from distrt.distributed.fsdp import fully_shard
from distrt.distributed.tensor import DTensor, distribute_tensor
from tests.parallel.sharded_models import WIDTH, data_parallel, join, make, sharded, train, values

WHOLE = StateDictOptions(full_state_dict=True)


def arrays(state):
    return {key: np.array(value.detach().numpy()) for key, value in state.items()}


def test_a_state_dict_has_parts():
    def run(group):
        join(group)
        model = sharded("mlp")
        state = model.state_dict()
        assert all(isinstance(each, DTensor) for each in state.values())
        assert list(state) == list(make("mlp").state_dict())
        whole = {key: each.full_tensor().numpy() for key, each in state.items()}
        return all(np.array_equal(whole[key], each.numpy()) for key, each in make("mlp").state_dict().items())

    assert all(run_local(run, 3))


#: What PyTorch 2.13 keeps as DTensors under fully_shard; all else is a number.
KEPT_IN_PARTS = {
    "SGD": {"momentum_buffer"},
    "Adagrad": {"sum"},
    "Adam": {"exp_avg", "exp_avg_sq"},
    "AdamW": {"exp_avg", "exp_avg_sq"},
    "Adamax": {"exp_avg", "exp_inf"},
    "NAdam": {"exp_avg", "exp_avg_sq"},
    "RAdam": {"exp_avg", "exp_avg_sq"},
    "RMSprop": {"square_avg", "momentum_buffer"},
    "Adadelta": {"square_avg", "acc_delta"},
    "ASGD": {"ax"},
}


@pytest.mark.parametrize("kind", KEPT_IN_PARTS)
def test_an_optimizers_own_state_has_parts_that_can_be_made_whole_and_loaded(kind):
    options = {"momentum": 0.9} if "momentum_buffer" in KEPT_IN_PARTS[kind] else {}

    def whole(state):
        return {
            number: {key: getattr(each, "full_tensor", each.clone)() for key, each in own.items()}
            for number, own in state["state"].items()
        }

    def run(group):
        join(group)
        model, plain = sharded("mlp"), data_parallel("mlp", group)
        mine, theirs = (
            train(each, "mlp", group, kind=getattr(torch.optim, kind), **options) for each in (model, plain)
        )
        state = mine.state_dict()
        for own in state["state"].values():
            assert {key for key, each in own.items() if isinstance(each, DTensor)} == KEPT_IN_PARTS[kind]
        expected = theirs.state_dict()["state"]
        for number, own in whole(state).items():
            for key, each in own.items():
                assert np.array_equal(each.numpy(), expected[number][key].numpy())
        again = getattr(torch.optim, kind)(model.parameters(), **{"lr": 0.05, **options})
        again.load_state_dict(state)
        held = again.state[next(iter(model.parameters()))]
        assert {key for key, each in held.items() if isinstance(each, DTensor)} == KEPT_IN_PARTS[kind]
        again.step()

    run_local(run, 3)


def test_parts_go_into_a_file_and_come_back():
    def run(group):
        join(group)
        model = sharded("mlp")
        optimizer = train(model, "mlp", group)
        file = io.BytesIO()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.seek(0)
        loaded = torch.load(file)
        for key, found in loaded["model"].items():
            expected = model.state_dict()[key]
            assert isinstance(found, DTensor)
            assert (found.shape, found.placements) == (expected.shape, expected.placements)
            assert torch.equal(found.to_local(), expected.to_local())
            assert torch.equal(found.full_tensor(), expected.full_tensor())
        again = sharded("mlp")
        going_on = torch.optim.AdamW(again.parameters(), lr=0.05)
        again.load_state_dict(loaded["model"])
        going_on.load_state_dict(loaded["optimizer"])
        for one, other in ((model, optimizer), (again, going_on)):
            other.zero_grad()
            one(torch.ones(2, WIDTH, dtype=torch.float64)).sum().backward()
            other.step()
        assert all(map(np.array_equal, values(model), values(again)))
        return file.getvalue()

    file, _ = run_local(run, 2)
    alone = torch.load(io.BytesIO(file))[
        "model"
    ]  # no group: values and layout are there, the other ranks are not
    assert tuple(alone["0.weight"].shape) == (32, WIDTH)
    assert tuple(alone["0.weight"].to_local().shape) == (16, WIDTH)


@pytest.mark.parametrize(
    "make_like",
    [torch.zeros_like, torch.ones_like, torch.empty_like, torch.rand_like, lambda x: torch.full_like(x, 2)],
)
def test_a_tensor_made_like_a_part_is_a_part(make_like):
    def run(group):
        join(group)
        parameter = fully_shard(nn.Linear(4, 3)).weight
        made = make_like(parameter)
        assert isinstance(made, DTensor)
        assert (made.shape, made.placements) == (parameter.shape, parameter.placements)
        assert made.to_local().shape == parameter.to_local().shape
        assert not made.requires_grad

    run_local(run, 2)


@pytest.mark.parametrize("name", ["mlp", "transformer", "tied"])
def test_a_whole_state_is_that_of_data_parallelism(name):
    def run(group):
        join(group)
        found = []
        for model in (sharded(name), data_parallel(name, group)):
            optimizer = train(model, name, group)
            state, inner = get_state_dict(model, optimizer, options=WHOLE)
            found.append((arrays(state), inner))
        return found

    for (mine, my_state), (theirs, their_state) in run_local(run, 3):
        assert list(mine) == list(theirs)
        assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
        assert my_state["param_groups"] == their_state["param_groups"]
        for key, expected in their_state["state"].items():
            for part, value in expected.items():
                assert np.array_equal(my_state["state"][key][part].numpy(), value.numpy())


@pytest.mark.parametrize("from_rank_0", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_training_goes_on_from_a_whole_state_on_any_number_of_ranks(size, from_rank_0):
    def saved(group):
        join(group)
        model = sharded("mlp")
        optimizer = train(model, "mlp", group, steps=2)
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        return get_state_dict(model, optimizer, options=options)

    (state, inner), *others = run_local(saved, 3)
    assert others == [({}, {})] * 2

    def loaded(group):
        join(group)
        model = sharded("mlp")
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.3)
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=from_rank_0)
        has_it = not from_rank_0 or group.rank() == 0
        set_state_dict(
            model,
            optimizer,
            model_state_dict=state if has_it else {},
            optim_state_dict=inner if has_it else {},
            options=options,
        )
        again, inner_again = get_state_dict(model, optimizer, options=WHOLE)
        assert optimizer.param_groups[0]["lr"] == 0.05
        moment = next(iter(optimizer.state.values()))["exp_avg"]
        assert moment._array.shape == model[0].weight._array.shape
        return arrays(again), inner_again

    for found, inner_found in run_local(loaded, size):
        for key, value in state.items():
            assert np.array_equal(found[key], value.numpy())
        for key, expected in inner["state"].items():
            for part, value in expected.items():
                assert np.array_equal(inner_found["state"][key][part].numpy(), value.numpy())


def test_parts_and_flat_states_are_taken_back():
    def run(group):
        join(group)
        model = sharded("mlp")
        optimizer = train(model, "mlp", group, steps=2)
        flat = StateDictOptions(flatten_optimizer_state_dict=True)
        state, inner = get_state_dict(model, optimizer, options=flat)
        assert isinstance(inner["state.0.weight.exp_avg"], DTensor)
        state = {key: value.clone() for key, value in state.items()}
        inner = {key: v.clone() if isinstance(v, torch.Tensor) else v for key, v in inner.items()}
        before = values(model)
        other = sharded("mlp")
        resumed = torch.optim.AdamW(other.parameters(), lr=0.3)
        set_model_state_dict(other, state)
        set_optimizer_state_dict(other, resumed, inner, options=flat)
        train_one = [torch.ones(2, 8, dtype=torch.float64)]
        for each, stepping in ((model, optimizer), (other, resumed)):
            stepping.zero_grad()
            each(train_one[0]).sum().backward()
            stepping.step()
        return all(map(np.array_equal, values(model), values(other))), before

    assert all(same for same, _ in run_local(run, 2))


def test_load_state_dict_takes_whole_tensors_and_assigns_parts():
    def run(group):
        join(group)
        torch.manual_seed(5)
        other = make("mlp", seed=5).state_dict()
        model = sharded("mlp")
        model.load_state_dict(other)
        assert all(map(np.array_equal, values(model), [each.numpy() for each in other.values()]))
        model = sharded("mlp")
        parts = {
            key: nn.Parameter(distribute_tensor(other[key], each.device_mesh, each.placements))
            for key, each in model.state_dict().items()
        }
        model.load_state_dict(parts, assign=True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(2, 8, dtype=torch.float64)).sum().backward()
        optimizer.step()
        plain = make("mlp", seed=5)
        plain(torch.ones(2, 8, dtype=torch.float64)).sum().backward()
        torch.optim.SGD(plain.parameters(), lr=0.1).step()
        return all(map(np.allclose, values(model), values(plain)))

    assert all(run_local(run, 2))


def test_an_optimizers_state_can_be_made_before_its_first_step():
    from distrt.distributed.checkpoint.state_dict import _init_optim_state  # as PyTorch's tutorial does

    def run(group):
        join(group)
        model = sharded("mlp")
        before = values(model)
        optimizer = torch.optim.Adam(model.parameters())
        _init_optim_state(optimizer)
        assert all(each.grad is None for each in model.parameters()) and optimizer.defaults["lr"] == 1e-3
        assert all(map(np.array_equal, values(model), before))
        return {tuple(state) for state in optimizer.state.values()}

    assert run_local(run, 2) == [{("step", "exp_avg", "exp_avg_sq")}] * 2


def test_a_state_has_parts_also_between_forward_and_backward():
    def run(group):
        join(group)
        model = fully_shard(make("mlp"))
        optimizer = torch.optim.Adam(model.parameters())
        loss = model(torch.ones(2, 8, dtype=torch.float64)).sum()
        assert all(isinstance(each, DTensor) for each in model.state_dict().values())
        loss.backward()
        optimizer.step()
        model(torch.ones(2, 8, dtype=torch.float64))
        return len(get_optimizer_state_dict(model, optimizer)["state"])

    assert run_local(run, 2) == [6, 6]


def test_states_of_a_model_that_nothing_wraps():
    model = make("mlp")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    state, inner = get_state_dict(model, optimizer, options=WHOLE)
    assert list(state) == list(model.state_dict())
    assert float(inner["state"]["0.weight"]["step"]) == 1.0
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert inner["param_groups"][0]["params"] == list(state)


def test_what_does_not_fit_is_refused():
    def run(group):
        join(group)
        model = fully_shard(make("mlp"))
        optimizer = torch.optim.Adam(model.parameters())
        with pytest.raises(
            ValueError, match="full_state_dict must be True when broadcast_from_rank0 is True"
        ):
            set_model_state_dict(model, {}, options=StateDictOptions(broadcast_from_rank0=True))
        with pytest.raises(RuntimeError, match="Missing key"):
            set_model_state_dict(model, {"0.weight": torch.ones(32, 8)}, options=WHOLE)
        inner = get_optimizer_state_dict(model, optimizer)
        del inner["state"]["0.weight"]
        with pytest.raises(RuntimeError, match=r"Missing optimizer state for parameter '0\.weight'"):
            set_optimizer_state_dict(model, optimizer, inner)
        partial = get_model_state_dict(model, options=StateDictOptions(ignore_frozen_params=True))
        return len(partial)

    assert run_local(run, 2) == [6, 6]
