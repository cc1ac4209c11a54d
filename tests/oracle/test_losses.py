"""Losses against PyTorch: every reduction and option, first and second order; functions that no layer passes on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same, to_distrt, to_torch

DTYPES = ("float64", "float32")


def _loss(
    torch: Any, run: Callable[[Any, Any], Any], logits: np.ndarray[Any, Any], scale: float = 10
) -> None:
    mine, theirs = to_distrt(logits.copy(), True), to_torch(torch, logits.copy(), True)
    loss, expected = run(distrt, mine), run(torch, theirs)
    assert_same(loss, expected, "loss", scale)
    if expected.ndim == 0 and not bool(torch.isfinite(expected)):
        return
    seed = np.ones(tuple(expected.shape), logits.dtype)
    (g,) = distrt.autograd.grad(loss, mine, distrt.from_numpy(seed), create_graph=True)
    (expected_g,) = torch.autograd.grad(expected, theirs, torch.from_numpy(seed), create_graph=True)
    assert_same(g, expected_g, "gradient", scale)
    if expected_g.requires_grad:
        (expected_second,) = torch.autograd.grad((expected_g * expected_g).sum(), theirs, allow_unused=True)
        if not g.requires_grad:
            assert (
                expected_second is None or not expected_second.any()
            )  # zero everywhere need not be recorded
            return
        (second,) = distrt.autograd.grad((g * g).sum(), mine)
        assert_same(second, expected_second, "second gradient", 5 * scale)


SHAPES = [((5, 4), (5,)), ((4,), ()), ((2, 4, 3), (2, 3)), ((2, 4, 3, 2), (2, 3, 2))]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_classes_agrees_with_pytorch(
    reduction: str, smoothing: float, weighted: bool, torch: Any, rng: np.random.Generator
) -> None:
    for shape, target_shape in SHAPES:
        for ignored in (-100, 1):
            for dtype in DTYPES:
                target = rng.integers(0, 4, target_shape)
                if target.size > 1:
                    target.flat[0], target.flat[1] = ignored, 2
                weight = rng.uniform(0.5, 2, 4).astype(dtype)

                def run(
                    t: Any, x: Any, target: Any = target, weight: Any = weight, ignored: int = ignored
                ) -> Any:
                    module = t.nn.CrossEntropyLoss(
                        weight=t.from_numpy(weight) if weighted else None,
                        ignore_index=ignored,
                        reduction=reduction,
                        label_smoothing=smoothing,
                    )
                    return module(x, t.from_numpy(np.asarray(target)))

                _loss(torch, run, rng.standard_normal(shape).astype(dtype))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_probabilities_agrees_with_pytorch(
    reduction: str, smoothing: float, weighted: bool, torch: Any, rng: np.random.Generator
) -> None:
    for shape, _ in SHAPES:
        probabilities = rng.uniform(0, 1, shape)
        weight = rng.uniform(0.5, 2, 4)

        def run(t: Any, x: Any, probabilities: Any = probabilities, weight: Any = weight) -> Any:
            given = t.from_numpy(weight) if weighted else None
            module = t.nn.CrossEntropyLoss(given, reduction=reduction, label_smoothing=smoothing)
            return module(x, t.from_numpy(probabilities))

        _loss(torch, run, rng.standard_normal(shape))


def test_cross_entropy_where_everything_is_ignored_is_nan(torch: Any) -> None:
    def run(t: Any, x: Any) -> Any:
        return t.nn.functional.cross_entropy(x, t.tensor([-100, -100]))

    _loss(torch, run, np.ones((2, 3)))


def test_cross_entropy_of_huge_logits_is_finite(torch: Any) -> None:
    def run(t: Any, x: Any) -> Any:
        return t.nn.functional.cross_entropy(x, t.tensor([0, 2]))

    _loss(torch, run, np.array([[1e4, -1e4, 0.0], [3e38, 0.0, -3e38]]))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mean_squared_error_agrees_with_pytorch(reduction: str, torch: Any, rng: np.random.Generator) -> None:
    for shape in ((3, 4), (), (0, 2)):
        target = rng.standard_normal(shape)

        def run(t: Any, x: Any, target: Any = target) -> Any:
            return t.nn.MSELoss(reduction=reduction)(x, t.tensor(target))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _loss(torch, run, np.asarray(rng.standard_normal(shape)))


def test_mean_squared_error_of_different_shapes_warns(torch: Any) -> None:
    for t in (distrt, torch):
        with pytest.warns(UserWarning, match="Using a target size"):
            assert t.nn.functional.mse_loss(t.ones(3, 1), t.zeros(2)).item() == 1.0


# -- functions of nn.functional with options that no layer passes on


def test_functional_forms_agree_with_pytorch(torch: Any, rng: np.random.Generator) -> None:
    image, vector = rng.standard_normal((2, 4, 6, 6)), rng.standard_normal((3, 4))
    cases: list[tuple[Any, Callable[[Any, Any], Any]]] = [
        (vector, lambda t, x: t.nn.functional.softmax(x, dim=0)),
        (vector, lambda t, x: t.nn.functional.relu(x)),
        (vector, lambda t, x: t.nn.functional.sigmoid(x) + t.nn.functional.tanh(x)),
        (vector, lambda t, x: t.nn.functional.nll_loss(x, t.tensor([1, 3, 1]), ignore_index=3)),
        (image, lambda t, x: t.nn.functional.max_pool2d(x, [2, 3], padding=1)),
        (image, lambda t, x: t.nn.functional.batch_norm(x, t.zeros(4).double(), t.ones(4).double() * 2)),
        (image, lambda t, x: t.nn.functional.dropout(x, 1.0)),
    ]
    for array, run in cases:
        _loss(torch, run, array)
    for name in ("softmax", "log_softmax"):  # float64 in, float32 out: gradients have float32's precision
        _loss(torch, lambda t, x, n=name: getattr(t.nn.functional, n)(x, dim=1, dtype=t.float32), vector, 1e6)
