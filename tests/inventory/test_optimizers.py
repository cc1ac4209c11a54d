"""Area N, the optimizers: each call as the documents write it, beside PyTorch where it is there."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import distrt
from tests.inventory.rows import covers

CALLS: dict[str, Any] = {
    "N1": lambda t, params: t.optim.SGD(params, lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True),
    "N2": lambda t, params: t.optim.Adam(params, lr=0.001, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-4),
    "N2, for a GAN": lambda t, params: t.optim.Adam(params, lr=0.0002, betas=(0.5, 0.999)),
    "N2, no lr": lambda t, params: t.optim.Adam(params),
    "N3": lambda t, params: t.optim.AdamW(params, lr=0.001, weight_decay=0.01),
    "N4": lambda t, params: t.optim.RMSprop(params, lr=0.01, alpha=0.99),
    "N5": lambda t, params: t.optim.Adagrad(params, lr=0.01),
}


def a_model(t: Any) -> Any:
    model = t.nn.Sequential(t.nn.Linear(3, 5), t.nn.Tanh(), t.nn.Linear(5, 2))
    rng = np.random.default_rng(1)
    with t.no_grad():
        for parameter in model.parameters():
            parameter.copy_(t.tensor(rng.standard_normal(tuple(parameter.shape)), dtype=t.float32))
    return model


def train(t: Any, model: Any, optimizer: Any, steps: int = 10, first: int = 0) -> list[float]:
    losses = []
    for step in range(first, first + steps):
        rng = np.random.default_rng(step)
        x, y = (t.tensor(rng.standard_normal((8, n)), dtype=t.float32) for n in (3, 2))
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@covers("N1", "N2", "N3", "N4", "N5")
@pytest.mark.parametrize("row", CALLS)
def test_training_is_pytorchs(row: str, torch: Any) -> None:
    models = [a_model(library) for library in (distrt, torch)]
    ours, theirs = (
        train(library, model, CALLS[row](library, model.parameters()))
        for library, model in zip((distrt, torch), models, strict=True)
    )
    np.testing.assert_allclose(ours, theirs, 1e-5)


@covers("N6")
def test_groups_of_parameters() -> None:
    model = a_model(distrt)
    optimizer = distrt.optim.SGD(
        [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 1e-3}],
        lr=1e-2,
        momentum=0.9,
    )
    assert [group["lr"] for group in optimizer.param_groups] == [1e-2, 1e-3]
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2]
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        distrt.optim.SGD([{"params": model.parameters()}, {"params": model[0].parameters()}], lr=1e-2)


@covers("N7", "N8", "N9")
def test_zero_grad_step_and_a_new_rate() -> None:
    p, unused = (distrt.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    optimizer = distrt.optim.SGD([p, unused], lr=1.0)
    (p * 3).sum().backward()
    address = p.data_ptr()
    assert optimizer.step() is None
    assert p.tolist() == [-2.0, -1.0] and unused.tolist() == [1.0, 2.0]
    assert p.data_ptr() == address and p.is_leaf and p.grad_fn is None
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None
    for param_group in optimizer.param_groups:
        param_group["lr"] = 0.5
    (p * 2).sum().backward()
    optimizer.step()
    assert p.tolist() == [-3.0, -2.0]


@covers("N10")
@pytest.mark.parametrize("row", CALLS)
def test_a_saved_run_goes_on_exactly(row: str) -> None:
    model = a_model(distrt)
    optimizer = CALLS[row](distrt, model.parameters())
    train(distrt, model, optimizer, 5)
    saved = copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    assert list(saved["optimizer"]) == ["state", "param_groups"]
    without_a_break = train(distrt, model, optimizer, 5, first=5)
    again = a_model(distrt)
    again.load_state_dict(saved["model"])
    resumed = distrt.optim.SGD(again.parameters()) if row == "N1" else CALLS[row](distrt, again.parameters())
    resumed.load_state_dict(saved["optimizer"])
    assert train(distrt, again, resumed, 5, first=5) == without_a_break


@covers("N11")
def test_names_by_attribute_and_by_import() -> None:
    from distrt import optim
    from distrt.optim import Adam, lr_scheduler
    from distrt.optim.adam import Adam as ByModule
    from distrt.optim.swa_utils import AveragedModel

    assert distrt.optim.Adam is optim.Adam is Adam is ByModule
    assert distrt.optim.lr_scheduler is lr_scheduler and lr_scheduler.StepLR
    assert distrt.optim.swa_utils.AveragedModel is AveragedModel
