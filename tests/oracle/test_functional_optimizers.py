"""The functional forms of optimizers beside PyTorch's: a step on lists of tensors that the caller keeps."""

from __future__ import annotations

import copy
import importlib
import inspect
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.optimizer_table import TABLE

#: Optimizer -> its lists, in the function's order, by the names in its state.
LISTS = {
    "Adadelta": ("square_avg", "acc_delta", "step"),
    "Adagrad": ("sum", "step"),
    "Adam": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"),
    "AdamW": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"),
    "Adamax": ("exp_avg", "exp_inf", "step"),
    "ASGD": ("ax", "mu", "eta", "step"),
    "NAdam": ("exp_avg", "exp_avg_sq", "mu_product", "step"),
    "RAdam": ("exp_avg", "exp_avg_sq", "step"),
    "RMSprop": ("square_avg", "grad_avg", "momentum_buffer", "step"),
    "Rprop": ("prev", "step_size", "step"),
    "SGD": ("momentum_buffer",),
}
RUNS = [(name, options) for name in LISTS for options in TABLE[name]]
SHAPES = [(4, 3), (5,), (), (2, 0)]


def form(library: Any, name: str) -> Any:
    return getattr(importlib.import_module(f"{library.__name__}.optim.{name.lower()}"), name.lower())


def options_of(group: dict[str, Any], function: Any) -> dict[str, Any]:
    named = dict(group)
    for together, single in (
        ("betas", ("beta1", "beta2")),
        ("etas", ("etaminus", "etaplus")),
        ("step_sizes", ("step_size_min", "step_size_max")),
    ):
        if together in named:
            named.update(zip(single, named.pop(together), strict=True))
    known = inspect.signature(function).parameters
    return {option: value for option, value in named.items() if option in known and option != "params"}


@pytest.mark.ci
@pytest.mark.parametrize(
    ("name", "options"), RUNS, ids=[f"{name}-{place}" for place, (name, _) in enumerate(RUNS)]
)
def test_steps_agree_with_pytorch(name: str, options: Any, torch: Any, rng: Any) -> None:
    started = [torch.tensor(rng.standard_normal(shape)).requires_grad_() for shape in SHAPES]
    for each in started:
        each.grad = torch.tensor(rng.standard_normal(each.shape))
    reference = getattr(torch.optim, name)(started, **options)
    reference.step()  # which makes the state
    chosen = options_of(reference.param_groups[0], form(torch, name))
    lists = [
        [each for each in (reference.state[param].get(kept) for param in started) if each is not None]
        for kept in LISTS[name]
    ]
    if name == "SGD" and not lists[0]:
        lists = [[None] * len(SHAPES)]
    kept = [param.detach() for param in started]
    theirs = copy.deepcopy((kept, lists))
    ours = tuple(carried(each) for each in (kept, lists))
    versions = [each._version for each in ours[0]]
    for _ in range(4):
        grads = [rng.standard_normal(shape) for shape in SHAPES]
        form(torch, name)(theirs[0], [torch.tensor(each) for each in grads], *theirs[1], **chosen)
        form(distrt, name)(ours[0], [distrt.tensor(each) for each in grads], *ours[1], **chosen)
    assert_same(ours, theirs)
    assert all(each._version > before for each, before in zip(ours[0], versions, strict=True))


def test_the_first_step_of_a_momentum_puts_it_into_the_list(torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        param, grad, momenta = library.ones(3), library.full((3,), 2.0), [None]
        options = {"weight_decay": 0.1, "dampening": 0.5, "nesterov": False, "maximize": True}
        for _ in range(2):
            form(library, "SGD")([param], [grad], momenta, lr=0.1, momentum=0.9, **options)
        found.append(([param], [momenta]))
    assert_same(*found)


def test_a_scaled_step_divides_and_one_with_an_overflow_does_nothing() -> None:
    options = {"weight_decay": 0.0, "momentum": 0.0, "dampening": 0.0, "nesterov": False, "maximize": False}
    for overflow, expected in ((0.0, 0.5), (1.0, 1.0)):
        param = distrt.ones(1)
        scale, found = distrt.tensor(4.0), distrt.tensor(overflow)
        form(distrt, "SGD")(
            [param],
            [distrt.full((1,), 2.0)],
            [None],
            grad_scale=scale,
            found_inf=found,
            fused=True,
            lr=1.0,
            **options,
        )
        assert param.item() == expected


def test_gradients_flow_through_a_differentiable_step(torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        start = library.tensor([1.0, 2.0], requires_grad=True)
        param, grad = start * 1, start.square()
        moments = [[library.zeros(2)] for _ in range(2)]
        steps = [library.tensor(0.0)]
        numbers = {"beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-3}
        form(library, "Adam")(
            [param],
            [grad],
            *moments,
            [],
            steps,
            differentiable=True,
            amsgrad=False,
            maximize=False,
            **numbers,
        )
        param.sum().backward()
        found.append(start.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_counts_must_be_tensors(torch: Any) -> None:
    for library in (distrt, torch):
        one = [library.ones(1)]
        with pytest.raises(
            RuntimeError, match="`state_steps` argument must contain a list of singleton tensors"
        ):
            form(library, "RAdam")(one, one, one, one, [1], beta1=0, beta2=0, lr=1, weight_decay=0, eps=1)


def test_all_are_gathered_at_pytorchs_path() -> None:
    gathered = importlib.import_module("distrt.optim._functional")
    assert all(getattr(gathered, name.lower()) is form(distrt, name) for name in LISTS)


def carried(value: Any) -> Any:
    if isinstance(value, list):
        return [carried(each) for each in value]
    return None if value is None else distrt.tensor(value.numpy())


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, list | tuple):
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif theirs is None:
        assert ours is None
    else:
        np.testing.assert_allclose(
            ours.numpy(), theirs.numpy(), rtol=1e-10 if theirs.dtype.itemsize == 8 else 1e-6
        )
