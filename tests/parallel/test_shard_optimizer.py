"""DistributedDataParallel(shard_optimizer=True) on threads: what the same script does without it, to the bit."""

import copy
import functools
import pickle

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import UnsupportedError
from distrt.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from distrt.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from distrt.distributed.optim import ZeroRedundancyOptimizer, _apply_optimizer_in_backward
from distrt.nn.utils import clip_grad_norm_, clip_grad_value_
from distrt.parallel import DistributedDataParallel
from distrt.parallel.sharding.shared_bucket import SharedBucket
from distrt.parallel.sharding.shared_parameters import Part
from tests.parallel.models import GLOBAL_BATCH, batches, make
from tests.parallel.test_zero import OPTIMIZERS, backward, values

ELEMENTWISE = {name: each for name, each in OPTIMIZERS.items() if name != "adafactor"} | {
    "plain sgd": (torch.optim.SGD, {"lr": 0.1}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.1}),
    "adadelta": (torch.optim.Adadelta, {}),
    "adamax": (torch.optim.Adamax, {}),
    "nadam": (torch.optim.NAdam, {}),
    "radam": (torch.optim.RAdam, {}),
    "rprop": (torch.optim.Rprop, {}),
    "asgd": (torch.optim.ASGD, {"t0": 2}),
}


def wrapped(group, name="mlp", model=None, **options):
    return DistributedDataParallel(model or make(name, seed=group.rank()), process_group=group, **options)


def adamw(model, **options):
    return torch.optim.AdamW(model.parameters(), **{"lr": 0.01, **options})


def plain_step(model, optimizer, group, batch):
    optimizer.zero_grad()
    backward(model, group, batch)
    optimizer.step()


def told(found):
    """What can be compared: arrays and numbers, in lists and dicts."""
    if isinstance(found, torch.Tensor):
        return found.detach().numpy().copy()
    if isinstance(found, dict):
        return {key: told(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [told(each) for each in found]
    return found


def require_same(expected, found):
    if isinstance(expected, np.ndarray):
        assert (expected.shape, expected.dtype) == (found.shape, found.dtype)
        assert np.array_equal(expected, found, equal_nan=True)
    elif isinstance(expected, dict):
        assert list(expected) == list(found)
        for key, value in expected.items():
            require_same(value, found[key])
    elif isinstance(expected, list):
        assert len(expected) == len(found)
        for one, other in zip(expected, found, strict=True):
            require_same(one, other)
    else:
        assert expected == found


def both(script, world_size=2):
    """On each rank, what ``script(group, wrap)`` returns without the option and with it; ``wrap`` makes the wrapper."""

    def run(group):
        found = []
        for option in ({}, {"shard_optimizer": True}):
            wrap = functools.partial(wrapped, group, **option)
            found.append(told(script(group, wrap)))
        return found

    return run_local(run, world_size)


def require_same_as_plain(script, world_size=2):
    """As `both`, to the bit."""
    for plain, sharded in both(script, world_size):
        require_same(plain, sharded)


@pytest.mark.parametrize(
    ("name", "world_size"),
    [
        *((name, 3) for name in ELEMENTWISE),
        ("adamw", 1),
        *(
            pytest.param(name, size, marks=pytest.mark.slow)
            for name in ELEMENTWISE
            for size in (1, 2, 4)
            if (name, size) != ("adamw", 1)
        ),
    ],
)
def test_parameters_and_state_are_those_of_plain_data_parallelism(name, world_size):
    kind, options = ELEMENTWISE[name]

    def script(group, wrap):
        model = wrap()
        optimizer = kind(model.parameters(), **options)
        for batch in batches("mlp", 5):
            plain_step(model, optimizer, group, batch)
        return model.state_dict(), optimizer.state_dict()

    require_same_as_plain(script, world_size)


@pytest.mark.parametrize("cap", [None, 1e-4])
@pytest.mark.parametrize("name", ["cnn", "tied"])
def test_other_models_and_many_buckets(name, cap):
    def script(group, wrap):
        model = wrap(name, bucket_cap_mb=cap)
        optimizer = adamw(model)
        for batch in batches(name, 5):
            plain_step(model, optimizer, group, batch)
        return model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()]

    require_same_as_plain(script, 3)


def test_parameters_and_state_are_one_memory():
    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        plain_step(model, optimizer, group, batches("mlp", 1)[0])
        state = [value for each in optimizer.state.values() for value in each.values() if value.ndim]
        return [each.data_ptr() for each in (*model.parameters(), *state)], type(model.reducer.buckets[0])

    (first, kind), (second, _) = run_local(run, 2)
    assert first == second
    assert len(first) == 3 * 6
    assert kind is SharedBucket


def test_a_state_is_saved_by_one_rank_alone():
    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        plain_step(model, optimizer, group, batches("mlp", 1)[0])
        if group.rank() == 1:
            return pickle.loads(pickle.dumps((model.module.state_dict(), optimizer.state_dict())))
        return None

    _, (weights, state) = run_local(run, 2)
    assert all(np.isfinite(value.numpy()).all() for value in weights.values())
    assert [each["exp_avg"].shape for each in state["state"].values()] == [w.shape for w in weights.values()]


@pytest.mark.parametrize("then", [1, 2, 4])
def test_a_state_of_three_ranks_is_continued_by_any_number(then):
    def first(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        for batch in batches("mlp", 3):
            plain_step(model, optimizer, group, batch)
        return copy.deepcopy((model.module.state_dict(), optimizer.state_dict()))

    weights, state = run_local(first, 3)[0]

    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model, lr=5.0)
        plain_step(model, optimizer, group, batches("mlp", 1)[0])
        model.module.load_state_dict(weights)
        optimizer.load_state_dict(copy.deepcopy(state))
        for batch in batches("mlp", 3):
            plain_step(model, optimizer, group, batch)
        return model.state_dict(), optimizer.state_dict()

    require_same_as_plain(script, then)


def test_averages_are_shown_and_can_be_changed():
    def clip_norm(model):
        return clip_grad_norm_(model.parameters(), 0.01)

    def clip_value(model):
        clip_grad_value_(model.parameters(), 0.01)

    def by_hand(model):
        for p in model.parameters():
            p.grad.mul_(0.5)
            p.grad.data[0] += 1.0
            p.grad.detach().view(-1)[-1:].zero_()

    def assigned(model):
        for p in model.parameters():
            p.grad = p.grad - p.grad.mean()

    for change in (clip_norm, clip_value, by_hand, assigned):

        def script(group, wrap, change=change):
            model = wrap()
            optimizer = adamw(model)
            found = []
            for batch in batches("mlp", 3):
                optimizer.zero_grad()
                backward(model, group, batch)
                found.append([p.grad.clone() for p in model.parameters()])
                found.append(change(model))
                optimizer.step()
                found.append([p.grad.clone() for p in model.parameters()])
            return found, model.state_dict()

        require_same_as_plain(script)


def test_gradients_add_up():
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        first, second, third = batches("mlp", 3)
        plain_step(model, optimizer, group, first)
        optimizer.zero_grad(set_to_none=False)
        with model.no_sync():
            backward(model, group, first)
            backward(model, group, second)
        backward(model, group, third)
        optimizer.step()
        backward(model, group, first)  # on top of averages
        optimizer.step()
        optimizer.zero_grad()
        backward(model, group, second)
        with model.no_sync():
            backward(model, group, third)
        found = [p.grad.clone() for p in model.parameters()]
        backward(model, group, third)
        optimizer.step()
        return found, model.state_dict(), [p.grad for p in model.parameters()]

    require_same_as_plain(script)


@pytest.mark.parametrize("most", [None, 0.1])
def test_what_is_kept_of_a_gradient_stays(most):
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        kept = []
        for batch in batches("mlp", 4):
            plain_step(model, optimizer, group, batch)
            if most is not None:
                clip_grad_norm_(model.parameters(), most)
            if group.rank():
                grads = [p.grad for p in model.parameters()]
                kept += [*grads[:2], grads[2].detach(), grads[3].numpy(), grads[4][1:]]
        return kept

    require_same_as_plain(script)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_nothing_moves_where_nothing_is_kept(monkeypatch, set_to_none):
    moved = []
    monkeypatch.setattr(SharedBucket, "_leave_average", lambda bucket: moved.append("average"))
    monkeypatch.setattr(SharedBucket, "_leave", lambda bucket: moved.append("slots"))

    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        for number, batch in enumerate(batches("mlp", 6)):
            optimizer.zero_grad(set_to_none=set_to_none)
            backward(model, group, batch)
            if number % 2:
                clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()

    run_local(run, 2)
    assert not moved


@pytest.mark.parametrize("fused", [False, True])
def test_an_overflow_is_skipped_by_all(fused):
    def script(group, wrap):
        model = wrap(model=make("mlp", seed=0).float())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
        found = []
        for number, (inputs, targets) in enumerate(batches("mlp", 4)):
            optimizer.zero_grad()
            x = torch.from_numpy(inputs.astype(np.float32))[group.rank() :: group.size()]
            y = torch.from_numpy(targets)[group.rank() :: group.size()]
            if number == 2 and group.rank() == 1:
                x[0, 0] = float("inf")
            scaler.scale(nn.functional.cross_entropy(model(x), y)).backward()
            if number % 2:
                scaler.unscale_(optimizer)
                found.append(clip_grad_norm_(model.parameters(), 0.1))
            scaler.step(optimizer)
            scaler.update()
            found.append([scaler.get_scale(), *(p.detach().clone() for p in model.parameters())])
        return found, optimizer.state_dict()

    require_same_as_plain(script)


def test_parameters_can_be_changed_in_place():
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        weight, bias = model.module[0].weight, model.module[0].bias
        averaged = [p.detach().clone() for p in model.parameters()]
        named = weight.data
        for number, batch in enumerate(batches("mlp", 5)):
            plain_step(model, optimizer, group, batch)
            with torch.no_grad():
                for p, mean in zip(model.parameters(), averaged, strict=True):
                    mean.lerp_(p, 0.1)
            if number == 0:
                named.mul_(0.9)
                weight.data.clamp_(-0.1, 0.1)
                weight.detach()[0, 1:3].fill_(7.0)
            if number == 1:
                nn.init.constant_(bias, 0.5)
                with torch.no_grad():
                    bias[1] = 3.0
            if number == 2:
                for p, mean in zip(model.parameters(), averaged, strict=True):
                    p.data = mean.clone()
            if number == 3:
                model.load_state_dict({k: v * 2 for k, v in model.state_dict().items()})
        return model.state_dict(), optimizer.state_dict(), weight.data, averaged

    require_same_as_plain(script, 3)


def test_names_of_a_parameter_that_one_rank_alone_has_see_every_step():
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        found = []
        for number, batch in enumerate(batches("mlp", 6)):
            if number == 2 and group.rank() == 1:
                state, first = model.module.state_dict(), next(iter(model.parameters())).detach().numpy()
            if number == 4 and group.rank() == 1:
                del state, first
            plain_step(model, optimizer, group, batch)
            if number in (2, 3) and group.rank() == 1:
                found += [state, first]
            found.append(model.state_dict())
            found = told(found)
        return found

    require_same_as_plain(script, 3)


def test_a_parameter_turns_to_its_other_copy_where_nobody_looks():
    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        addresses = []
        for number, batch in enumerate(batches("mlp", 6)):
            name = [next(iter(model.parameters())).data] if number == 4 and group.rank() == 1 else []
            plain_step(model, optimizer, group, batch)
            addresses.append([each.data_ptr() for each in model.parameters()])
            name.clear()
        return addresses

    one, other = run_local(run, 2)
    assert one == other
    assert one[0] == one[2] != one[1] == one[3] == one[4] != one[5]


def test_an_interrupt_as_parameters_turn_leaves_none_behind(monkeypatch):
    turn_to = Part.turn_to

    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        plain = wrapped(group)
        for each in (model, plain):
            each.module.load_state_dict(make("mlp", seed=0).state_dict())
        plain_step(plain, adamw(plain), group, batches("mlp", 1)[0])
        calls = []

        def interrupted(part, half):
            calls.append(part)
            if len(calls) == 3:
                raise KeyboardInterrupt
            turn_to(part, half)

        optimizer.zero_grad()
        backward(model, group, batches("mlp", 1)[0])
        if group.rank() == 0:
            for part in model._update.shared.parts:
                monkeypatch.setattr(part, "turn_to", functools.partial(interrupted, part))
            with pytest.raises(KeyboardInterrupt):
                optimizer.step()
        else:
            optimizer.step()
        return told([values(model), values(plain)])

    for found, expected in run_local(run, 2):
        require_same(expected, found)


def test_state_can_be_changed_in_place():
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        for batch in batches("mlp", 4):
            plain_step(model, optimizer, group, batch)
            for number, state in enumerate(optimizer.state.values()):
                if number % 2:
                    state["exp_avg"].mul_(0.5)
        optimizer.state[model.module[0].bias] = {}
        plain_step(model, optimizer, group, batches("mlp", 1)[0])
        return model.state_dict(), optimizer.state_dict()

    require_same_as_plain(script)


def test_frozen_and_unused_parameters():
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.used, self.rarely, self.frozen, self.never = (nn.Linear(6, 6) for _ in range(4))
            self.last = nn.Linear(6, 3)
            self.frozen.requires_grad_(False)
            self.number = 0

        def forward(self, x):
            self.number += 1
            x = self.frozen(torch.tanh(self.used(x)))
            return self.last(self.rarely(x) if self.number % 2 else x)

    for options in ({"find_unused_parameters": True}, {"static_graph": True}):

        def script(group, wrap, options=options):
            model = wrap(model=Partly().double(), **options)
            optimizer = adamw(model)
            found = []
            for batch in batches("mlp", 4):
                plain_step(model, optimizer, group, batch)
                found.append([p.grad is None for p in model.parameters()])
            return found, model.state_dict(), optimizer.state_dict()

        require_same_as_plain(script)


def test_groups_schedules_several_optimizers_and_other_parameters():
    def script(group, wrap):
        model = wrap()
        own = nn.Parameter(torch.ones(3, dtype=torch.float64))
        weights = [p for p in model.parameters() if p.ndim > 1]
        biases = [p for p in model.parameters() if p.ndim == 1]
        first = torch.optim.AdamW(
            [{"params": weights[:1], "lr": 0.1}, {"params": [*weights[1:], own], "amsgrad": True}], lr=0.01
        )
        second = torch.optim.SGD(biases, lr=0.1, momentum=0.9)
        schedule = torch.optim.lr_scheduler.StepLR(first, step_size=2, gamma=0.1)
        for number, (inputs, targets) in enumerate(batches("mlp", 5)):
            first.zero_grad()
            second.zero_grad()
            part = slice(group.rank(), None, group.size())
            outputs = model(torch.from_numpy(inputs[part])) * own
            nn.functional.cross_entropy(outputs, torch.from_numpy(targets[part])).backward()
            own.grad.fill_(0.5)
            first.step()
            if number % 2:
                second.step()
            schedule.step()
            if number == 3:
                second.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
        return model.state_dict(), first.state_dict(), second.state_dict(), own

    require_same_as_plain(script)


def test_a_closure_and_hooks_of_the_optimizer():
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        seen = []
        optimizer.register_step_post_hook(lambda *_: seen.append(len(optimizer.state)))

        def closure():
            optimizer.zero_grad()
            return backward(model, group, batches("mlp", 1)[0])

        losses = [optimizer.step(closure) for _ in range(3)]
        return losses, seen, model.state_dict()

    require_same_as_plain(script)


@pytest.mark.parametrize("divides_by_all", [True, False])
@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_that_have_run_out_of_input(world_size, divides_by_all):
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
        with model.join(divide_by_initial_world_size=divides_by_all):
            for number, batch in enumerate(batches("mlp", 3 + 2 * group.rank())):
                optimizer.zero_grad()
                if number % 2 and group.rank() == 0:
                    with torch.no_grad():
                        model.module(torch.zeros(1, 6, dtype=torch.float64))
                backward(model, group, batch)
                optimizer.step()
                schedule.step()
        last = optimizer.state_dict() if group.rank() == group.size() - 1 else None
        return model.state_dict(), last

    require_same_as_plain(script, world_size)


def test_training_goes_on_evenly_after_uneven_inputs():
    def script(group, wrap):
        model = wrap()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with model.join():
            for batch in batches("mlp", 1 + 2 * group.rank()):
                plain_step(model, optimizer, group, batch)
        for batch in batches("mlp", 2):
            plain_step(model, optimizer, group, batch)
        return model.state_dict()

    require_same_as_plain(script)


class Reading(nn.Module):
    """Sees whether its parameters change while it computes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 64), nn.Linear(64, 3)
        self.has_changed = False

    def forward(self, x):
        before = values(self)
        x = torch.tanh(self.second(self.first(x)))
        for _ in range(3):
            self.has_changed |= not all(map(np.array_equal, before, values(self)))
        return x


def test_no_rank_reads_what_is_being_written():
    def run(group):
        model = wrapped(group, model=Reading().double(), shard_optimizer=True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for number, batch in enumerate(batches("mlp", 40)):
            optimizer.zero_grad()
            backward(model, group, batch)
            if (number + group.rank()) % 3 == 0:  # reads while others step
                model.module(torch.ones(2, 6, dtype=torch.float64))
            optimizer.step()
        return model.module.has_changed

    assert run_local(run, 3) == [False] * 3


def test_copies_of_the_model_are_ordinary():
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        plain_step(model, optimizer, group, batches("mlp", 1)[0])
        twin = copy.deepcopy(model.module)
        other = pickle.loads(pickle.dumps(model.module))
        alone = adamw(twin)
        twin(torch.ones(2, 6, dtype=torch.float64) * group.rank()).sum().backward()
        alone.step()
        return twin.state_dict(), other.state_dict(), model.state_dict()

    require_same_as_plain(script)


def test_the_model_can_be_wrapped_anew():
    def script(group, wrap):
        model = wrap()
        optimizer = adamw(model)
        plain_step(model, optimizer, group, batches("mlp", 1)[0])
        module = model.module
        del model
        for again in (wrap, wrapped_plainly, wrap):
            model = again(model=module) if again is wrap else again(group, module)
            optimizer = adamw(model)
            plain_step(model, optimizer, group, batches("mlp", 1)[0])
            del model
        optimizer.zero_grad()
        module(torch.ones(2, 6, dtype=torch.float64)).sum().backward()
        optimizer.step()
        return module.state_dict()

    def wrapped_plainly(group, module):
        return wrapped(group, model=module)

    require_same_as_plain(script)


def test_a_kept_value_of_the_forward_pass_is_known_to_have_changed():
    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        loss = model(torch.ones(2, 6, dtype=torch.float64)).sum()
        late = (model.module[2].weight ** 2).sum()
        loss.backward()
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            late.backward()

    run_local(run, 2)


@pytest.mark.parametrize(
    "kind",
    [torch.optim.Adafactor, torch.optim.LBFGS, "zero", "own"],
)
def test_optimizers_that_cannot_update_slices_are_refused(kind):
    class Own(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})

        def step(self, closure=None):
            raise AssertionError("is not reached")

    def run(group):
        model = wrapped(group, shard_optimizer=True)
        params = list(model.parameters())
        if kind == "zero":
            optimizer = ZeroRedundancyOptimizer(params, torch.optim.SGD, process_group=group)
        else:
            optimizer = Own(params) if kind == "own" else kind(params)
        backward(model, group, batches("mlp", 1)[0])
        before = values(model)
        with pytest.raises(
            UnsupportedError, match=r"does not update element by element.*leave shard_optimizer out"
        ):
            optimizer.step(lambda: None)
        assert all(map(np.array_equal, before, values(model)))

    run_local(run, 2)


def narrow_step(model, optimizer, group, batch):
    """Of a model of float32, with what changes gradients in place."""
    x, y = (torch.from_numpy(each)[group.rank() :: group.size()] for each in batch)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x.float()).float(), y).backward()
    clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()


def power_sgd(group):
    return PowerSGDState(group, 1, start_powerSGD_iter=2), powerSGD_hook


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize(
    "made", [lambda group: (group, bf16_compress_hook), power_sgd], ids=["bf16", "PowerSGD"]
)
def test_communication_hooks_average_whole_buckets(made, first):
    def script(group, wrap):
        model = wrap(model=make("mlp", seed=0).float())
        optimizer = adamw(model)
        for number, batch in enumerate(batches("mlp", 5)):
            if number == first:
                model.register_comm_hook(*made(group))
            narrow_step(model, optimizer, group, batch)
        return model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()]

    require_same_as_plain(script)


def test_a_hook_and_ranks_that_have_run_out_of_input():
    def script(group, wrap):
        model = wrap(model=make("mlp", seed=0).float())
        model.register_comm_hook(group, bf16_compress_hook)
        optimizer = adamw(model)
        with model.join():
            for batch in batches("mlp", 3 + group.rank()):
                narrow_step(model, optimizer, group, batch)
        return model.state_dict(), optimizer.state_dict() if group.rank() else None

    require_same_as_plain(script)


def test_mixed_precision():
    def script(group, wrap):
        config = torch.nn.parallel.distributed._MixedPrecision(param_dtype=torch.bfloat16)
        model = wrap(model=make("mlp", seed=0).float(), mixed_precision=config)
        optimizer = adamw(model)
        for batch in batches("mlp", 3):
            narrow_step(model, optimizer, group, batch)
        assert next(model.parameters()).dtype is torch.float32
        return model.state_dict(), optimizer.state_dict()

    require_same_as_plain(script)


def test_what_cannot_be_combined_is_refused():
    def run(group):
        model = wrapped(group, shard_optimizer=True)
        with pytest.raises(UnsupportedError, match="after backward"):
            model._register_fused_optim(torch.optim.SGD, lr=0.1)
        stepping = make("mlp", seed=0)
        _apply_optimizer_in_backward(torch.optim.SGD, stepping.parameters(), {"lr": 0.1})
        with pytest.raises(UnsupportedError, match="after backward"):
            backward(wrapped(group, model=stepping, shard_optimizer=True), group, batches("mlp", 1)[0])
        named = [*make("mlp").named_parameters()]
        with pytest.raises(UnsupportedError, match="cannot be combined"):
            wrapped(
                group,
                shard_optimizer=True,
                delay_all_reduce_named_params=named[:1],
                param_to_hook_all_reduce=named[1][1],
            )
        twins = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        twins[1].weight.data = twins[0].weight.data
        with pytest.raises(UnsupportedError, match=r"0\.weight and 1\.weight share memory"):
            wrapped(group, model=twins, shard_optimizer=True)
        recorded = torch.optim.SGD(model.parameters(), lr=0.1, differentiable=True)
        backward(model, group, batches("mlp", 1)[0])
        with pytest.raises(UnsupportedError, match="differentiable=True"):
            recorded.step()

    run_local(run, 2)


def test_a_state_of_another_model_is_refused_and_nothing_is_lost():
    def run(group):
        model = wrapped(group, shard_optimizer=True)
        optimizer = adamw(model)
        plain_step(model, optimizer, group, batches("mlp", 1)[0])
        weight = model.module[0].weight
        good = optimizer.state[weight]
        optimizer.state[weight] = {**good, "exp_avg": torch.zeros(2)}
        backward(model, group, batches("mlp", 1)[0])
        before = values(model)
        with pytest.raises(RuntimeError, match=r"'exp_avg' has size.*another model"):
            optimizer.step()
        assert all(map(np.array_equal, before, values(model)))
        optimizer.state[weight] = good
        optimizer.step()
        assert not np.array_equal(before[0], values(model)[0])

    run_local(run, 2)


def test_other_layouts_become_row_major():
    last = torch.channels_last

    def script(group, wrap):
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)
        ).double()
        model = wrap(model=layers.to(memory_format=last))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        images = torch.arange(2 * 3 * 4 * 4, dtype=torch.float64).view(2, 3, 4, 4).sin() + group.rank()
        for number in range(4):
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
            if number == 1:
                layers.to(memory_format=last)
        found = [*model.parameters(), *(p.grad for p in model.parameters())]
        return [each.detach().contiguous() for each in found], optimizer.state_dict()

    for plain, sharded in both(script):
        for one, other in zip(plain[0], sharded[0], strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)  # products of another layout


def test_half_precision():
    def script(group, wrap):
        model = wrap(model=make("mlp").to(torch.bfloat16))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for inputs, targets in batches("mlp", 3):
            optimizer.zero_grad()
            part = slice(group.rank(), None, group.size())
            outputs = model(torch.from_numpy(inputs[part]).to(torch.bfloat16))
            nn.functional.cross_entropy(outputs.float(), torch.from_numpy(targets[part])).backward()
            optimizer.step()
        return [p.detach().float() for p in model.parameters()]

    require_same_as_plain(script)


assert GLOBAL_BATCH % 4 == 0, "every rank has a part"
