"""``Module``: registration, walking, modes, hooks, conversion, copying."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn


class Block(nn.Module):
    """Every kind of attribute that a module registers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.scale = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)
        self.register_parameter("absent", None)
        self.inner = nn.Sequential(nn.ReLU(), nn.Linear(3, 1, bias=False))
        self.plain = 7

    def forward(self, x: Any) -> Any:
        return self.inner(self.first(x) * self.scale + self.mean)


PARAMETERS = ["scale", "first.weight", "first.bias", "inner.1.weight"]


def test_parameters_are_found_in_order_of_registration() -> None:
    block = Block()
    assert [name for name, _ in block.named_parameters()] == PARAMETERS
    assert [name for name, _ in block.named_parameters(prefix="a", recurse=False)] == ["a.scale"]
    assert [name for name, _ in block.named_buffers()] == ["mean", "scratch"]
    assert [name for name, _ in block.named_children()] == ["first", "inner"]
    assert [name for name, _ in block.named_modules()] == ["", "first", "inner", "inner.0", "inner.1"]
    assert list(block.state_dict()) == ["scale", "mean", "first.weight", "first.bias", "inner.1.weight"]


def test_a_shared_module_or_parameter_is_found_once() -> None:
    layer = nn.Linear(2, 2)
    tied = nn.Linear(2, 2)
    tied.weight = layer.weight
    both = nn.Sequential(layer, layer, tied)
    assert [name for name, _ in both.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert len(list(both.modules())) == 3
    assert len(list(both.children())) == 2
    assert list(both.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    every = [name for name, _ in both.named_parameters(remove_duplicate=False)]
    assert every == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]


def test_attributes_move_between_kinds() -> None:
    block = Block()
    block.scale = None
    assert "scale" not in dict(block.named_parameters())
    block.first = nn.Identity()
    block.plain = nn.Parameter(torch.zeros(1))
    assert [name for name, _ in block.named_parameters()] == ["plain", "inner.1.weight"]
    del block.plain
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'plain'"):
        _ = block.plain


def test_wrong_assignments_are_refused() -> None:
    block = Block()
    with pytest.raises(TypeError, match=r"cannot assign 'torch.FloatTensor' as parameter 'scale'"):
        block.scale = torch.ones(3)
    with pytest.raises(TypeError, match="cannot assign 'int' as child module 'first'"):
        block.first = 3
    with pytest.raises(TypeError, match="cannot assign 'str' as buffer 'mean'"):
        block.mean = "three"
    with pytest.raises(KeyError, match="attribute 'plain' already exists"):
        block.register_buffer("plain", torch.ones(1))
    with pytest.raises(KeyError, match="t contain"):
        block.register_parameter("a.b", None)
    with pytest.raises(KeyError, match="t be empty"):
        block.add_module("", nn.ReLU())
    with pytest.raises(TypeError, match="not a Module subclass"):
        block.add_module("x", 3)
    with pytest.raises(TypeError, match=r"cannot assign 'torch.FloatTensor' object to parameter 'made'"):
        block.register_parameter("made", nn.Parameter(torch.ones(1)) * 1)


@pytest.mark.parametrize("value", [nn.Parameter(torch.ones(1)), nn.ReLU()])
def test_assigning_before_init_is_refused(value: Any) -> None:
    class Hasty(nn.Module):
        def __init__(self) -> None:
            self.early = value
            super().__init__()

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Hasty()


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match='missing the required "forward" function'):
        nn.Module()(1)


def test_train_and_eval_reach_every_module() -> None:
    block = Block()
    assert block.eval() is block
    assert not any(module.training for module in block.modules())
    block.train()
    assert all(module.training for module in block.modules())
    with pytest.raises(ValueError, match="expected to be boolean"):
        block.train("yes")


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    block = Block()
    assert block.apply(lambda module: seen.append(type(module).__name__)) is block
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Block"]


def test_requires_grad_and_zero_grad_reach_every_parameter() -> None:
    block = Block()
    block(torch.ones(4, 2)).sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    block.zero_grad(set_to_none=False)
    assert all(not parameter.grad.any() for parameter in block.parameters())
    block.zero_grad()
    assert all(parameter.grad is None for parameter in block.parameters())
    block.requires_grad_(False)
    assert not block(torch.ones(4, 2)).requires_grad


def test_hooks_run_before_and_after_forward_and_may_replace() -> None:
    layer = nn.Identity()
    order: list[str] = []
    before = layer.register_forward_pre_hook(lambda module, args: order.append("before") or (args[0] + 1,))
    after = layer.register_forward_hook(lambda module, args, out: order.append("after") or out * 10)
    assert layer(torch.ones(1)).item() == 20.0
    before.remove()
    assert layer(torch.ones(1)).item() == 10.0
    after.remove()
    assert layer(torch.ones(1)).item() == 1.0
    assert order == ["before", "after", "after"]


def test_conversion_changes_floating_tensors_only_and_in_place() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    parameter = model[0].weight
    model(torch.ones(3, 2) * torch.arange(2.0)).sum().backward()
    assert model.double() is model
    assert model[0].weight is parameter
    assert parameter.dtype is torch.float64
    assert parameter.grad.dtype is torch.float64
    assert model[1].num_batches_tracked.dtype is torch.int64
    assert model[1].running_mean.dtype is torch.float64
    for convert, dtype in (("half", torch.float16), ("bfloat16", torch.bfloat16), ("float", torch.float32)):
        assert getattr(model, convert)()[0].weight.dtype is dtype
    assert model.to("cpu", torch.float64)[0].bias.dtype is torch.float64
    with pytest.raises(TypeError, match="only accepts floating point"):
        model.to(torch.int64)


def test_converted_parameters_train_on(seed: int) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.double()
    model(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
    before = model.weight.detach().clone()
    optimizer.step()
    assert (before - model.weight).detach().abs().min().item() == pytest.approx(0.1)


def test_a_deep_copy_shares_nothing() -> None:
    block = Block()
    again = copy.deepcopy(block)
    assert [name for name, _ in again.named_parameters()] == PARAMETERS
    for mine, theirs in zip(block.state_dict().values(), again.state_dict().values(), strict=True):
        assert mine.tolist() == theirs.tolist()
        assert not np.shares_memory(mine.numpy(), theirs.numpy())
    assert all(isinstance(each, nn.Parameter) and each.requires_grad for each in again.parameters())


def test_a_deep_copy_keeps_what_is_shared_within() -> None:
    layer = nn.Linear(2, 2)
    again = copy.deepcopy(nn.Sequential(layer, layer))
    assert again[0] is again[1]


def test_a_module_survives_pickling() -> None:
    block = Block()
    again = pickle.loads(pickle.dumps(block))
    x = torch.ones(4, 2)
    assert again(x).tolist() == block(x).tolist()
    assert all(isinstance(each, nn.Parameter) and each.requires_grad for each in again.parameters())


def test_sequential_is_a_list_of_modules() -> None:
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.ReLU()))
    assert model.a is model[0]
    assert model[-1] is model.b
    assert len(model) == 2
    assert list(model[:1].state_dict()) == ["a.weight", "a.bias"]
    model[1] = nn.Tanh()
    assert isinstance(model.b, nn.Tanh)
    assert [type(module).__name__ for module in model.append(nn.ReLU())] == ["Linear", "Tanh", "ReLU"]
    with pytest.raises(IndexError, match="out of range"):
        _ = model[3]


def test_get_submodule_follows_dots() -> None:
    block = Block()
    assert block.get_submodule("inner.1") is block.inner[1]
    assert block.get_submodule("") is block
    with pytest.raises(AttributeError, match="has no attribute `5`"):
        block.get_submodule("inner.5")


def test_a_parameter_shares_memory_with_its_data() -> None:
    data = torch.zeros(2)
    parameter = nn.Parameter(data)
    data.add_(1)
    assert parameter.tolist() == [1.0, 1.0]
    assert repr(parameter) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    with pytest.raises(AttributeError, match="'list' object has no attribute 'detach'"):
        nn.Parameter([1.0])


@pytest.mark.parametrize(
    "name", ["_cast", "_forget", "_own_state", "_load_one", "_after_hooks", "_require_name"]
)
def test_a_child_may_have_any_name_that_pytorch_leaves_free(name: str) -> None:
    model = nn.Module()
    setattr(model, name, nn.Linear(2, 3))
    model.scale = nn.Parameter(torch.ones(3))
    assert isinstance(getattr(model, name), nn.Linear)
    assert model.double().scale.dtype == torch.float64
    assert model.load_state_dict(model.state_dict()).missing_keys == []
