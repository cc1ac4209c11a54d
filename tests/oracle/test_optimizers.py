"""SGD and Adam against PyTorch: 50 steps with every option, the layout of their state, and loading PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import values

SHAPES = [(4, 3), (5,), (), (2, 0), (3, 2, 2)]
PRECISION = {"float64": 1e-10, "float32": 1e-5}

SGD = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.02},
    {"lr": 0.1, "maximize": True, "weight_decay": 0.1},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "dampening": 0.3},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.01, "momentum": 0.5, "dampening": 0.1, "maximize": True, "weight_decay": 0.01},
    {},
]
ADAM = [
    {},
    {"lr": 0.05},
    {"lr": 0.05, "betas": (0.5, 0.7), "eps": 1e-3},
    {"lr": 0.05, "weight_decay": 0.1},
    {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True},
    {"lr": 0.05, "amsgrad": True, "betas": (0.9, 0.5)},
    {"lr": 0.05, "amsgrad": True, "maximize": True, "weight_decay": 0.01},
    {"lr": 0.05, "betas": (0.0, 0.0)},
]
OPTIMIZERS = [("SGD", options) for options in SGD] + [("Adam", options) for options in ADAM]
NAMED = [f"{name}({', '.join(f'{k}={v}' for k, v in options.items())})" for name, options in OPTIMIZERS]


class Run:
    """The same parameters in one library, and a convex loss whose minimum jumps about."""

    def __init__(self, library: Any, arrays: list[np.ndarray[Any, Any]]) -> None:
        self.library = library
        self.parameters = [library.tensor(array).requires_grad_() for array in arrays]

    def backward(self, step: int) -> None:
        """The last parameter gets a gradient in every other step only."""
        rng = np.random.default_rng(step)
        for number, parameter in enumerate(self.parameters):
            drawn = np.asarray(rng.standard_normal(tuple(parameter.shape)))
            if number == len(self.parameters) - 1 and step % 2:
                continue
            target = self.library.from_numpy(drawn).to(parameter.dtype)
            ((parameter * target).sum() + (parameter * parameter).sum() / 20).backward()


def _runs(torch: Any, dtype: str, seed: int) -> tuple[Run, Run]:
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]
    return Run(distrt, arrays), Run(torch, arrays)


def _assert_equal(ours: Any, theirs: Any, rtol: float) -> None:
    for mine, reference in zip(ours, theirs, strict=True):
        assert str(mine.dtype) == str(reference.dtype)
        np.testing.assert_allclose(values(mine), values(reference), rtol, rtol)


def _step(optimizer: Any, run: Run, step: int) -> None:
    optimizer.zero_grad()
    run.backward(step)
    optimizer.step()


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=NAMED)
def test_fifty_steps_agree_with_pytorch(name: str, options: Any, dtype: str, torch: Any, seed: int) -> None:
    if options.get("betas") == (0.0, 0.0):
        dtype = "float64"  # each step is lr times a sign: near 0, float32 rounding alone decides it
    ours, theirs = _runs(torch, dtype, seed)
    mine = getattr(distrt.optim, name)(ours.parameters, **options)
    reference = getattr(torch.optim, name)(theirs.parameters, **options)
    for step in range(50):
        _step(mine, ours, step)
        _step(reference, theirs, step)
    _assert_equal(ours.parameters, theirs.parameters, PRECISION[dtype])


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=NAMED)
def test_state_is_laid_out_as_in_pytorch(name: str, options: Any, torch: Any, seed: int) -> None:
    ours, theirs = _runs(torch, "float64", seed)
    mine = getattr(distrt.optim, name)(ours.parameters, **options)
    reference = getattr(torch.optim, name)(theirs.parameters, **options)
    assert str(mine.state_dict()) == str(reference.state_dict()), "before the first step"
    for step in range(3):
        _step(mine, ours, step)
        _step(reference, theirs, step)
    state, expected = mine.state_dict(), reference.state_dict()
    assert state["param_groups"] == expected["param_groups"]
    assert list(state["state"]) == list(expected["state"])
    for number, entries in expected["state"].items():
        found = state["state"][number]
        assert list(found) == list(entries)
        for key, value in entries.items():
            if value is None:
                assert found[key] is None
                continue
            assert (tuple(found[key].shape), str(found[key].dtype)) == (
                tuple(value.shape),
                str(value.dtype),
            ), key
            np.testing.assert_allclose(values(found[key]), values(value), 1e-12, 1e-12, err_msg=key)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=NAMED)
def test_a_run_goes_on_from_pytorchs_state(name: str, options: Any, torch: Any, seed: int) -> None:
    ours, theirs = _runs(torch, "float64", seed)
    reference = getattr(torch.optim, name)(theirs.parameters, **options)
    for step in range(5):
        _step(reference, theirs, step)
    for parameter, source in zip(ours.parameters, theirs.parameters, strict=True):
        parameter.data = distrt.from_numpy(source.detach().numpy().copy())
    mine = getattr(distrt.optim, name)(ours.parameters, lr=123.0)
    mine.load_state_dict(_carried(reference.state_dict(), torch))
    for step in range(5, 10):
        _step(mine, ours, step)
        _step(reference, theirs, step)
    _assert_equal(ours.parameters, theirs.parameters, 1e-10)


def _carried(value: Any, torch: Any) -> Any:
    """PyTorch's tensors as distrt's, inside dicts and lists."""
    if isinstance(value, torch.Tensor):
        return distrt.tensor(value.numpy())
    if isinstance(value, dict):
        return {key: _carried(each, torch) for key, each in value.items()}
    return [_carried(each, torch) for each in value] if isinstance(value, list) else value


def test_groups_have_options_of_their_own(torch: Any, seed: int) -> None:
    ours, theirs = _runs(torch, "float64", seed)
    made = []
    for library, run in ((distrt, ours), (torch, theirs)):
        first, second, *rest = run.parameters
        groups = [{"params": [first], "lr": 0.5}, {"params": second, "momentum": 0.9, "nesterov": True}]
        made.append(library.optim.SGD(groups, lr=0.01, weight_decay=0.1))
        made[-1].add_param_group({"params": rest, "weight_decay": 0})
    for step in range(10):
        for optimizer, run in zip(made, (ours, theirs), strict=True):
            for group in optimizer.param_groups:
                group["lr"] *= 0.9  # as a scheduler does
            _step(optimizer, run, step)
    _assert_equal(ours.parameters, theirs.parameters, 1e-10)
    assert made[0].state_dict()["param_groups"] == made[1].state_dict()["param_groups"]
    assert repr(made[0]) == repr(made[1])


def test_named_parameters_are_accepted(torch: Any) -> None:
    layouts = []
    for library in (distrt, torch):
        model = library.nn.Linear(3, 2)
        layouts.append(library.optim.Adam(model.named_parameters()).state_dict()["param_groups"])
    assert layouts[0] == layouts[1]


def test_half_precision_parameters_are_updated_in_their_own_dtype(torch: Any) -> None:
    for name, dtype in itertools.product(("SGD", "Adam"), ("float16", "bfloat16")):
        results = []
        for library in (distrt, torch):
            p = library.tensor([1.0, -2.0, 0.5], dtype=getattr(library, dtype)).requires_grad_()
            optimizer = getattr(library.optim, name)([p], lr=0.1)
            for _ in range(3):
                optimizer.zero_grad()
                (p * p).sum().backward()
                optimizer.step()
            results.append(p)
        assert str(results[0].dtype) == str(results[1].dtype)
        np.testing.assert_allclose(values(results[0]), values(results[1]), 2e-2)


BAD = {
    "negative lr": lambda t, p: t.optim.SGD([p], lr=-1.0),
    "negative momentum": lambda t, p: t.optim.SGD([p], lr=0.1, momentum=-0.1),
    "negative weight decay": lambda t, p: t.optim.SGD([p], lr=0.1, weight_decay=-0.1),
    "nesterov without momentum": lambda t, p: t.optim.SGD([p], lr=0.1, nesterov=True),
    "nesterov with dampening": lambda t, p: t.optim.SGD(
        [p], lr=0.1, nesterov=True, momentum=0.5, dampening=0.1
    ),
    "Adam lr": lambda t, p: t.optim.Adam([p], lr=-1.0),
    "Adam eps": lambda t, p: t.optim.Adam([p], eps=-1.0),
    "Adam beta 0": lambda t, p: t.optim.Adam([p], betas=(1.0, 0.9)),
    "Adam beta 1": lambda t, p: t.optim.Adam([p], betas=(0.9, -0.1)),
    "Adam weight decay": lambda t, p: t.optim.Adam([p], weight_decay=-0.1),
    "no parameters": lambda t, p: t.optim.SGD([], lr=0.1),
    "one tensor": lambda t, p: t.optim.SGD(p, lr=0.1),
    "a set": lambda t, p: t.optim.SGD([{"params": {p}}], lr=0.1),
    "some names": lambda t, p: t.optim.SGD([("p", p), p * 1], lr=0.1),
    "named after unnamed": lambda t, p: t.optim.SGD([p], lr=0.1).add_param_group(
        {"params": [("q", t.ones(1, requires_grad=True))]}
    ),
    "no tensors": lambda t, p: t.optim.SGD([1, 2], lr=0.1),
    "a computed tensor": lambda t, p: t.optim.SGD([p * 2], lr=0.1),
    "a group that is no dict": lambda t, p: t.optim.SGD([p], lr=0.1).add_param_group([p]),
    "a parameter twice": lambda t, p: t.optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1),
    "another number of groups": lambda t, p: t.optim.SGD([p]).load_state_dict(
        {"state": {}, "param_groups": []}
    ),
    "another size of group": lambda t, p: t.optim.SGD([p]).load_state_dict(
        {"state": {}, "param_groups": [{"params": [0, 1]}]}
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_raise_what_pytorch_raises(name: str, torch: Any) -> None:
    with pytest.raises(Exception) as theirs:
        BAD[name](torch, torch.ones(2, requires_grad=True))
    with pytest.raises(theirs.type) as ours:
        BAD[name](distrt, distrt.ones(2, requires_grad=True))
    assert str(ours.value).split(" ")[:3] == str(theirs.value).split(" ")[:3]


def test_a_learning_rate_may_be_a_tensor(torch: Any) -> None:
    results = []
    for library in (distrt, torch):
        p = library.tensor([1.0, 2.0], requires_grad=True)
        for name in ("SGD", "Adam"):
            optimizer = getattr(library.optim, name)([p], lr=library.tensor(0.5))
            (p * p).sum().backward()
            optimizer.step()
        results.append(p.tolist())
    assert results[0] == pytest.approx(results[1])


def test_a_parameter_twice_in_one_group_warns(torch: Any) -> None:
    for library in (distrt, torch):
        p = library.ones(2, requires_grad=True)
        with pytest.warns(UserWarning, match="duplicate parameters"):
            library.optim.SGD([p, p])
