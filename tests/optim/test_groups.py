"""Groups of parameters, a user's own optimizer, and states that are odd or old."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt.optim.optimizer import Optimizer, required
from distrt.optim.rules import RULES


def _parameter(*values: float) -> Any:
    return torch.tensor(list(values), requires_grad=True)


class Plain(Optimizer):
    """As PyTorch's users write one."""

    def __init__(self, params: Any, lr: Any = required, bias: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "bias": bias})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("bias", 7.0)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].mul_(0.5).add_(p.grad)
                p.add_(state["momentum"], alpha=-group["lr"])
        return loss


def test_a_required_option_comes_from_every_group() -> None:
    assert repr(required) == "<required parameter>"
    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
        Plain([_parameter(1.0)])
    optimizer = Plain([{"params": [_parameter(1.0)], "lr": 0.5}])
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_users_optimizer_works_with_everything_around_it() -> None:
    p = _parameter(1.0, 2.0)
    optimizer = Plain([p], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    for _ in range(2):
        optimizer.zero_grad()
        assert optimizer.step(lambda: _backward(p)) is not None
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.025
    saved = optimizer.state_dict()
    assert list(saved["state"][0]) == ["momentum"]
    del saved["param_groups"][0]["bias"]
    again = Plain([_parameter(0.0, 0.0)], lr=1.0)
    again.load_state_dict(saved)
    assert again.param_groups[0]["bias"] == 7.0, "__setstate__ fills in what an old state lacks"
    assert again.param_groups[0]["initial_lr"] == 0.1


def _backward(p: Any) -> Any:
    loss = (p * p).sum()
    loss.backward()
    return loss


def test_groups_are_the_very_dicts_that_were_given() -> None:
    group = {"params": iter([_parameter(1.0)]), "lr": 0.5}
    optimizer = torch.optim.Adam([group], lr=0.1)
    assert optimizer.param_groups[0] is group
    assert list(group)[:3] == ["params", "lr", "betas"]
    group["lr"] = 0.25
    assert "lr: 0.25" in repr(optimizer)


def test_a_tensor_with_retained_gradient_can_be_optimized() -> None:
    leaf = _parameter(1.0)
    computed = leaf * 2
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        torch.optim.SGD([computed])
    computed.retain_grad()
    torch.optim.SGD([computed])


def test_state_of_no_parameter_is_carried_along() -> None:
    p = _parameter(1.0)
    optimizer = torch.optim.SGD([p])
    optimizer.load_state_dict({"state": {"note": 5}, "param_groups": optimizer.state_dict()["param_groups"]})
    assert optimizer.state["note"] == 5
    assert optimizer.state_dict()["state"]["note"] == 5


def test_a_shared_parameter_keeps_its_first_number() -> None:
    p, q = _parameter(1.0), _parameter(2.0)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = torch.optim.SGD([p, q, p])
    assert optimizer.state_dict()["param_groups"][0]["params"] == [0, 1, 0]


def test_nested_state_is_converted_and_strings_stay() -> None:
    p = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([p])
    inner = {"list": [torch.ones(1), 3], "tuple": (torch.ones(1),), "text": "words", "none": None}
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {0: inner}, "param_groups": groups})
    loaded = optimizer.state[p]
    assert loaded["list"][0].dtype is torch.float64 and loaded["list"][1] == 3
    assert loaded["tuple"][0].dtype is torch.float64
    assert loaded["text"] == "words" and loaded["none"] is None


@pytest.mark.parametrize(
    "name", ["Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"]
)
def test_counts_that_an_old_file_holds_as_numbers_become_tensors(name: str) -> None:
    p = torch.tensor([[1.0, 2.0]], requires_grad=True)
    optimizer = getattr(torch.optim, name)([p])
    p.grad = torch.ones(1, 2)
    optimizer.step()
    saved = optimizer.state_dict()
    entries = saved["state"][0]
    for key, value in entries.items():
        if value.dim() == 0:
            entries[key] = value.item()
    for option in ("foreach", "maximize", "differentiable", "capturable", "fused", "decoupled_weight_decay"):
        saved["param_groups"][0].pop(option, None)
    again = getattr(torch.optim, name)([p])
    again.load_state_dict(saved)
    assert all(isinstance(value, torch.Tensor) for value in again.state[p].values())
    assert again.param_groups[0]["differentiable"] is False
    again.step()
    assert again.state[p]["step"].item() == 2.0


def test_a_momentum_that_an_old_file_holds_as_none_begins_anew() -> None:
    p = _parameter(1.0)
    optimizer = torch.optim.SGD([p], lr=0.5, momentum=0.9)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {0: {"momentum_buffer": None}}, "param_groups": groups})
    p.grad = torch.ones(1)
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1.0]


def test_zeroed_gradients_leave_the_graph() -> None:
    p = _parameter(1.0, 2.0)
    (p * p).sum().backward(create_graph=True)
    assert p.grad.grad_fn is not None
    torch.optim.SGD([p]).zero_grad(set_to_none=False)
    assert p.grad.grad_fn is None and p.grad.tolist() == [0.0, 0.0]


def test_every_rule_is_registered_under_its_optimizers_name() -> None:
    names = {"ASGD", "Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"}
    assert set(RULES) == names
    for name in names:
        assert getattr(torch.optim, name).rule is RULES[name]


def test_a_gradient_is_only_read() -> None:
    for name in RULES:
        for options in ({}, {"maximize": True}):
            p = torch.tensor([1.0, 2.0], requires_grad=True)
            p.grad = torch.tensor([0.5, -0.5])
            p.grad._array.flags.writeable = False
            getattr(torch.optim, name)([p], **options).step()
            assert p.grad.tolist() == [0.5, -0.5]
            assert np.isfinite(p.tolist()).all()


def test_a_scaler_may_hand_its_scale_to_a_fused_optimizer() -> None:
    """As PyTorch's GradScaler does: an overflow skips the step, and the scale is divided out of the gradients."""
    p = _parameter(1.0)
    optimizer = torch.optim.SGD([p], lr=0.5, fused=True)
    assert optimizer._step_supports_amp_scaling
    assert not hasattr(torch.optim.SGD([p]), "_step_supports_amp_scaling")
    p.grad = torch.tensor([4.0])
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(2.0), torch.tensor(1.0)
    optimizer.step()
    assert p.tolist() == [1.0]
    optimizer.found_inf = torch.tensor(0.0)
    optimizer.step()
    assert p.tolist() == [0.0] and p.grad.tolist() == [2.0]


def test_what_cannot_be_updated_is_refused_in_words_of_tensors() -> None:
    integers = torch.ones(2, dtype=torch.int64)
    integers.grad = torch.ones(2, dtype=torch.int64)
    with pytest.raises(
        NotImplementedError, match=r"floating point and complex parameters only.*torch\.int64"
    ):
        torch.optim.Adam([integers]).step()
    expanded = torch.ones(1).expand(3).requires_grad_()
    expanded.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.optim.SGD([expanded]).step()
    p = _parameter(1.0, 2.0)
    optimizer = torch.optim.Adam([p])
    p.grad = torch.ones(2)
    optimizer.step()
    optimizer.state[p]["exp_avg"] = torch.ones(3)
    with pytest.raises(RuntimeError, match=r"'exp_avg' has size \[3\], its parameter \[2\]"):
        optimizer.step()


def test_a_gradient_that_is_no_number_moves_nothing_in_rprop() -> None:
    p = _parameter(1.0, 1.0)
    p.grad = torch.tensor([float("nan"), 1.0])
    torch.optim.Rprop([p], lr=0.5).step()
    assert p.tolist() == [1.0, 0.5]
