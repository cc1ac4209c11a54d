"""Area O: schedules, in the words of the documents."""

from __future__ import annotations

import math

import pytest

import distrt as torch
from distrt import nn, optim
from distrt.optim import lr_scheduler
from distrt.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, ReduceLROnPlateau, StepLR
from tests.inventory.rows import covers


def _optimizer(lr: float = 0.1) -> optim.Optimizer:
    return optim.SGD(nn.Linear(2, 2).parameters(), lr=lr)


def _rates(optimizer: optim.Optimizer, scheduler: lr_scheduler.LRScheduler, epochs: int) -> list[float]:
    found = []
    for _ in range(epochs):
        optimizer.step()
        found.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    return found


@covers("O1")
def test_step_lr_over_100_epochs() -> None:
    optimizer = _optimizer()
    rates = _rates(optimizer, StepLR(optimizer, step_size=30, gamma=0.1), 100)
    assert rates == pytest.approx([0.1 * 0.1 ** (epoch // 30) for epoch in range(100)])


@covers("O2")
def test_multi_step_lr() -> None:
    optimizer = _optimizer()
    rates = _rates(optimizer, lr_scheduler.MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1), 100)
    assert rates == pytest.approx([0.1] * 30 + [0.01] * 50 + [0.001] * 20)


@covers("O3")
def test_exponential_lr() -> None:
    optimizer = _optimizer()
    rates = _rates(optimizer, lr_scheduler.ExponentialLR(optimizer, gamma=0.9), 20)
    assert rates == pytest.approx([0.1 * 0.9**epoch for epoch in range(20)])


@covers("O4")
def test_cosine_annealing() -> None:
    optimizer = _optimizer()
    rates = _rates(optimizer, CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-6), 101)
    assert rates == pytest.approx(
        [1e-6 + (0.1 - 1e-6) * (1 + math.cos(math.pi * epoch / 100)) / 2 for epoch in range(101)]
    )


@covers("O5")
def test_warm_restarts_after_10_20_and_40_epochs() -> None:
    optimizer = _optimizer()
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)
    rates = _rates(optimizer, scheduler, 71)
    assert [epoch for epoch, rate in enumerate(rates) if rate == pytest.approx(0.1)] == [0, 10, 30, 70]


@covers("O6")
def test_reduce_on_plateau() -> None:
    optimizer = _optimizer()
    scheduler = ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=10)
    scheduler.step(torch.tensor(1.0))
    for _ in range(10):
        scheduler.step(1.0 - 0.9e-4)  # better by less than the relative threshold of 1e-4
    assert optimizer.param_groups[0]["lr"] == 0.1
    scheduler.step(1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


@covers("O7")
def test_a_warm_up_begins_with_0() -> None:
    def warmup_lambda(epoch: int) -> float:
        return epoch / 5 if epoch < 5 else 1.0

    optimizer = _optimizer()
    scheduler = LambdaLR(optimizer, lr_lambda=warmup_lambda)
    assert optimizer.param_groups[0]["lr"] == 0
    assert _rates(optimizer, scheduler, 7) == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.1])


@covers("O8", "O9")
def test_last_rates_and_exact_resume() -> None:
    model = nn.Linear(2, 2)
    optimizer = optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}], lr=0.1)
    scheduler = CosineAnnealingLR(optimizer, T_max=17)
    assert scheduler.get_last_lr() == [0.1, 0.5]
    _rates(optimizer, scheduler, 5)
    checkpoint = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    other = optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}], lr=0.1)
    resumed = CosineAnnealingLR(other, T_max=17)
    other.load_state_dict(checkpoint["optimizer"])
    resumed.load_state_dict(checkpoint["scheduler"])
    assert _rates(other, resumed, 30) == _rates(optimizer, scheduler, 30)
