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
            # Zero everywhere need not be recorded.
            assert expected_second is None or not expected_second.any()
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


# -- dtypes, edges, and functions with options that no layer passes on


@pytest.mark.parametrize(
    "text",
    [
        "F.mse_loss(x, y, weight=y)",
        "F.mse_loss(x, y, reduction='none', weight=y)",
        "F.mse_loss(x, y, reduction='sum', weight=y)",
        "F.l1_loss(x, y, weight=y)",
        "F.l1_loss(x, y, weight=y, reduction='none')",
        "F.huber_loss(x, y, weight=y)",
        "F.huber_loss(x, y, 'sum', 0.5, y)",
        "F.huber_loss(x, y, 'none', 0.5, weight=y)",
        "F.mse_loss(x.float(), y)",
        "F.mse_loss(x, y.half())",
        "F.smooth_l1_loss(x.half(), y.float())",
        "F.binary_cross_entropy_with_logits(x.float(), y)",
        "F.binary_cross_entropy_with_logits(x, y.float())",
        "F.binary_cross_entropy_with_logits(x, y, pos_weight=t.tensor(2.0))",
        "F.cross_entropy(x.float(), y)",
        "F.cross_entropy(x, y.float(), weight=t.tensor([1.0, 2.0, 3.0]))",
        "F.cross_entropy(x, t.tensor([1, 0, 2], dtype=t.uint8))",
        "F.cross_entropy(x, t.tensor([1, 0, 2]), label_smoothing=-0.5)",
        "F.cross_entropy(x[0].detach(), t.tensor([1]), reduction='none')",
        "F.cross_entropy(x[:, :, None], t.tensor([[1], [0], [2]]), weight=t.ones(1, 3).double())",
        "F.hinge_embedding_loss(x, y.float().round().long())",
        "F.soft_margin_loss(x, y.float())",
        "F.cosine_embedding_loss(x, y, t.tensor([1, -1, 0]))",
        "F.cosine_embedding_loss(x.float(), y.float(), t.tensor([1.0, -1.0, 1.0]))",
        "F.margin_ranking_loss((x * 9).long(), (y * 9).long(), t.ones(3, 3).long())",
        "F.triplet_margin_loss(x, y, y * 2, p=float('inf'))",
        "F.triplet_margin_loss((x * 9).long(), (y * 9).long(), (x * 5).long())",
        "F.triplet_margin_with_distance_loss(x, y, y * 2, distance_function=lambda a, b: (a - b).abs().amax(1))",
        "F.multi_margin_loss(t.tensor([[0.0, 1.0, 0.0]]).double() * x[:1] ** 0, t.tensor([1]))",
        "F.gaussian_nll_loss(x, y, y[:, 0])",
        "F.gaussian_nll_loss((x * 9).long(), (y * 9).long(), 0.5)",
        "F.poisson_nll_loss(x, (y * 9).long(), full=True)",
        "F.poisson_nll_loss((x * 9).long(), (y * 9).long())",
        "F.kl_div(x.float(), y, reduction='sum')",
        "F.multilabel_soft_margin_loss(x.float(), y)",
    ],
)
def test_functions_agree_with_pytorch(text: str, torch: Any, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((3, 3)), rng.uniform(0.1, 0.9, (3, 3))
    found = []
    for t in (distrt, torch):
        given = t.tensor(x, requires_grad=True)
        space = {"t": t, "nn": t.nn, "F": t.nn.functional, "x": given, "y": t.tensor(y)}
        loss = eval(text, space)
        slope = t.autograd.grad(loss.sum(), given)[0] if loss.requires_grad else t.zeros(())
        found.append((loss, slope))
    (ours, slope), (theirs, expected) = found
    # A lower precision's result may be in a higher dtype.
    mixed = 1e8 if ".half" in text else 1e6 if ".float" in text else 10
    assert_same(ours, theirs, text, mixed if str(theirs.dtype) == "torch.float64" else 10)
    assert_same(slope, expected, f"gradient of {text}", mixed)


def test_a_mean_over_ignored_targets_alone_has_no_gradient(torch: Any) -> None:
    for weight in (None, [1.0, 2.0, 3.0]):
        for shape, target in (((2, 3), [-100, -100]), ((1, 3, 2), [[-100, -100]])):
            for t in (distrt, torch):
                x = t.ones(shape, requires_grad=True)
                given = None if weight is None else t.tensor(weight)
                loss = t.nn.functional.cross_entropy(x, t.tensor(target), given)
                loss.backward()
                assert loss.isnan() and not x.grad.any()


def test_cross_entropy_of_infinite_logits_agrees_with_pytorch(torch: Any) -> None:
    inf = float("inf")
    rows = np.array([[-inf, 0, 1], [inf, 0, 1], [np.nan, 1, 1], [-inf, -inf, -inf], [0, -inf, 1]])
    for target in ([0, 1, 1, 1, 0], [1, 0, -100, -100, 1]):
        results = []
        for t in (distrt, torch):
            x = t.tensor(rows, requires_grad=True)
            losses = t.nn.functional.cross_entropy(x, t.tensor(target), reduction="none")
            losses.sum().backward()
            results.append((losses, x.grad))
        for ours, theirs in zip(*results, strict=True):
            assert_same(ours, theirs, f"{target}")


def test_logits_may_change_between_the_loss_and_its_gradient(torch: Any, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((3, 4))
    found = []
    for t in (distrt, torch):
        x = t.tensor(logits, requires_grad=True)
        changed = x * 1
        loss = t.nn.functional.cross_entropy(changed, t.tensor([0, 3, 1]))
        changed.add_(1)
        loss.backward()
        found.append(x.grad)
    assert_same(*found, "gradient")


def test_binary_cross_entropies_at_their_ends_agree_with_pytorch(torch: Any) -> None:
    inputs = {
        "binary_cross_entropy": [0.0, 1, 0.5, 0, 1],
        "binary_cross_entropy_with_logits": [-1e3, 1e3, 0, 1e3, -1e3],
    }
    for name, values in inputs.items():
        results = []
        for t in (distrt, torch):
            x = t.tensor(values, requires_grad=True)
            y = t.tensor([1.0, 0.0, 0.5, 0.0, 1.0], requires_grad=True)
            losses = getattr(t.nn.functional, name)(x, y, reduction="none")
            losses.sum().backward()
            results.append((losses, x.grad, y.grad))
        for ours, theirs in zip(*results, strict=True):
            assert_same(ours, theirs, name)


def test_a_loss_of_numbers_keeps_the_precision_of_its_dtype(torch: Any) -> None:
    for name in ("binary_cross_entropy", "huber_loss", "smooth_l1_loss", "mse_loss"):
        found = []
        for t in (distrt, torch):
            x = t.tensor(0.3, dtype=t.float64, requires_grad=True)
            getattr(t.nn.functional, name)(x, t.tensor(0.9, dtype=t.float64)).backward()
            found.append(x.grad.item())
        assert found[0] == pytest.approx(found[1], rel=1e-14)


# -- other functions of nn.functional with options that no layer passes on


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
