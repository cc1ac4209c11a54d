"""Layers and losses with shared weights against PyTorch: values, every gradient, running statistics, text, state."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same, to_distrt, to_torch

DTYPES = ("float64", "float32")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One module with its options, and the inputs to call it with, several times."""

    text: str  # the expression that makes it, with `nn` and `t` of either library
    shapes: tuple[tuple[int, ...], ...]

    def make(self, library: Any) -> Any:
        return eval(self.text, {"nn": library.nn, "t": library, "OrderedDict": dict})

    def __str__(self) -> str:
        return self.text.replace("nn.", "")


def layers(shapes: str, *texts: str) -> list[Layer]:
    found = tuple(tuple(int(n) for n in each.split("x")) for each in shapes.split())
    return [Layer(f"nn.{text}", found) for text in texts]


LAYERS = [
    *layers(
        "5x3 2x4x3 3 0x3", "Linear(3, 2)", "Linear(3, 4, bias=False)", "Linear(in_features=3, out_features=1)"
    ),
    *layers(
        "2x4x7x6 1x4x9x9 4x8x7",
        "Conv2d(4, 6, 3)",
        "Conv2d(4, 6, (3, 2), bias=False)",
        "Conv2d(4, 6, 3, stride=2)",
        "Conv2d(4, 6, 3, stride=(2, 1), padding=(1, 2))",
        "Conv2d(4, 6, 3, padding='same')",
        "Conv2d(4, 6, (2, 4), padding='same')",
        "Conv2d(4, 6, 3, padding='same', dilation=2, groups=2)",
        "Conv2d(4, 6, 3, padding='valid')",
        "Conv2d(4, 6, 2, dilation=(1, 3), groups=2)",
        "Conv2d(4, 8, 1, groups=4, bias=False)",
        "Conv2d(4, 4, 3, 3, 1, 1, 4)",
    ),
    *layers(
        "6x3 4x3x5 2x3x1",
        "BatchNorm1d(3)",
        "BatchNorm1d(3, eps=0.1, momentum=0.3)",
        "BatchNorm1d(3, momentum=None)",
        "BatchNorm1d(3, affine=False)",
        "BatchNorm1d(3, track_running_stats=False)",
        "BatchNorm1d(3, momentum=0.0)",
        "BatchNorm1d(3, bias=False)",
        "BatchNorm1d(3, affine=False, track_running_stats=False)",
    ),
    *layers(
        "4x3x2x5 2x3x1x1",
        "BatchNorm2d(3)",
        "BatchNorm2d(3, momentum=None, affine=False)",
        "BatchNorm2d(3, track_running_stats=False)",
    ),
    *layers(
        "2x3x7x6 3x8x9",
        "MaxPool2d(2)",
        "MaxPool2d((3, 2))",
        "MaxPool2d(3, stride=1)",
        "MaxPool2d(3, 2, 1)",
        "MaxPool2d(3, (1, 2), (1, 0), ceil_mode=True)",
        "MaxPool2d(2, 3, dilation=(1, 2))",
        "MaxPool2d(kernel_size=2, stride=2, padding=1, dilation=2, ceil_mode=True)",
    ),
    *layers(
        "3x4 2x3x4",
        "ReLU()",
        "Sigmoid()",
        "Tanh()",
        "Flatten()",
        "Flatten(0)",
        "Flatten(0, 1)",
        "Identity(3, a=2)",
    ),
    *layers("3x4", "ReLU(inplace=True)", "Dropout(0.0)", "Sequential()"),
    *layers(
        "4x1x8x8",
        "Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), "
        "nn.Linear(36, 3))",
        "Sequential(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False)), nn.Sequential(nn.ReLU(), nn.Identity()))",
    ),
]


def _pair(torch: Any, layer: Layer, dtype: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """The layer in both libraries, with the same random parameters and statistics."""
    ours, theirs = layer.make(distrt), layer.make(torch)
    ours.to(getattr(distrt, dtype))
    theirs.to(getattr(torch, dtype))
    state = {name: value for name, value in theirs.state_dict().items() if value.is_floating_point()}
    drawn = {name: rng.uniform(0.5, 1.5, tuple(value.shape)).astype(dtype) for name, value in state.items()}
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in drawn.items()}, strict=False)
    ours.load_state_dict({name: distrt.from_numpy(array) for name, array in drawn.items()}, strict=False)
    return ours, theirs


def _step(torch: Any, ours: Any, theirs: Any, array: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    """One forward and backward pass of both, through a copy so that in-place layers may change it."""
    mine, reference = to_distrt(array.copy(), True), to_torch(torch, array.copy(), True)
    out, expected = ours(mine * 1), theirs(reference * 1)
    assert_same(out, expected, "output", 10)
    seed = rng.standard_normal(tuple(expected.shape)).astype(array.dtype)
    out.backward(distrt.from_numpy(seed))
    expected.backward(torch.from_numpy(seed))
    assert_same(mine.grad, reference.grad, "gradient of the input", 50)
    named = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(named)
    for name, parameter in ours.named_parameters():
        assert_same(parameter.grad, named[name].grad, f"gradient of {name}", 50)


def _assert_same_state(ours: Any, theirs: Any) -> None:
    state, expected = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    for name, value in expected.items():
        assert_same(state[name], value, name, 10)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer_agrees_with_pytorch(layer: Layer, training: bool, torch: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for dtype in DTYPES:
        ours, theirs = _pair(torch, layer, dtype, rng)
        ours.train(training)
        theirs.train(training)
        for shape in layer.shapes:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's, about padding='same' with even kernels
                _step(
                    torch,
                    ours,
                    theirs,
                    rng.permutation(np.prod(shape, dtype=int)).reshape(shape).astype(dtype) / 8,
                    rng,
                )
        _assert_same_state(ours, theirs)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer_prints_and_stores_as_in_pytorch(layer: Layer, torch: Any) -> None:
    ours, theirs = layer.make(distrt), layer.make(torch)
    assert repr(ours) == repr(theirs)
    state, expected = ours.state_dict(), theirs.state_dict()
    layout = [(name, tuple(value.shape), str(value.dtype)) for name, value in state.items()]
    assert layout == [(name, tuple(value.shape), str(value.dtype)) for name, value in expected.items()]


@pytest.mark.parametrize(
    "text", ["nn.Linear(30, 200)", "nn.Conv2d(4, 200, (3, 2), groups=2)", "nn.BatchNorm2d(4)"]
)
def test_new_parameters_are_drawn_from_pytorchs_distribution(text: str, torch: Any) -> None:
    ours, theirs = Layer(text, ()).make(distrt), Layer(text, ()).make(torch)
    for name, expected in theirs.state_dict().items():
        found = ours.state_dict()[name]
        assert found.abs().max().item() == pytest.approx(expected.abs().max().item(), rel=0.2), name
        assert found.double().mean().item() == pytest.approx(expected.double().mean().item(), abs=0.1), name


# -- losses


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
