"""What an optimizer does besides its formula: closures, gradients, groups, in-place updates, its own subclasses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt.optim.rules import RULES


def _parameter(*values: float) -> Any:
    return torch.tensor(list(values), requires_grad=True)


def test_a_closure_is_run_with_recording_and_its_loss_is_returned() -> None:
    p = _parameter(1.0, 2.0)
    optimizer = torch.optim.SGD([p], lr=0.5)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 5.0
    assert p.tolist() == [0.0, 0.0]
    assert optimizer.step() is None


def test_parameters_without_a_gradient_are_left_alone() -> None:
    used, unused = _parameter(1.0), _parameter(1.0)
    optimizer = torch.optim.Adam([used, unused], weight_decay=0.5)
    used.sum().backward()
    optimizer.step()
    assert unused.tolist() == [1.0]
    assert list(optimizer.state_dict()["state"]) == [0]


def test_zero_grad_forgets_or_overwrites() -> None:
    p = _parameter(1.0)
    optimizer = torch.optim.SGD([p])
    p.sum().backward()
    held = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is held
    assert held.tolist() == [0.0]
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("name", sorted(RULES))
def test_an_update_changes_the_parameters_own_memory(name: str) -> None:
    p = _parameter(1.0, 2.0)
    address, version = p.data_ptr(), p._version
    (p * p).sum().backward()
    getattr(torch.optim, name)([p], lr=0.1).step()
    assert p.data_ptr() == address
    assert p._version > version
    assert p.requires_grad
    assert p.is_leaf


def test_an_update_between_forward_and_backward_is_noticed() -> None:
    p = _parameter(1.0, 2.0)
    p.grad = torch.ones(2)
    loss = (p * p).sum()
    torch.optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", sorted(RULES))
def test_big_parameters_are_updated_like_small_ones(name: str) -> None:
    """Blocks of a fused pass leave no element out, and a rule gives a flat bucket what it gives its pieces."""
    options = {} if name == "Rprop" else {"weight_decay": 0.1}
    values = np.linspace(-1, 1, 40_000)
    results = []
    for pieces in (1, 8):
        parts = [torch.tensor(part).requires_grad_() for part in np.split(values, pieces)]
        optimizer = getattr(torch.optim, name)(parts, lr=0.1, **options)
        for _ in range(3):
            for part in parts:
                part.grad = (part.detach() * 3).exp()
            optimizer.step()
        results.append(np.concatenate([part.detach().numpy() for part in parts]))
    assert np.array_equal(results[0], results[1])


def test_parameters_and_gradients_need_not_be_contiguous() -> None:
    p = torch.ones(3, 4).t()
    p.requires_grad_()
    p.grad = torch.arange(12.0).reshape(3, 4).t()
    torch.optim.SGD([p], lr=1.0, momentum=0.9).step()
    assert p.tolist() == (1 - torch.arange(12.0).reshape(3, 4)).t().tolist()


def test_state_is_saved_and_loaded_live() -> None:
    """As PyTorch does: no tensor of the right dtype is copied on either way."""
    p, q = _parameter(1.0), _parameter(1.0)
    first, second = torch.optim.Adam([p], lr=0.5), torch.optim.Adam([q])
    p.sum().backward()
    first.step()
    saved = first.state_dict()
    assert saved["state"][0]["exp_avg"] is first.state[p]["exp_avg"]
    second.load_state_dict(saved)
    assert second.param_groups[0]["lr"] == 0.5
    assert second.state[q]["exp_avg"] is saved["state"][0]["exp_avg"]
    assert second.param_groups[0]["params"][0] is q
    saved["param_groups"][0]["lr"] = 9.0
    assert second.param_groups[0]["lr"] == 0.5


def test_loaded_state_takes_the_dtype_of_its_parameter() -> None:
    p, q = _parameter(1.0), torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    first, second = torch.optim.Adam([p]), torch.optim.Adam([q])
    p.sum().backward()
    first.step()
    second.load_state_dict(first.state_dict())
    assert second.state[q]["exp_avg"].dtype is torch.float64
    assert second.state[q]["step"].dtype is torch.float32


@pytest.mark.parametrize("name", sorted(RULES))
def test_changes_of_the_state_are_noticed(name: str) -> None:
    p = _parameter(1.0, 2.0)
    optimizer = getattr(torch.optim, name)([p], **({"momentum": 0.9} if name == "SGD" else {}))
    p.grad = torch.ones(2)
    optimizer.step()
    state = {key: value for key, value in optimizer.state[p].items() if isinstance(value, torch.Tensor)}
    before = {key: (value._version, value.tolist()) for key, value in state.items()}
    p.grad = torch.tensor([-2.0, 3.0])
    optimizer.step()
    changed = [key for key, value in state.items() if value.tolist() != before[key][1]]
    assert changed
    assert all(state[key]._version > before[key][0] for key in changed)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    p = _parameter(1.0)
    optimizer = torch.optim.SGD([p], lr=0.25)
    with pytest.raises(ValueError, match="doesn't match the size"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0, 1], "lr": 9.0}]})
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_step_that_is_refused_is_not_counted() -> None:
    p = _parameter(1.0, 2.0)
    optimizer = torch.optim.Adam([p])
    p.grad = torch.ones(2)
    optimizer.step()
    optimizer.state[p]["exp_avg"] = torch.zeros(3)
    with pytest.raises(RuntimeError, match="saved for another model"):
        optimizer.step()
    assert optimizer.state[p]["step"].item() == 1.0


def test_state_survives_pickle_and_deepcopy() -> None:
    p = _parameter(1.0, 2.0)
    optimizer = torch.optim.SGD([p], lr=0.5, momentum=0.9)
    p.sum().backward()
    optimizer.step()
    for again in (pickle.loads(pickle.dumps(optimizer.state_dict())), copy.deepcopy(optimizer.state_dict())):
        assert again["param_groups"] == optimizer.state_dict()["param_groups"]
        assert again["state"][0]["momentum_buffer"].tolist() == [1.0, 1.0]


def test_a_users_optimizer_writes_its_step() -> None:
    class Signs(torch.optim.Optimizer):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for param in group["params"]:
                    state = self.state[param]
                    state["count"] = state.get("count", 0) + 1
                    param.add_(param.grad.sign(), alpha=-group["lr"])

    p = _parameter(1.0, -1.0)
    optimizer = Signs([p], lr=0.5)
    (p * p).sum().backward()
    optimizer.step()
    assert p.tolist() == [0.5, -0.5]
    assert optimizer.state[p]["count"] == 1


def test_training_a_model_lowers_its_loss(seed: int) -> None:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x = torch.rand(64, 2)
    y = (x[:, :1] - x[:, 1:]).abs()
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
