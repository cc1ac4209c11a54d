"""L-BFGS against PyTorch: the same path, the same calls of the closure, the same state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import values
from tests.oracle.optimizer_table import carried

OPTIONS: list[dict[str, Any]] = [
    {},
    {"lr": 0.5, "max_iter": 4},
    {"lr": 0.5, "max_iter": 1},
    {"history_size": 2, "max_iter": 7},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "lr": 0.1},
    {"line_search_fn": "strong_wolfe", "lr": 20.0, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_eval": 5},
    {"tolerance_grad": 1.0},
    {"tolerance_change": 0.5, "max_iter": 30},
]


class Problem:
    """Rosenbrock's valley in one library, over tensors of several shapes, one of them without a gradient."""

    def __init__(self, library: Any, is_complex: bool = False) -> None:
        rng = np.random.default_rng(3)
        shapes = [(2, 2), (), (3,)]
        arrays = [np.asarray(rng.standard_normal(shape)) * 0.5 for shape in shapes]
        if is_complex:
            arrays = [array + 0.1j * array for array in arrays]
        self.library = library
        self.parameters = [library.tensor(array).requires_grad_() for array in arrays]
        self.calls = 0

    def optimizer(self, **options: Any) -> Any:
        return self.library.optim.LBFGS(self.parameters, **options)

    def closure(self, optimizer: Any) -> Any:
        def evaluate() -> Any:
            self.calls += 1
            optimizer.zero_grad()
            flat = self.library.cat([p.reshape(-1) for p in self.parameters[:2]])
            if flat.is_complex():
                flat = self.library.view_as_real(flat).reshape(-1)
            loss = (3 * (flat[1:] - flat[:-1] ** 2) ** 2 + (1 - flat[:-1]) ** 2).sum()
            loss.backward()
            return loss

        return evaluate

    def step(self, optimizer: Any) -> float:
        return optimizer.step(self.closure(optimizer)).item()


def assert_same_state(mine: Any, reference: Any) -> None:
    assert list(mine) == list(reference)
    for key, value in reference.items():
        _assert_same(mine[key], value, key)


def _assert_same(mine: Any, reference: Any, what: str) -> None:
    if isinstance(reference, list):
        assert len(mine) == len(reference), what
        for each, other in zip(mine, reference, strict=True):
            _assert_same(each, other, what)
    elif hasattr(reference, "shape"):
        assert tuple(mine.shape) == tuple(reference.shape) and str(mine.dtype) == str(reference.dtype), what
        np.testing.assert_allclose(values(mine), values(reference), 1e-9, 1e-9, err_msg=what)
    elif reference is None:
        assert mine is None, what
    else:
        assert type(mine) is type(reference), what
        assert mine == pytest.approx(reference, rel=1e-9, abs=1e-9), what


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_path_and_the_state_are_pytorchs(options: Any, is_complex: bool, torch: Any) -> None:
    ours, theirs = Problem(distrt, is_complex), Problem(torch, is_complex)
    mine, reference = ours.optimizer(**options), theirs.optimizer(**options)
    for _ in range(5):
        assert ours.step(mine) == pytest.approx(theirs.step(reference), rel=1e-9, abs=1e-9)
        assert ours.calls == theirs.calls
        for p, q in zip(ours.parameters, theirs.parameters, strict=True):
            np.testing.assert_allclose(values(p), values(q), 1e-9, 1e-9)
        assert list(mine.state_dict()["state"]) == [0]
        assert_same_state(mine.state_dict()["state"][0], reference.state_dict()["state"][0])


@pytest.mark.parametrize(
    "options", [{"max_iter": 4}, {"line_search_fn": "strong_wolfe", "max_iter": 4}], ids=str
)
@pytest.mark.parametrize("is_from_pytorch", [True, False])
def test_a_run_goes_on_in_the_other_library(options: Any, is_from_pytorch: bool, torch: Any) -> None:
    first, second = Problem(torch), Problem(distrt)
    if not is_from_pytorch:
        first, second = second, first
    leading, following = first.optimizer(**options), second.optimizer()
    for _ in range(2):
        first.step(leading)
    for p, q in zip(second.parameters, first.parameters, strict=True):
        p.data = carried(q, first.library, second.library)
    following.load_state_dict(carried(leading.state_dict(), first.library, second.library))
    for _ in range(2):
        first.step(leading)
        second.step(following)
    for p, q in zip(second.parameters, first.parameters, strict=True):
        np.testing.assert_allclose(values(p), values(q), 1e-9, 1e-9)


def test_a_step_needs_a_closure_and_one_group(torch: Any) -> None:
    for library in (distrt, torch):
        p, q = library.ones(2, requires_grad=True), library.ones(2, requires_grad=True)
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'closure'"):
            library.optim.LBFGS([p]).step()
        with pytest.raises(ValueError, match=r"LBFGS doesn't support per-parameter options"):
            library.optim.LBFGS([{"params": [p]}, {"params": [q]}])
        optimizer = library.optim.LBFGS([p], line_search_fn="wolfe")
        with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
            optimizer.step(lambda p=p: _loss(p))


def _loss(p: Any) -> Any:
    p.grad = None
    loss = (p * p).sum()
    loss.backward()
    return loss
