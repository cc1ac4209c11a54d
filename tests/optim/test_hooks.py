"""Hooks around a step, around saving and around loading: when they run, in which order, and what they may change."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import distrt as torch
from distrt.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


@pytest.fixture
def optimizer() -> Any:
    return torch.optim.SGD([torch.ones(2, requires_grad=True)], lr=0.5)


def test_hooks_of_all_optimizers_stand_outside_those_of_one(optimizer: Any) -> None:
    calls: list[str] = []
    handles = [
        optimizer.register_step_post_hook(lambda *_: calls.append("own after")),
        optimizer.register_step_pre_hook(lambda *_: calls.append("own before")),
        register_optimizer_step_post_hook(lambda *_: calls.append("global after")),
        register_optimizer_step_pre_hook(lambda *_: calls.append("global before")),
    ]
    optimizer.step()
    assert calls == ["global before", "own before", "own after", "global after"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(calls) == 4


def test_a_pre_hook_may_replace_the_arguments(optimizer: Any) -> None:
    seen: list[Any] = []
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: (args, {"closure": lambda: 7.0}))
    optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append((opt, args, list(kwargs))))
    assert optimizer.step() == 7.0
    assert seen == [(optimizer, (optimizer,), ["closure"])]


def test_a_pre_hook_that_returns_something_else_is_refused(optimizer: Any) -> None:
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: 3)
    with pytest.raises(
        RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\), but got 3"
    ):
        optimizer.step()


def test_the_step_of_a_users_subclass_has_hooks_too() -> None:
    class Still(torch.optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})

        def step(self, closure: Any = None) -> str:
            """Does nothing."""
            return "done"

    calls: list[str] = []
    for _ in range(2):  # the second instance must not wrap the class again
        still = Still([torch.ones(1, requires_grad=True)])
        still.register_step_post_hook(lambda *_: calls.append("after"))
        assert still.step() == "done"
    assert calls == ["after", "after"]
    assert Still.step.__doc__ == "Does nothing."


def test_hooks_see_saving_and_loading_in_order(optimizer: Any) -> None:
    calls: list[str] = []

    def noted(name: str) -> Any:
        return lambda *_: calls.append(name)

    optimizer.register_state_dict_pre_hook(noted("before saving"))
    optimizer.register_state_dict_pre_hook(noted("first of all"), prepend=True)
    optimizer.register_state_dict_post_hook(noted("after saving"))
    optimizer.register_load_state_dict_pre_hook(noted("before loading"))
    optimizer.register_load_state_dict_post_hook(noted("after loading"))
    optimizer.register_load_state_dict_post_hook(noted("soon after loading"), prepend=True)
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == [
        "first of all",
        "before saving",
        "after saving",
        "before loading",
        "soon after loading",
        "after loading",
    ]


def test_hooks_may_replace_what_is_saved_and_loaded(optimizer: Any) -> None:
    optimizer.register_state_dict_post_hook(lambda opt, saved: {**saved, "extra": 1})
    saved = optimizer.state_dict()
    assert saved["extra"] == 1

    def faster(opt: Any, given: Any) -> Any:
        given["param_groups"] = [{**group, "lr": 2.0} for group in given["param_groups"]]

    optimizer.register_load_state_dict_pre_hook(faster)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 2.0
    assert saved["param_groups"][0]["lr"] == 0.5, "the hook gets a copy"
    optimizer.register_load_state_dict_pre_hook(
        lambda opt, given: {**given, "param_groups": saved["param_groups"]}
    )
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("again", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "NAdam", "RMSprop", "ASGD", "Adafactor", "LBFGS"])
def test_a_copy_is_a_working_optimizer_without_the_hooks(name: str, again: Any) -> None:
    p = torch.tensor([[1.0, -2.0]], requires_grad=True)
    options = {"momentum": 0.9} if name == "SGD" else {}
    first = getattr(torch.optim, name)([p], lr=0.1, **options)
    calls: list[Any] = []
    first.register_step_post_hook(calls.append)

    def closure(parameter: Any) -> Any:
        parameter.grad = None
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    first._optimizer_step_post_hooks.clear()
    first.step(lambda: closure(p))
    if name == "LBFGS":  # keeps its list of parameters apart, and PyTorch does not pickle that
        second = copy.deepcopy(first)
        assert second.state_dict()["state"][0]["n_iter"] == first.state_dict()["state"][0]["n_iter"]
        return
    second = again(first)
    q = second.param_groups[0]["params"][0]
    assert q is not p and list(second.state) == [q]
    assert repr(second) == repr(first)
    first.step(lambda: closure(p))
    second.step(lambda: closure(q))
    assert torch.equal(p, q)
    assert not second._optimizer_step_post_hooks
