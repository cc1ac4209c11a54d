"""``GradScaler`` beside PyTorch's: scales, steps and errors over any course of training, and what is saved."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import distrt
from distrt.amp import Overflow, agree_on, forget_agreement
from tests.oracles import require_torch

TORCH = require_torch()
LIBRARIES = (distrt, TORCH)


class Course:
    """One library's scaler with two optimizers, and what it has been through, written down."""

    def __init__(self, t: Any, fused: bool = False, **options: Any) -> None:
        self.t = t
        self.scaler = t.amp.GradScaler("cpu", **options)
        self.params = [t.nn.Parameter(t.ones(3)) for _ in range(2)]
        self.optimizers = [t.optim.SGD([each], lr=0.25, fused=fused) for each in self.params]
        self.log: list[Any] = []

    def run(self, action: str, which: int = 0, value: float = 1.0) -> None:
        """Does one thing and writes down what came of it."""
        optimizer, param = self.optimizers[which], self.params[which]
        try:
            if action == "backward":
                param.grad = None
                self.scaler.scale((param * self.t.tensor(value)).sum()).backward()
            elif action == "unscale":
                self.scaler.unscale_(optimizer)
            elif action == "step":
                self.scaler.step(optimizer)
            elif action == "update":
                self.scaler.update()
            elif action == "set":
                self.scaler.update(value)
            elif action == "reload":
                state = self.scaler.state_dict()
                self.scaler = self.t.amp.GradScaler("cpu")
                self.scaler.load_state_dict(state)
            elif action == "pickle":
                self.scaler = pickle.loads(pickle.dumps(self.scaler))
        except (RuntimeError, AssertionError, ValueError) as error:
            self.log.append(str(error))
        grad = None if param.grad is None else param.grad.tolist()
        self.log.append((repr(self.scaler.state_dict()), repr(param.tolist()), repr(grad)))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["backward", "backward", "unscale", "step", "step", "update", "update", "set", "reload", "pickle"]
        ),
        st.integers(0, 1),
        st.sampled_from([1.0, 0.5, math.inf, math.nan, 1e30, 2.0]),
    ),
    max_size=30,
)


@given(
    actions=ACTIONS,
    growth_interval=st.integers(1, 4),
    factors=st.sampled_from([(2.0, 0.5), (3.0, 0.1), (1.5, 0.75)]),
    init_scale=st.sampled_from([2.0**16, 1.0, 3e38]),
    fused=st.booleans(),
)
def test_any_course_goes_as_in_pytorch(
    actions: Any, growth_interval: int, factors: tuple[float, float], init_scale: float, fused: bool
) -> None:
    logs = []
    for t in LIBRARIES:
        course = Course(
            t,
            fused,
            init_scale=init_scale,
            growth_factor=factors[0],
            backoff_factor=factors[1],
            growth_interval=growth_interval,
        )
        for action in actions:
            course.run(*action)
        logs.append(course.log)
    assert logs[0] == logs[1]


def test_two_hundred_iterations_with_random_infinities_go_as_in_pytorch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = [[math.inf if rng.random() < 0.1 else 1.0 for _ in range(2)] for _ in range(200)]
    logs = []
    for t in LIBRARIES:
        course = Course(t, init_scale=1024.0, growth_interval=7)
        for pair in values:
            for which, value in enumerate(pair):
                course.run("backward", which, value)
            course.run("unscale", 1)
            for which in range(2):
                course.run("step", which)
            course.run("update")
        logs.append(course.log)
    assert logs[0] == logs[1]


def _scaler(t: Any, **options: Any) -> Any:
    return t.amp.GradScaler("cpu", **options)


def _with_gradient(t: Any, grad: Any) -> tuple[Any, Any]:
    """A scaler that has scaled, and an optimizer over a parameter with this gradient."""
    scaler, param = _scaler(t), t.nn.Parameter(t.ones(2, dtype=grad.dtype))
    scaler.scale(t.ones(1))
    param.grad = grad
    return scaler, t.optim.SGD([param], lr=1.0)


def _unscaled(t: Any, grad: Any) -> Any:
    scaler, optimizer = _with_gradient(t, grad)
    scaler.unscale_(optimizer)
    param = optimizer.param_groups[0]["params"][0]
    return param.grad.dtype, param.grad.tolist(), scaler._found_inf_per_device(optimizer)


class _Scaling:
    """An optimizer that takes care of the scale itself."""

    _step_supports_amp_scaling = True

    def __init__(self, t: Any, grad: float) -> None:
        param = t.nn.Parameter(t.ones(1))
        param.grad = t.tensor([grad])
        self.param_groups = [{"params": [param]}]

    def step(self) -> Any:
        return self.grad_scale, self.found_inf  # type: ignore[attr-defined]


class _TakingTheScaler(_Scaling):
    def step(self, grad_scaler: Any = None) -> Any:  # type: ignore[override]
        return type(grad_scaler).__name__


def _self_scaling(t: Any, kind: type[_Scaling], grad: float, unscale: bool = False) -> Any:
    scaler, optimizer = _scaler(t), kind(t, grad)
    scaler.scale(t.ones(1))
    if unscale:
        scaler.unscale_(optimizer)
    return (
        scaler.step(optimizer),
        hasattr(optimizer, "grad_scale"),
        optimizer.param_groups[0]["params"][0].grad,
    )


def _loaded(t: Any) -> Any:
    scaler = _scaler(t)
    scaler.scale(t.ones(1))
    state = {
        "scale": 8.0,
        "growth_factor": 3.0,
        "backoff_factor": 0.25,
        "growth_interval": 5,
        "_growth_tracker": 2,
    }
    scaler.load_state_dict(state)
    return scaler.state_dict(), scaler.get_scale(), scaler._get_growth_tracker()


SCENES: dict[str, Callable[[Any], Any]] = {
    "cuda": lambda t: (s := t.amp.GradScaler(), s.is_enabled(), s.state_dict(), s.get_scale())[1:],
    "cuda, disabled": lambda t: t.amp.GradScaler(enabled=False).is_enabled(),
    "torch.cuda.amp": lambda t: (s := t.cuda.amp.GradScaler(), s.is_enabled(), s.scale(3))[1:],
    "torch.cpu.amp": lambda t: (s := t.cpu.amp.GradScaler(init_scale=4.0), s.is_enabled(), s.get_scale())[1:],
    "growth": lambda t: _scaler(t, growth_factor=1.0),
    "backoff": lambda t: _scaler(t, backoff_factor=1.0),
    "growth, disabled": lambda t: _scaler(t, growth_factor=1.0, enabled=False).is_enabled(),
    "getters": lambda t: (
        s := _scaler(t),
        s.get_growth_factor(),
        s.get_backoff_factor(),
        s.get_growth_interval(),
        s.set_growth_factor(3.0),
        s.set_backoff_factor(0.1),
        s.set_growth_interval(5),
        s.state_dict(),
    )[1:],
    "a disabled one's growth": lambda t: _scaler(t, enabled=False).get_growth_factor(),
    "a disabled one": lambda t: (
        s := _scaler(t, enabled=False),
        s.scale(2),
        s.update(),
        s.get_scale(),
        s.state_dict(),
        s.load_state_dict({}),
        s.unscale_(None),
        s._get_growth_tracker(),
    )[1:],
    "scale": lambda t: _scaler(t).scale(t.tensor([1.0, 2.0])),
    "scale bfloat16": lambda t: _scaler(t).scale(t.ones(1, dtype=t.bfloat16)),
    "scale a bfloat16 number": lambda t: _scaler(t).scale(t.ones((), dtype=t.bfloat16)),
    "scale float16": lambda t: _scaler(t).scale(t.ones(2, dtype=t.float16)),
    "scale float64": lambda t: _scaler(t).scale(t.ones(2, dtype=t.float64)),
    "scale integers": lambda t: _scaler(t).scale(t.ones(2, dtype=t.int64)),
    "scale lists": lambda t: _scaler(t, init_scale=4.0).scale([t.ones(1), (t.ones(()), [t.ones(2)])]),
    "scale an iterator": lambda t: list(_scaler(t, init_scale=4.0).scale(iter([t.ones(1)]))),
    "scale a number": lambda t: _scaler(t).scale(3.0),
    "scale a list of numbers": lambda t: _scaler(t).scale([3.0]),
    "update first": lambda t: _scaler(t).update(),
    "step first": lambda t: _scaler(t).step(None),
    "unscale_ first": lambda t: _scaler(t).unscale_(None),
    "update without a look": lambda t: (s := _scaler(t), s.scale(t.ones(1)), s.update()),
    "update with an int": lambda t: (s := _scaler(t), s.scale(t.ones(1)), s.update(3)),
    "update with a tensor": lambda t: (
        s := _scaler(t),
        s.scale(t.ones(1)),
        s.update(t.tensor(8.0)),
        s.get_scale(),
    )[2:],
    "update with two": lambda t: (s := _scaler(t), s.scale(t.ones(1)), s.update(t.ones(2))),
    "update with a gradient": lambda t: (
        s := _scaler(t),
        s.scale(t.ones(1)),
        s.update(t.ones((), requires_grad=True)),
    ),
    "no gradient": lambda t: (
        s := _scaler(t),
        s.scale(t.ones(1)),
        s.step(t.optim.SGD([t.nn.Parameter(t.ones(1))], lr=1.0)),
    ),
    "float16 gradients": lambda t: _unscaled(t, t.ones(2, dtype=t.float16)),
    "bfloat16 gradients": lambda t: _unscaled(t, t.full((2,), 65536.0, dtype=t.bfloat16)),
    "float64 gradients": lambda t: _unscaled(t, t.full((2,), 65536.0, dtype=t.float64)),
    "infinite gradients": lambda t: _unscaled(t, t.tensor([math.inf, 65536.0])),
    "NaN": lambda t: _unscaled(t, t.tensor([math.nan, 65536.0])),
    "a closure": lambda t: (lambda s, o: s.step(o, closure=lambda: 1))(*_with_gradient(t, t.ones(2))),
    "a closure by position": lambda t: (lambda s, o: s.step(o, lambda: 7))(*_with_gradient(t, t.ones(2))),
    "the step's result": lambda t: (lambda s, o: s.step(o))(*_with_gradient(t, t.ones(2))),
    "no closure while disabled": lambda t: _scaler(t, enabled=False).step(
        t.optim.SGD([t.nn.Parameter(t.ones(1))], lr=1.0), closure=lambda: 7
    ),
    "scales itself": lambda t: _self_scaling(t, _Scaling, 2.0),
    "scales itself, infinite": lambda t: _self_scaling(t, _Scaling, math.inf),
    "scales itself, unscaled": lambda t: _self_scaling(t, _Scaling, 65536.0, unscale=True),
    "takes the scaler": lambda t: _self_scaling(t, _TakingTheScaler, 2.0),
    "empty state": lambda t: _scaler(t).load_state_dict({}),
    "half a state": lambda t: _scaler(t).load_state_dict({"scale": 1.0}),
    "loaded": _loaded,
    "pickled in the middle": lambda t: pickle.dumps(
        (lambda s, o: (s.unscale_(o), s)[1])(*_with_gradient(t, t.ones(2)))
    ),
    "copied": lambda t: copy.deepcopy(_scaler(t, init_scale=4.0)).state_dict(),
    "states": lambda t: [(each.name, each.value) for each in t.amp.grad_scaler.OptState],
}


@pytest.mark.parametrize("name", SCENES)
def test_scene_goes_as_in_pytorch(name: str) -> None:
    outcomes = []
    for t in LIBRARIES:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = repr(SCENES[name](t)).replace("distrt", "torch")
            except (RuntimeError, AssertionError, ValueError, KeyError, AttributeError, TypeError) as error:
                found = f"{type(error).__name__}: {error}"
        outcomes.append((found, [(each.category, str(each.message)) for each in caught]))
    assert outcomes[0] == outcomes[1]


# Agreement of ranks, which PyTorch leaves to data parallelism


class _Ranks:
    """A group whose other ranks have said already what they found."""

    def __init__(self, rank: int, others: list[list[float]]) -> None:
        self.rank, self._others, self.calls = rank, others, 0

    def maximum(self, values: np.ndarray[Any, Any]) -> None:
        self.calls += 1
        values[:] = np.max([values, *self._others], axis=0)


_NOTHING = [-math.inf, 1.0]


def _trained(others: list[list[float]], grads: list[float | None], rank: int = 1) -> tuple[Any, Any, _Ranks]:
    scaler = distrt.amp.GradScaler("cpu")
    params = [distrt.nn.Parameter(distrt.ones(1)) for _ in grads]
    group = _Ranks(rank, others)
    agree_on(params, group)
    optimizer = distrt.optim.SGD(
        [("first", params[0]), *((f"p{n}", p) for n, p in enumerate(params[1:]))], lr=1.0
    )
    scaler.scale(distrt.ones(1))
    for param, grad in zip(params, grads, strict=True):
        param.grad = None if grad is None else distrt.tensor([grad])
    scaler.step(optimizer)
    scaler.update()
    return scaler, params, group


def test_an_overflow_of_another_rank_skips_the_step_here() -> None:
    theirs = [-float(1 * 2**20 + 3), 0.0]  # parameter 1 on rank 3
    scaler, params, group = _trained([theirs], [1.0, 1.0])
    assert [each.item() for each in params] == [1.0, 1.0]
    assert scaler.get_scale() == 2.0**15
    assert scaler.overflow == Overflow(0, 1, "p0", 3, 2.0**16)
    assert group.calls == 1


def test_an_overflow_reaches_a_rank_without_gradients() -> None:
    scaler, _, _ = _trained([[-3.0, 0.0]], [None])
    assert scaler.get_scale() == 2.0**15


def test_the_first_parameter_and_its_lowest_rank_are_named() -> None:
    scaler, _, _ = _trained([[-float(1 * 2**20 + 0), 0.0], _NOTHING], [math.nan, math.inf], rank=2)
    assert scaler.overflow == Overflow(0, 0, "first", 2, 2.0**16)


def test_what_all_ranks_found_names_no_rank() -> None:
    scaler, _, _ = _trained([[-0.0, 0.0]], [math.inf])
    assert scaler.overflow.rank is None


def test_ranks_that_found_nothing_step() -> None:
    scaler, params, group = _trained([_NOTHING], [2.0**16])
    assert params[0].item() == 0.0
    assert (scaler.overflow, group.calls) == (None, 1)


def test_a_forgotten_agreement_is_not_asked() -> None:
    scaler, params, group = _trained([_NOTHING], [1.0])
    forget_agreement(params)
    scaler.scale(distrt.ones(1))
    scaler.step(distrt.optim.SGD(params, lr=1.0))
    assert group.calls == 1


def test_one_process_names_the_parameter_that_overflowed() -> None:
    model = distrt.nn.Sequential(distrt.nn.Linear(2, 2), distrt.nn.Linear(2, 1))
    optimizer = distrt.optim.SGD(model.named_parameters(), lr=1.0)
    scaler = distrt.amp.GradScaler("cpu")
    scaler.scale(model(distrt.ones(1, 2)).sum()).backward()
    model[1].weight.grad[0, 1] = math.inf
    scaler.step(optimizer)
    assert scaler.overflow == Overflow(0, 2, "1.weight", None, 2.0**16)
    scaler.update()
    assert pickle.loads(pickle.dumps(scaler)).overflow == scaler.overflow
