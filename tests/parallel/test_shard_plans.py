"""shard_optimizer: what a step has found out is used again while nothing moves, and found out anew where it has."""

import pytest

import distrt as torch
from distrt.comm.local import run_local
from distrt.core.kernels import loops
from distrt.nn.utils import clip_grad_norm_
from distrt.optim.passes import RepeatedUpdate
from tests.parallel.models import batches, make
from tests.parallel.test_shard_optimizer import adamw, both, plain_step, require_same, wrapped
from tests.parallel.test_zero import backward


@pytest.fixture
def repeated(monkeypatch):
    """The repeated updates that were run, with loops compiled from the first step on."""
    found = []
    run = RepeatedUpdate.run

    def noted(self, *args):
        found.append(self)
        run(self, *args)

    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    monkeypatch.setattr(RepeatedUpdate, "run", noted)
    return found


def steps_with(change, optimizer_of=adamw, count=9):
    """A script of some steps; ``change(number, model, optimizer)`` is called before each."""

    def script(group, wrap):
        model = wrap()
        optimizer = optimizer_of(model)
        for number, batch in enumerate(batches("mlp", count)):
            change(number, model, optimizer)
            plain_step(model, optimizer, group, batch)
        return model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()]

    return script


def no_change(number, model, optimizer):
    pass


def change_a_parameter(number, model, optimizer):
    if number == 6:
        with torch.no_grad():
            model.module[0].weight.mul_(0.5)


def change_a_state(number, model, optimizer):
    if number == 6:
        optimizer.state[model.module[0].weight]["exp_avg"].mul_(0.5)


def forget_a_state(number, model, optimizer):
    if number == 6:
        optimizer.state[model.module[0].weight] = {}


def load_a_state(number, model, optimizer):
    if number == 6:
        optimizer.load_state_dict(optimizer.state_dict())


def give_a_state_elsewhere(number, model, optimizer):
    if number == 6:
        state = optimizer.state[model.module[0].weight]
        state["exp_avg"], state["exp_avg_sq"] = state["exp_avg"].clone(), state["exp_avg"].square()


def leave_one_out(number, model, optimizer):
    if number == 6:
        optimizer.state.pop(optimizer.param_groups[0]["params"].pop(0))


def change_options(number, model, optimizer):
    group = optimizer.param_groups[0]
    group["lr"] *= 0.9
    if number == 6:
        group["amsgrad"] = True
        for state in optimizer.state.values():
            state["max_exp_avg_sq"] = state["exp_avg_sq"].clone()
    if number == 7:
        group["weight_decay"] = 0.0


@pytest.mark.parametrize(
    "change",
    [
        no_change,
        change_a_parameter,
        change_a_state,
        forget_a_state,
        load_a_state,
        give_a_state_elsewhere,
        leave_one_out,
        change_options,
    ],
)
def test_steps_are_the_plain_ones_to_the_bit_whatever_moves_between_them(change, repeated):
    for plain, sharded in both(steps_with(change)):
        require_same(plain, sharded)
    assert repeated


def test_steps_in_which_nothing_moves_find_nothing_out_anew(repeated):
    """From the fourth on: the first makes the plan, the next two the addresses for either copy to write to."""

    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        for batch in batches("mlp", 9):
            plain_step(model, optimizer, group, batch)

    run_local(run, 2)
    rounds = [repeated.count(each) for each in set(repeated)]
    assert len(rounds) == 4  # 2 ranks, 2 copies
    assert sum(rounds) >= 2 * 4


def test_gradients_that_are_clipped_are_found_where_they_are_each_time(repeated):
    def script(group, wrap):
        model = wrap(model=make("mlp", seed=0))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for number, batch in enumerate(batches("mlp", 9)):
            optimizer.zero_grad()
            backward(model, group, batch)
            if number != 5:
                clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
        return model.state_dict(), optimizer.state_dict()

    for plain, sharded in both(script):
        require_same(plain, sharded)
    assert repeated


def test_several_groups_and_dtypes(repeated):
    def optimizer_of(model):
        first, *rest = model.parameters()
        return torch.optim.AdamW([{"params": [first], "lr": 0.1}, {"params": rest}], lr=0.01)

    def script(group, wrap):
        model = make("mlp", seed=0)
        model[0].float()
        model.insert(1, _ToDouble())
        model = wrap(model=model)
        optimizer = optimizer_of(model)
        for inputs, targets in batches("mlp", 7):
            optimizer.zero_grad()
            part = slice(group.rank(), None, group.size())
            outputs = model(torch.from_numpy(inputs[part]).float())
            torch.nn.functional.cross_entropy(outputs, torch.from_numpy(targets[part])).backward()
            optimizer.step()
        return model.state_dict(), optimizer.state_dict()

    for plain, sharded in both(script):
        require_same(plain, sharded)
    assert repeated


class _ToDouble(torch.nn.Module):
    def forward(self, x):
        return x.double()
