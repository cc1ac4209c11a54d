"""``differentiable=True``: gradients flow through steps, to the gradient, the parameters and the learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import values

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"weight_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"maximize": True}),
    ("RMSprop", {"momentum": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1}),
    ("RAdam", {"betas": (0.5, 0.7)}),
    ("Rprop", {}),
    ("ASGD", {"weight_decay": 0.1, "t0": 1}),
]


#: PyTorch's own second step changes what the first has kept for the backward pass.
ONLY_ONE_STEP = ({"centered": True}, {"amsgrad": True}, "Adamax", "Rprop")


def trained(
    library: Any, name: str, options: Any, is_complex: bool, lr: Any = 0.1, steps: int = 3, change: Any = 0.0
) -> list[Any]:
    """A loss after some steps, whose gradients are a constant times ``factor``, and its derivatives."""
    rng = np.random.default_rng(5)
    array = rng.standard_normal((3, 2))
    array = (array + 1j * rng.standard_normal((3, 2)) if is_complex else array) + change
    start = library.tensor(array, requires_grad=True)
    factor = library.tensor(rng.standard_normal((3, 2)) + change, requires_grad=True)
    param = start.clone()
    optimizer = getattr(library.optim, name)([param], lr=lr, differentiable=True, **options)
    for step in range(steps):
        constant = library.tensor(rng.standard_normal((3, 2))).to(param.dtype)
        param.grad = constant * factor + step
        optimizer.step()
    loss = (param.abs() ** 2).sum()
    loss.backward()
    found = [loss, param, start.grad, factor.grad, *(v for v in optimizer.state[param].values() if v.dim())]
    return [*found, lr.grad] if isinstance(lr, library.Tensor) else found


NAMES = [f"{name} {options}" for name, options in CASES]


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMES)
def test_gradients_through_steps_are_pytorchs(name: str, options: Any, is_complex: bool, torch: Any) -> None:
    steps = 1 if name in ONLY_ONE_STEP or options in ONLY_ONE_STEP else 3
    ours, theirs = (trained(library, name, options, is_complex, steps=steps) for library in (distrt, torch))
    for mine, reference in zip(ours, theirs, strict=True):
        # PyTorch computes 1 - beta ** step in float32 there
        np.testing.assert_allclose(values(mine), values(reference), 1e-4, 1e-5)


@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMES)
def test_gradients_through_steps_are_the_change_of_the_loss(name: str, options: Any) -> None:
    if "momentum" in options and name == "SGD":
        # The first momentum is detached, as PyTorch's is.
        options = {
            **options,
            "momentum": 0,
            "nesterov": False,
        }
    rng = np.random.default_rng(11)
    direction = rng.standard_normal((3, 2))
    _, _, by_start, by_factor, *_ = trained(distrt, name, options, False)
    up, down = (
        trained(distrt, name, options, False, change=sign * 1e-6 * direction)[0].item() for sign in (1, -1)
    )
    slope = float((values(by_start) * direction + values(by_factor) * direction).sum())
    assert slope == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_learning_rate_has_a_gradient(name: str, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        lr = library.tensor(0.1, requires_grad=True)
        found.append(trained(library, name, {}, False, lr))
    for mine, reference in zip(*found, strict=True):
        np.testing.assert_allclose(values(mine), values(reference), 1e-4, 1e-5)
