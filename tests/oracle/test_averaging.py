"""Weight averaging against PyTorch: averages, running statistics, and the schedule that goes with them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import values
from tests.oracle.optimizer_table import carried

#: How the average is made: a function of swa_utils by name, and whether buffers are averaged too.
WAYS: dict[str, Any] = {
    "default": lambda t, u: {},
    "buffers": lambda t, u: {"use_buffers": True},
    "swa": lambda t, u: {"avg_fn": u.get_swa_avg_fn()},
    "ema": lambda t, u: {"avg_fn": u.get_ema_avg_fn(0.8)},
    "ema, buffers": lambda t, u: {"avg_fn": u.get_ema_avg_fn(), "use_buffers": True},
    "multi swa": lambda t, u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
    "multi ema": lambda t, u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.8)},
    "multi ema, buffers": lambda t, u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.4), "use_buffers": True},
    "user": lambda t, u: {"avg_fn": lambda average, value, count: t.maximum(average, value) + count},
    "device": lambda t, u: {"device": "cpu"},
}


def swa(library: Any) -> Any:
    return library.optim.swa_utils


def model(library: Any, momentum: float | None = 0.1) -> Any:
    made = library.nn.Sequential(
        library.nn.Linear(3, 4), library.nn.BatchNorm1d(4, momentum=momentum), library.nn.Linear(4, 2)
    ).double()
    rng = np.random.default_rng(7)
    with library.no_grad():
        for parameter in made.parameters():
            parameter.copy_(library.tensor(rng.standard_normal(tuple(parameter.shape))))
    return made


def batch(library: Any, seed: int) -> Any:
    return library.tensor(np.random.default_rng(seed).standard_normal((6, 3)))


def train(library: Any, trained: Any, steps: int, average: Any) -> None:
    optimizer = library.optim.SGD(trained.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        (trained(batch(library, step)) ** 2).mean().backward()
        optimizer.step()
        average.update_parameters(trained)


def assert_same(ours: Any, theirs: Any, rtol: float = 1e-12) -> None:
    mine, reference = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(reference)
    for key, value in reference.items():
        assert str(mine[key].dtype) == str(value.dtype)
        np.testing.assert_allclose(values(mine[key]), values(value), rtol, rtol, err_msg=key)


@pytest.mark.parametrize("way", WAYS)
def test_averages_agree_with_pytorch(way: str, torch: Any) -> None:
    averages = []
    for library in (distrt, torch):
        trained = model(library)
        average = swa(library).AveragedModel(trained, **WAYS[way](library, swa(library)))
        train(library, trained, 5, average)
        averages.append(average)
    assert_same(*averages)
    assert repr(averages[0]) == repr(averages[1])
    outputs = [
        average.eval()(batch(library, 99)) for average, library in zip(averages, (distrt, torch), strict=True)
    ]
    np.testing.assert_allclose(values(outputs[0]), values(outputs[1]), 1e-12, 1e-12)


def test_an_average_goes_on_in_the_other_library(torch: Any) -> None:
    trained, average = {}, {}
    for library in (distrt, torch):
        trained[library] = model(library)
        average[library] = swa(library).AveragedModel(trained[library])
    train(torch, trained[torch], 3, average[torch])
    average[distrt].load_state_dict(carried(dict(average[torch].state_dict()), torch, distrt))
    trained[distrt].load_state_dict(carried(dict(trained[torch].state_dict()), torch, distrt))
    for library in (distrt, torch):
        train(library, trained[library], 2, average[library])
    assert_same(average[distrt], average[torch])
    assert average[distrt].n_averaged.item() == 5


def test_the_copy_is_apart_from_the_model() -> None:
    trained = model(distrt)
    average = swa(distrt).AveragedModel(trained)
    before = copy.deepcopy(average.state_dict())
    with distrt.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1.0)
    for key, value in average.state_dict().items():
        assert distrt.equal(value, before[key])
    average.update_parameters(trained)
    for mine, theirs in zip(average.parameters(), trained.parameters(), strict=True):
        assert distrt.equal(mine, theirs) and mine is not theirs and mine.requires_grad


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("form", ["tensors", "pairs", "device"])
def test_statistics_are_computed_anew(form: str, momentum: Any, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        trained = model(library, momentum)
        trained(batch(library, 50))
        trained.eval()
        batches: list[Any] = [batch(library, seed) for seed in range(4)]
        if form == "pairs":
            batches = [(batches[0], None), [batches[1], None], (batches[2],), [batches[3]]]
        swa(library).update_bn(batches, trained, *(["cpu"] if form == "device" else []))
        assert not trained.training and trained[1].momentum == momentum
        found.append(trained)
    assert_same(*found)


def test_a_model_without_statistics_sees_no_batch() -> None:
    def loader() -> Any:
        raise AssertionError("a batch was asked for")
        yield

    swa(distrt).update_bn(loader(), distrt.nn.Linear(2, 2))


SCHEDULES: dict[str, Any] = {
    "cos": {"swa_lr": 0.05},
    "linear": {"swa_lr": 0.05, "anneal_epochs": 4, "anneal_strategy": "linear"},
    "at once": {"swa_lr": 0.05, "anneal_epochs": 0},
    "one step": {"swa_lr": 0.05, "anneal_epochs": 1},
    "each group": {"swa_lr": [0.05, 0.2], "anneal_epochs": 3},
}


def two_groups(library: Any) -> Any:
    params = [library.ones(2, requires_grad=True) for _ in range(2)]
    return library.optim.SGD([{"params": [params[0]], "lr": 0.3}, {"params": [params[1]]}], lr=0.1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedule_agrees_with_pytorch(name: str, torch: Any) -> None:
    rates: list[list[Any]] = []
    for library in (distrt, torch):
        optimizer = two_groups(library)
        schedule = swa(library).SWALR(optimizer, **SCHEDULES[name])
        rates.append([schedule.get_last_lr()])
        for step in range(12):
            optimizer.step()
            schedule.step()
            rates[-1].append(schedule.get_last_lr())
            if step == 4:  # another optimizer and schedule go on from here
                saved, states = optimizer.state_dict(), schedule.state_dict()
                assert "anneal_func" not in states and "optimizer" not in states
                optimizer = two_groups(library)
                schedule = swa(library).SWALR(optimizer, swa_lr=9.0)
                optimizer.load_state_dict(saved)
                schedule.load_state_dict(states)
    np.testing.assert_allclose(*rates, 1e-12)


def test_the_schedule_follows_another_one(torch: Any) -> None:
    rates: list[list[float]] = []
    for library in (distrt, torch):
        optimizer = two_groups(library)
        first = library.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        second = swa(library).SWALR(optimizer, swa_lr=0.01, anneal_epochs=3)
        rates.append([])
        for step in range(10):
            optimizer.step()
            (second if step > 4 else first).step()
            rates[-1] += [group["lr"] for group in optimizer.param_groups]
    np.testing.assert_allclose(*rates, 1e-12)


BAD: dict[str, Any] = {
    "decay below 0": lambda t: swa(t).get_ema_avg_fn(-0.1),
    "decay above 1": lambda t: swa(t).get_ema_multi_avg_fn(1.1),
    "two averages": lambda t: swa(t).AveragedModel(
        t.nn.Linear(2, 2), avg_fn=swa(t).get_swa_avg_fn(), multi_avg_fn=swa(t).get_swa_multi_avg_fn()
    ),
    "a strategy": lambda t: swa(t).SWALR(two_groups(t), 0.1, anneal_strategy="exp"),
    "negative epochs": lambda t: swa(t).SWALR(two_groups(t), 0.1, anneal_epochs=-1),
    "half an epoch": lambda t: swa(t).SWALR(two_groups(t), 0.1, anneal_epochs=0.5),
    "rates for three groups": lambda t: swa(t).SWALR(two_groups(t), [0.1, 0.2, 0.3]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_raise_what_pytorch_raises(name: str, torch: Any) -> None:
    with pytest.raises(Exception) as theirs:
        BAD[name](torch)
    with pytest.raises(theirs.type) as ours:
        BAD[name](distrt)
    assert str(ours.value) == str(theirs.value)


def test_momenta_are_put_back_where_a_batch_fails() -> None:
    model = distrt.nn.BatchNorm1d(3, momentum=0.25).eval()
    with pytest.raises(ValueError):
        distrt.optim.swa_utils.update_bn([distrt.ones(4, 3), distrt.ones(4)], model)
    assert model.momentum == 0.25
    assert not model.training
