"""Schedules against PyTorch: 200 steps of each with every option, their state, resuming, combinations, errors."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import quietly

#: Expressions with `o`, an optimizer of two groups, and `L`, the module of schedules.
SCHEDULES = [
    "L.LambdaLR(o, lambda step: 0.95**step)",
    "L.LambdaLR(o, [lambda step: 1 / (1 + step), lambda step: min(1.0, step / 10)])",
    "L.MultiplicativeLR(o, lambda step: 0.97)",
    "L.MultiplicativeLR(o, [lambda step: 0.9, lambda step: 1.01])",
    "L.StepLR(o, step_size=30, gamma=0.1)",
    "L.StepLR(o, 7)",
    "L.MultiStepLR(o, milestones=[30, 80], gamma=0.1)",
    "L.MultiStepLR(o, [5, 5, 9], 0.5)",
    "L.ExponentialLR(o, gamma=0.9)",
    "L.ConstantLR(o)",
    "L.ConstantLR(o, factor=0.5, total_iters=13)",
    "L.LinearLR(o)",
    "L.LinearLR(o, start_factor=0.1, end_factor=0.5, total_iters=50)",
    "L.PolynomialLR(o)",
    "L.PolynomialLR(o, total_iters=60, power=2.5)",
    "L.CosineAnnealingLR(o, T_max=100, eta_min=1e-6)",
    "L.CosineAnnealingLR(o, 7)",
    "L.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2)",
    "L.CosineAnnealingWarmRestarts(o, 6, eta_min=0.01)",
    "L.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=20)",
    "L.CyclicLR(o, [0.01, 0.02], [0.1, 0.2], 15, 5, mode='triangular2', base_momentum=0.7, max_momentum=0.95)",
    "L.CyclicLR(o, 0.01, 0.1, 10, mode='exp_range', gamma=0.99, cycle_momentum=False)",
    "L.CyclicLR(o, 0.01, 0.1, 10, scale_fn=lambda x: 0.5 / x, scale_mode='cycle')",
    "L.OneCycleLR(o, max_lr=0.1, total_steps=201)",
    "L.OneCycleLR(o, max_lr=[0.1, 0.2], epochs=21, steps_per_epoch=10, anneal_strategy='linear', three_phase=True)",
    "L.OneCycleLR(o, 0.1, 210, pct_start=0.1, cycle_momentum=False, div_factor=10, final_div_factor=100.0)",
    "L.SequentialLR(o, [L.ConstantLR(o, 0.1, 5), L.ExponentialLR(o, 0.9)], milestones=[20])",
    "L.SequentialLR(o, [L.LinearLR(o, 0.01, 1.0, 10), L.CosineAnnealingLR(o, 50), L.StepLR(o, 9)], [10, 60])",
    "L.SequentialLR(o, [L.LinearLR(o), L.CosineAnnealingWarmRestarts(o, 10)], [5])",
    "L.ChainedScheduler([L.ConstantLR(o, 0.1, 20), L.ExponentialLR(o, 0.98)])",
    "L.ChainedScheduler([L.LinearLR(o), L.MultiStepLR(o, [7, 9], 0.5)], optimizer=o)",
]

OPTIMIZERS = {
    "SGD": lambda t, groups: t.optim.SGD(groups, lr=0.05, momentum=0.9),
    "Adam": lambda t, groups: t.optim.Adam(groups),
}


def _optimizer(library: Any, name: str = "SGD") -> Any:
    parameters = [library.nn.Parameter(library.ones(2)) for _ in range(2)]
    return OPTIMIZERS[name](library, [{"params": parameters[:1], "lr": 0.1}, {"params": parameters[1:]}])


def _schedule(library: Any, text: str, optimizer: Any) -> Any:
    return quietly(eval, text, {"L": library.optim.lr_scheduler, "o": optimizer})


def _seen(optimizer: Any, schedule: Any) -> list[float]:
    """What a step has left: rates, momentum, and what the schedule says of them."""
    found = []
    for group in optimizer.param_groups:
        found += [float(group["lr"]), float(group["betas"][0] if "betas" in group else group["momentum"])]
    return [*found, *(float(each) for each in schedule.get_last_lr())]


def _run(optimizer: Any, schedule: Any, steps: int) -> list[list[float]]:
    rows = [_seen(optimizer, schedule)]
    for _ in range(steps):
        optimizer.step()
        quietly(schedule.step)
        rows.append(_seen(optimizer, schedule))
    return rows


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("text", SCHEDULES)
def test_two_hundred_steps_agree_with_pytorch(text: str, name: str, torch: Any) -> None:
    rows = []
    for library in (distrt, torch):
        optimizer = _optimizer(library, name)
        rows.append(_run(optimizer, _schedule(library, text, optimizer), 200))
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-10, atol=1e-15)


def _plain(value: Any) -> Any:
    """State without what cannot be compared: functions are objects of their own."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return pytest.approx(value, rel=1e-10) if isinstance(value, float) else value


@pytest.mark.parametrize("text", SCHEDULES)
def test_the_state_is_pytorchs_and_a_run_resumes_from_it(text: str, torch: Any) -> None:
    states, tails = [], []
    for library in (distrt, torch):
        optimizer = _optimizer(library)
        schedule = _schedule(library, text, optimizer)
        _run(optimizer, schedule, 33)
        states.append(copy.deepcopy(schedule.state_dict()))
        other = _optimizer(library)
        resumed = _schedule(library, text, other)
        other.load_state_dict(optimizer.state_dict())
        resumed.load_state_dict(copy.deepcopy(states[-1]))
        tails.append(_run(optimizer, schedule, 40))
        assert _run(other, resumed, 40)[1:] == tails[-1][1:]
    assert list(states[0]) == list(states[1])
    assert states[0] == _plain(states[1])
    np.testing.assert_allclose(tails[0], tails[1], rtol=1e-10, atol=1e-15)


CLOSED = [
    text
    for text in SCHEDULES
    if any(name in text for name in ("StepLR(", "Exp", "Const", "Lin", "Poly", "Cos"))
]


@pytest.mark.parametrize(
    "text", [text for text in CLOSED if "Sequential" not in text and "Chained" not in text]
)
def test_going_to_an_epoch_agrees_with_pytorch(text: str, torch: Any) -> None:
    rows = []
    for library in (distrt, torch):
        optimizer = _optimizer(library)
        schedule = _schedule(library, text, optimizer)
        optimizer.step()
        found = []
        for epoch in (3, 0, 7, None, 12, None, 100):
            quietly(schedule.step, *([] if epoch is None else [epoch]))
            found.append(_seen(optimizer, schedule))
        rows.append(found)
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-10, atol=1e-15)


def test_warm_restarts_take_fractions_of_an_epoch(torch: Any) -> None:
    rows = []
    for library in (distrt, torch):
        optimizer = _optimizer(library)
        schedule = library.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2)
        optimizer.step()
        found = []
        for tenth in range(250):
            quietly(schedule.step, tenth / 10)
            found.append(_seen(optimizer, schedule))
        rows.append(found)
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(
    "text",
    [text for text in SCHEDULES if not any(name in text for name in ("Seq", "Chain", "Cyc", "Restarts"))],
)
def test_a_schedule_begins_at_a_later_step(text: str, torch: Any) -> None:
    later = text[:-1] + ", last_epoch=11)"
    rows = []
    for library in (distrt, torch):
        optimizer = _optimizer(library)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        rows.append(_run(optimizer, _schedule(library, later, optimizer), 20))
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-10, atol=1e-15)


PLATEAUS = [
    {},
    {"mode": "min", "factor": 0.1, "patience": 10},
    {"mode": "max", "factor": 0.5, "patience": 2, "threshold": 0.1, "cooldown": 3},
    {"patience": 0, "threshold_mode": "abs", "threshold": 0.05, "min_lr": 0.01},
    {"mode": "max", "patience": 1, "threshold_mode": "abs", "min_lr": [0.02, 0.001], "eps": 1e-3},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_plateaus_agree_with_pytorch(options: dict[str, Any], torch: Any, rng: np.random.Generator) -> None:
    metrics = np.concatenate([np.linspace(1, 0.2, 30), rng.uniform(0.1, 0.4, 170)])
    rows, states = [], []
    for library in (distrt, torch):
        optimizer = _optimizer(library)
        schedule = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        found = []
        for number, metric in enumerate(metrics):
            optimizer.step()
            schedule.step(library.tensor(metric) if number % 2 else float(metric))
            found.append(
                [*_seen(optimizer, schedule), schedule.num_bad_epochs, schedule.best, schedule.in_cooldown]
            )
        rows.append(found)
        states.append(schedule.state_dict())
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-10)
    assert list(states[0]) == list(states[1])
    assert states[0] == _plain(states[1])


def test_a_tensor_as_learning_rate_is_written_into(torch: Any) -> None:
    for text in SCHEDULES[:18]:
        rows = []
        for library in (distrt, torch):
            parameter = library.nn.Parameter(library.ones(2))
            rate = library.tensor(0.1, dtype=library.float64)
            optimizer = library.optim.SGD([parameter], lr=rate)
            schedule = _schedule(
                library,
                text.replace("[lambda step: 1 / (1 + step), ", "[").replace("[lambda step: 0.9, ", "["),
                optimizer,
            )
            found = []
            for _ in range(12):
                optimizer.step()
                quietly(schedule.step)
                found.append(float(rate))
            assert optimizer.param_groups[0]["lr"] is rate
            rows.append(found)
        np.testing.assert_allclose(rows[0], rows[1], rtol=1e-10)


class _Warm:
    """A function with state of its own, which goes into the state_dict."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, step: int) -> float:
        return min(1.0, step / self.steps)


def test_the_attributes_of_callable_objects_are_state(torch: Any) -> None:
    for library in (distrt, torch):
        optimizer = _optimizer(library)
        schedule = library.optim.lr_scheduler.LambdaLR(optimizer, _Warm(10))
        state = schedule.state_dict()
        assert state["lr_lambdas"] == [{"steps": 10}, {"steps": 10}]
        other = library.optim.lr_scheduler.LambdaLR(_optimizer(library), _Warm(3))
        other.load_state_dict(state)
        assert other.lr_lambdas[0].steps == 10


ERRORS: list[Callable[[Any, Any], Any]] = [
    lambda s, o: s.StepLR(3, 1),
    lambda s, o: s.LambdaLR(o, [abs]),
    lambda s, o: s.MultiplicativeLR(o, 3),
    lambda s, o: s.ConstantLR(o, 1.5),
    lambda s, o: s.LinearLR(o, 0.0),
    lambda s, o: s.LinearLR(o, 0.5, 2.0),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 2.5),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 0),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, eta_min="a"),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 2).step(-1),
    lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"),
    lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    lambda s, o: s.OneCycleLR(o, 0.1),
    lambda s, o: s.OneCycleLR(o, 0.1, total_steps=-3),
    lambda s, o: s.OneCycleLR(o, 0.1, epochs=3, steps_per_epoch=0),
    lambda s, o: s.OneCycleLR(o, 0.1, total_steps=10, pct_start=2.0),
    lambda s, o: s.OneCycleLR(o, 0.1, total_steps=10, anneal_strategy="sin"),
    lambda s, o: [schedule := s.OneCycleLR(o, 0.1, total_steps=3), *(schedule.step() for _ in range(5))],
    lambda s, o: s.SequentialLR(o, [], []),
    lambda s, o: s.SequentialLR(o, [s.ConstantLR(o)], [3]),
    lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o), s.ConstantLR(o)], [3]),
    lambda s, o: s.SequentialLR(o, [3, 4], [3]),
    lambda s, o: s.ChainedScheduler([]),
    lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    lambda s, o: s.ReduceLROnPlateau(o, mode="less"),
    lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="percent"),
    lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
    lambda s, o: s.ReduceLROnPlateau(o).step(),
    lambda s, o: s.StepLR(o, 3, last_epoch=4),
    lambda s, o: s.LRScheduler(o),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_bad_arguments_raise_what_pytorch_raises(number: int, torch: Any) -> None:
    said = []
    for library in (distrt, torch):
        with warnings.catch_warnings(), pytest.raises(Exception) as caught:
            warnings.simplefilter("ignore")
            ERRORS[number](library.optim.lr_scheduler, _optimizer(library))
        said.append(caught)
    assert issubclass(said[0].type, said[1].type)
    if said[1].type is not NotImplementedError:
        assert str(said[0].value)[:60] == str(said[1].value)[:60]


def test_the_order_of_steps_is_warned_of(torch: Any) -> None:
    for library in (distrt, torch):
        schedules = library.optim.lr_scheduler
        optimizer = _optimizer(library)
        schedule = schedules.StepLR(optimizer, 3)
        with pytest.warns(UserWarning, match="before `optimizer.step"):
            schedule.step()
        optimizer = _optimizer(library)
        schedule = schedules.StepLR(optimizer, 3)
        optimizer.step = lambda: None
        with pytest.warns(UserWarning, match="has been overridden"):
            schedule.step()
        optimizer = _optimizer(library)
        schedule = schedules.StepLR(optimizer, 3)
        optimizer.step()
        schedule.step()
        with pytest.warns(UserWarning, match="get_last_lr"):
            schedule.get_lr()
        with pytest.warns(UserWarning, match="The epoch parameter"):
            schedule.step(4)


class _Halving:
    """The mixin of a schedule as users write it, on either library's base."""

    def get_lr(self: Any) -> list[float]:
        return [base * 0.5**self.last_epoch for base in self.base_lrs]


def test_schedules_of_users_work(torch: Any) -> None:
    rows = []
    for library in (distrt, torch):
        optimizer = _optimizer(library)
        for base in (library.optim.lr_scheduler.LRScheduler, library.optim.lr_scheduler._LRScheduler):
            schedule = type("Halving", (_Halving, base), {})(optimizer)
            rows.append(_run(optimizer, schedule, 5))
    assert rows[:2] == rows[2:]


def test_a_schedule_can_be_copied_and_pickled() -> None:
    optimizer = _optimizer(distrt)
    schedule = distrt.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    optimizer.step()
    schedule.step()
    copied = copy.deepcopy(schedule)
    assert copied.optimizer is not optimizer
    copied.step()
    assert copied.last_epoch == 2 and schedule.last_epoch == 1
    assert copied.optimizer.param_groups[0]["lr"] != optimizer.param_groups[0]["lr"]
    assert pickle.loads(pickle.dumps(schedule.state_dict())) == schedule.state_dict()


def test_watching_steps_keeps_no_optimizer_alive() -> None:
    import gc
    import weakref

    gc.disable()
    try:
        optimizer = _optimizer(distrt)
        schedule = distrt.optim.lr_scheduler.StepLR(optimizer, 3)
        gone = weakref.ref(optimizer)
        del optimizer, schedule
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("text", SCHEDULES)
def test_a_group_that_is_added_later_is_scheduled_as_in_pytorch(text: str, torch: Any) -> None:
    """As far as the schedule needs no initial rate of it; then both refuse, at the same step."""

    def run(library: Any) -> list[Any]:
        optimizer = _optimizer(library)
        schedule = _schedule(library, text, optimizer)
        rows: list[Any] = []
        for step in range(25):
            if step == 3:
                optimizer.add_param_group({"params": [library.nn.Parameter(library.ones(2))], "lr": 0.8})
            optimizer.step()
            try:
                quietly(schedule.step)
            except (ValueError, KeyError) as error:
                return [*rows, type(error).__name__]
            rows.append([float(group["lr"]) for group in optimizer.param_groups])
        return rows

    assert run(distrt) == [
        row if isinstance(row, str) else pytest.approx(row, rel=1e-9) for row in run(torch)
    ]
