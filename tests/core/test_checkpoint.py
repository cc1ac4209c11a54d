"""Checkpointing: the same gradients as without, less memory, and the second run is held to the first."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import pytest

import distrt as torch
from distrt import nn
from distrt.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    set_checkpoint_early_stop,
)


def _layers() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))


def _gradients(model: Any, run: Any, x: Any) -> list[Any]:
    model.zero_grad()
    torch.manual_seed(1)
    (run(model, x) ** 2).sum().backward()
    found = [p.grad.tolist() for p in model.parameters()]
    if x.requires_grad:
        found.append(x.grad.tolist())
        x.grad = None
    return [*found, torch.rand(2).tolist()]  # the stream goes on where it would have


RUNS = {
    "use_reentrant=False": lambda model, x: checkpoint(model, x, use_reentrant=False),
    "use_reentrant=True": lambda model, x: checkpoint(
        lambda value, needs_gradients: model(value), x, torch.ones(1, requires_grad=True), use_reentrant=True
    ),
    "without early stop": lambda model, x: checkpoint(model, x, early_stop=False),
    "keyword": lambda model, x: checkpoint(lambda *, value: model(value), value=x),
    "nested": lambda model, x: checkpoint(lambda y: model[3](checkpoint(model[:3], y)) * 1.0, x),
    "nested twice": lambda model, x: checkpoint(
        lambda y: checkpoint(
            lambda z: model[3](checkpoint(lambda w: model[2](model[1](w)), model[0](z))), y * 1.0
        ),
        x,
    ),
    "in parts": lambda model, x: checkpoint(model[3], checkpoint(model[2], checkpoint(model[:2], x))),
    "sequential": lambda model, x: checkpoint_sequential(model, 2, x, use_reentrant=False),
}


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_gradients_and_random_numbers_are_those_without_checkpointing(name: str, requires_grad: bool) -> None:
    model = _layers()
    x = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, 1.0]], requires_grad=requires_grad)
    assert _gradients(model, RUNS[name], x) == _gradients(model, lambda m, v: m(v), x)


def test_a_layer_trains_on_plain_data() -> None:
    layer = nn.Linear(3, 2)
    checkpoint(layer, torch.ones(1, 3)).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0] * 3] * 2


def test_nothing_is_kept_between_the_passes() -> None:
    alive: list[Any] = []

    def part(x: Any) -> Any:
        y = x.exp()
        alive.append(weakref.ref(y._array))
        return y.sin()

    gc.disable()
    try:
        x = torch.ones(4, requires_grad=True)
        out = checkpoint(part, x).sum()
        assert alive[0]() is None
        out.backward()
        assert len(alive) == 2
        assert alive[1]() is None
        node = weakref.ref(out.grad_fn)
        del out
        assert node() is None
    finally:
        gc.enable()
    assert x.grad.tolist() == pytest.approx([(x.exp().cos() * x.exp())[0].item()] * 4)


def test_a_kept_graph_is_computed_again_for_each_pass() -> None:
    runs: list[int] = []

    def part(x: Any) -> Any:
        runs.append(1)
        return x.exp()

    x = torch.tensor(0.0, requires_grad=True)
    out = checkpoint(part, x)
    out.backward(retain_graph=True)
    out.backward()
    assert (len(runs), x.grad.item()) == (3, 2.0)
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


def test_second_derivatives_pass_through() -> None:
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(checkpoint(lambda v: v**3, x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert (first.item(), second.item()) == (12.0, 12.0)


def test_tuples_and_other_arguments_pass_through() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    a, label, b = checkpoint(lambda v, n, names: (v**n, names[0], v * 3), x, 2, ["name"])
    assert label == "name"
    (a + b).backward()
    assert x.grad.item() == 7.0


def test_in_place_changes_inside_are_repeated() -> None:
    def part(v: Any) -> Any:
        y = v * 2
        y.mul_(v)
        y[0] = y[1]
        return y.exp_()

    x = torch.tensor([0.5, 0.25], requires_grad=True)
    checkpoint(part, x).sum().backward()
    found, x.grad = x.grad.tolist(), None
    part(x).sum().backward()
    assert found == x.grad.tolist()


def test_without_recording_the_function_just_runs() -> None:
    with torch.no_grad():
        out = checkpoint(lambda v: v * 2, torch.ones(2, requires_grad=True))
    assert not out.requires_grad


def test_an_argument_that_was_changed_is_noticed() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    out = checkpoint(lambda v: v.exp(), y)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_both_contexts_are_entered() -> None:
    entered: list[str] = []

    @contextlib.contextmanager
    def noting(name: str) -> Any:
        entered.append(name)
        yield

    x = torch.ones(2, requires_grad=True)
    out = checkpoint(lambda v: v.exp(), x, context_fn=lambda: (noting("forward"), noting("again")))
    assert entered == ["forward"]
    out.sum().backward()
    assert entered == ["forward", "again"]


def _changing(first: Any, then: Any) -> Any:
    calls: list[int] = []

    def part(x: Any) -> Any:
        calls.append(1)
        return first(x) if len(calls) == 1 else then(x)

    return part


def test_a_part_that_keeps_something_else_the_second_time_is_an_error() -> None:
    x = torch.ones(2, requires_grad=True)
    out = checkpoint(_changing(lambda v: v.exp(), lambda v: v * 2), x)
    with pytest.raises(CheckpointError, match="A different number of tensors was saved"):
        out.sum().backward()
    out = checkpoint(_changing(lambda v: v.exp(), lambda v: v[:1].exp()), x)
    with pytest.raises(CheckpointError, match="different metadata"):
        out.sum().backward()
    out = checkpoint(_changing(lambda v: v.exp(), lambda v: v.exp().exp()), x, early_stop=False)
    with pytest.raises(CheckpointError, match="more tensors during recomputation"):
        out.sum().backward()


def test_early_stop_ends_the_repetition() -> None:
    ends: list[int] = []

    def part(x: Any) -> Any:
        y = x.exp()
        ends.append(1)
        return y + 1

    for early, count in ((True, 1), (False, 2)):
        ends.clear()
        with set_checkpoint_early_stop(early):
            out = checkpoint(part, torch.ones(2, requires_grad=True))
        out.sum().backward()
        assert len(ends) == count


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        checkpoint(lambda v: v, torch.ones(1), determinism_check="strict")
    with pytest.raises(ValueError, match="Unexpected keyword arguments: debug"):
        checkpoint_sequential([], 1, torch.ones(1), debug=True)
