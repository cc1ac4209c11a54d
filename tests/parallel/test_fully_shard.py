"""fully_shard on threads: the parameters of DistributedDataParallel, to the bit, and what a rank keeps meanwhile."""

import gc

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import CollectiveMismatch
from distrt.distributed.fsdp import (
    FSDPModule,
    fully_shard,
)
from distrt.distributed.tensor import DTensor, Shard
from tests.parallel.sharded_models import (
    MODELS,
    WIDTH,
    batches,
    data_parallel,
    join,
    loss_of,
    make,
    sharded,
    train,
    values,
)


def equal(found, expected):
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_data_parallelism_to_the_bit(name, size, dtype):
    def run(group):
        join(group)
        model = sharded(name, dtype)
        train(model, name, group, dtype=dtype)
        plain = data_parallel(name, group, dtype)
        train(plain, name, group, dtype=dtype)
        return values(model), values(plain)

    for found, expected in run_local(run, size):
        assert equal(found, expected)


@pytest.mark.parametrize("reshard", [True, False, 2])
def test_when_parameters_are_given_back_does_not_change_them(reshard):
    def run(group):
        join(group)
        model = sharded("mlp", reshard_after_forward=reshard)
        train(model, "mlp", group)
        plain = data_parallel("mlp", group)
        train(plain, "mlp", group)
        return values(model), values(plain)

    for found, expected in run_local(run, 4):
        assert equal(found, expected)


def test_a_parameter_that_no_rank_has_used_has_no_gradient_and_one_that_some_have_has_one_everywhere():
    def run(group):
        join(group)
        model = sharded("branches")
        loss_of(model, batches("branches", 1)[0], group).backward()
        return [branch.weight.grad is None for branch in model.branches]

    assert run_local(run, 2) == [[False, False, True, True, True]] * 2


def test_modules_hold_parts_between_uses_and_whole_parameters_in_them():
    seen = []

    class Looking(nn.Linear):
        def forward(self, x):
            seen.append(type(self.weight))
            return super().forward(x)

    def run(group):
        join(group)
        model = fully_shard(Looking(4, 6))
        assert isinstance(model, FSDPModule)
        assert isinstance(model, Looking)
        assert type(model).__name__ == "FSDPLooking"
        weight = model.weight
        assert isinstance(weight, DTensor)
        assert isinstance(weight, nn.Parameter)
        assert weight.placements == (Shard(0),)
        assert tuple(weight.shape) == (6, 4)
        with torch.no_grad():
            model(torch.ones(2, 4))
        assert model.weight is weight
        return tuple(weight.to_local().shape), tuple(model.bias.to_local().shape)

    assert run_local(run, 4) == [((2, 4), (2,))] * 3 + [((0, 4), (0,))]  # as chunk cuts 6 rows
    assert set(seen) == {nn.Parameter}


def bytes_kept(model, optimizer):
    tensors = [each.to_local() for each in model.parameters()]
    tensors += [each.grad.to_local() for each in model.parameters() if each.grad is not None]
    tensors += [each for state in optimizer.state.values() for each in state.values()]
    return sum(each.nbytes for each in tensors)


@pytest.mark.parametrize("size", [2, 4])
def test_a_rank_keeps_its_share_of_parameters_gradients_and_state(size):
    def run(group):
        join(group)
        model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(6)])
        whole = 4 * sum(p.nbytes for p in model.parameters())  # with gradients and the two moments
        for layer in model:
            fully_shard(layer)
        fully_shard(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        x = torch.ones(2, 64)
        for _ in range(2):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
        return bytes_kept(model, optimizer) / (whole / group.size())

    for share in run_local(run, size):
        assert 1.0 <= share < 1.02


def test_no_more_than_a_few_modules_are_whole_at_a_time():
    layers, largest = 8, []

    def run(group):
        join(group)
        model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(layers)])
        for layer in model:
            fully_shard(layer)
        fully_shard(model)
        units = [layer._get_fsdp_state().unit for layer in model]

        def look(*_):
            under_way = sum(
                unit.is_whole or unit.is_gathering or unit.reduction is not None for unit in units
            )
            gradients = sum(unit.parameters[0].whole.grad is not None for unit in units)
            largest.append(under_way + gradients)

        x = torch.ones(2, 16, requires_grad=True)
        for layer in model:
            layer.register_forward_hook(look)
            layer.register_full_backward_hook(look)
        for _ in range(3):
            model(x).sum().backward()
        look()
        return sum(unit.is_whole or unit.is_gathering for unit in units)

    assert run_local(run, 2) == [0, 0]
    assert 0 < max(largest) <= 6


def test_units_that_are_not_trained_are_given_back_on_the_way():
    largest = []

    def run(group):
        join(group)
        model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(8)])
        for layer in model[1:]:
            layer.requires_grad_(False)
        for layer in model:
            fully_shard(layer)
        fully_shard(model)
        units = [layer._get_fsdp_state().unit for layer in model]
        for layer in list(model)[1:]:
            layer.register_full_backward_hook(lambda *_: largest.append(sum(unit.is_whole for unit in units)))
        expected = None
        for _ in range(2):
            model.zero_grad()
            model(torch.ones(2, 16)).sum().backward()
            found = model[0].weight.grad.full_tensor()
            assert expected is None or torch.equal(found, expected)
            expected = found
        return model[1].weight.grad

    assert run_local(run, 2) == [None, None]
    assert 0 < max(largest) <= 3


def test_a_module_below_the_root_can_be_called_by_itself():
    def run(group):
        join(group)
        model = sharded("mlp")
        loss_of(model, batches("mlp", 1)[0], group).backward()
        gathered = []
        for layer in (model[0], model[2]):
            unit = layer._get_fsdp_state().unit
            launch = unit.launch
            unit.launch = lambda *args, launch=launch, unit=unit, **options: (
                gathered.append(unit),
                launch(*args, **options),
            )
        with torch.no_grad():
            out = model[2](torch.ones(1, 32, dtype=torch.float64))
        plain = make("mlp")
        assert gathered == [model[2]._get_fsdp_state().unit]
        loss_of(model, batches("mlp", 1)[0], group).backward()
        return torch.equal(out, plain[2](torch.ones(1, 32, dtype=torch.float64)))

    assert all(run_local(run, 2))


@pytest.mark.ci
def test_memory_of_whole_parameters_goes_back_to_the_system():
    def resident_bytes():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    def run(group):
        join(group)
        model = nn.Sequential(*[nn.Linear(1024, 1024, bias=False) for _ in range(16)])  # 64 MB
        for layer in model:
            fully_shard(layer)
        fully_shard(model)
        gc.collect()
        before = resident_bytes()
        loss = model(torch.ones(1, 1024)).sum()
        kept = resident_bytes() - before
        loss.backward()
        return kept

    (kept,) = run_local(run, 1)
    assert kept < 24e6  # of the 64 MB that the graph refers to


def test_ranks_may_use_their_modules_in_different_orders():
    class Ordered(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(5)])

        def forward(self, x, order):
            return sum(self.layers[n](x) for n in order).sum()

    def run(group):
        join(group)
        torch.manual_seed(0)
        model = Ordered()
        for layer in model.layers:
            fully_shard(layer)
        fully_shard(model)
        rng = np.random.default_rng(group.rank())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(6):
            optimizer.zero_grad()
            model(torch.ones(1, WIDTH), rng.permutation(5)[: rng.integers(1, 6)]).backward()
            optimizer.step()
        return values(model)

    first, *others = run_local(run, 3, timeout_s=20)
    assert all(equal(first, other) for other in others)


def test_ranks_that_gather_different_units_are_told_so():
    class Repeating(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(2)])

        def forward(self, x, order):
            for n in order:
                x = self.layers[n](x)
            return x

    def run(group):
        join(group)
        model = Repeating()
        for layer in model.layers:
            fully_shard(layer)
        fully_shard(model)
        with pytest.raises(CollectiveMismatch):
            model(torch.ones(1, WIDTH), [0, 1, group.rank()])

    run_local(run, 2, timeout_s=20)


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_an_exception_leaves_the_model_usable(where):
    class Failing(nn.Module):
        fails = False

        def forward(self, x):
            if self.fails and where == "forward":
                raise ArithmeticError("on purpose")
            if self.fails:
                x.register_hook(lambda g: 1 / 0)
            return x

    def run(group):
        join(group)
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), Failing(), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        )
        for layer in (model[0], model[2], model[3]):
            fully_shard(layer)
        fully_shard(model)
        batch = batches("mlp", 1)[0].float()
        loss_of(model, batch, group).backward()
        expected = [p.grad.full_tensor().numpy() for p in model.parameters()]
        model.zero_grad()
        model[1].fails = True
        with pytest.raises(ArithmeticError):
            loss_of(model, batch, group).backward()
        assert all(isinstance(p, DTensor) for p in model.parameters()) or where == "backward"
        model[1].fails = False
        model.zero_grad()
        loss_of(model, batch, group).backward()
        return equal([p.grad.full_tensor().numpy() for p in model.parameters()], expected)

    assert run_local(run, 2, timeout_s=20) == [True, True]


def test_gradients_add_up_on_each_rank_until_they_are_to_be_reduced():
    data = batches("mlp", 2)

    def run(group):
        join(group)
        model = sharded("mlp")
        model.set_requires_gradient_sync(False)
        loss_of(model, data[0], group).backward()
        assert all(p.grad is None for p in model.parameters())
        model.set_requires_gradient_sync(True)
        loss_of(model, data[1], group).backward()
        plain = data_parallel("mlp", group)
        with plain.no_sync():
            loss_of(plain, data[0], group).backward()
        loss_of(plain, data[1], group).backward()
        found = [p.grad.full_tensor().numpy() for p in model.parameters()]
        return equal(found, [p.grad.numpy() for p in plain.parameters()])

    assert run_local(run, 2) == [True, True]


def test_two_forward_passes_before_their_backward_passes():
    data = batches("mlp", 2)

    def run(group):
        join(group)
        found = []
        for model in (sharded("mlp"), make("mlp")):
            losses = [(model(each) ** 2).mean() for each in data]
            for loss in losses:
                loss.backward()
            found.append(
                [getattr(p.grad, "full_tensor", lambda p=p: p.grad)().numpy() for p in model.parameters()]
            )
        return found

    for found, expected in run_local(run, 2):
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)


def test_what_was_changed_between_forward_and_backward_is_not_used_silently():
    def run(group):
        join(group)
        model = sharded("mlp", reshard_after_forward=True)
        loss = loss_of(model, batches("mlp", 1)[0], group)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    run_local(run, 2)
