"""Layers with shared weights against PyTorch: values, every gradient, second order, running statistics, text, state."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same
from tests.oracle.layer_table import ERRORS, LAYERS, Layer, all_kinds, load, tensors_in

load()
DTYPES = ("float64", "float32")


def _pair(torch: Any, layer: Layer, dtype: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """The layer in both libraries, with the same random parameters and statistics."""
    ours, theirs = layer.make(distrt), layer.make(torch)
    ours.to(getattr(distrt, dtype))
    theirs.to(getattr(torch, dtype))
    state = {name: value for name, value in theirs.state_dict().items() if value.is_floating_point()}
    drawn = {name: _weights(rng, tuple(value.shape)).astype(dtype) for name, value in state.items()}
    theirs.load_state_dict({name: torch.tensor(array) for name, array in drawn.items()}, strict=False)
    ours.load_state_dict({name: distrt.tensor(array) for name, array in drawn.items()}, strict=False)
    return ours, theirs


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Matrices that keep a signal's size, so that float32 loses no digits in deep models; scales above 0."""
    if len(shape) < 2:
        return rng.uniform(0.5, 1.5, shape)
    return rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))


def _run(library: Any, module: Any, given: tuple[list[Any], dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The tensors that come out, of copies of the inputs, so that in-place layers may change them; and the inputs."""
    args, kwargs = given
    inputs = [each for each in tensors_in([args, kwargs]) if each.requires_grad]

    def copied(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)([copied(each) for each in value])
        return value * 1 if hasattr(value, "requires_grad") and value.requires_grad else value

    result = module(*[copied(each) for each in args], **{name: copied(each) for name, each in kwargs.items()})
    return tensors_in(result), inputs


def _gradients(library: Any, outputs: list[Any], of: list[Any], seed: int, create_graph: bool) -> list[Any]:
    """The gradients of a random weighted sum of the outputs, zeros where there are none."""
    rng = np.random.default_rng(seed)
    total: Any = 0
    for out in outputs:
        weights = np.asarray(rng.standard_normal(tuple(out.shape)))
        if out.requires_grad:
            total = total + (out * library.tensor(weights).to(out.dtype)).sum()
    if not hasattr(total, "requires_grad") or not of:
        return []
    found = library.autograd.grad(total, of, create_graph=create_graph, allow_unused=True)
    return [library.zeros_like(each) if g is None else g for g, each in zip(found, of, strict=True)]


def _compare(torch: Any, layer: Layer, ours: Any, theirs: Any, call: str, dtype: str, seed: int) -> None:
    """One call of both: outputs, all gradients, and the gradients of these."""
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about padding='same' with even kernels and the like
        for library, module in ((distrt, ours), (torch, theirs)):
            outputs, inputs = _run(library, module, layer.arguments(library, call, dtype, seed))
            wanted = [*inputs, *(each for each in module.parameters() if each.requires_grad)]
            second = layer.second_order and dtype == "float64"
            first = _gradients(library, outputs, wanted, seed, second)
            # Of the squares, so that linear layers have a second order, too.
            again = (
                _gradients(library, [g * g for g in first if g.requires_grad], wanted, seed + 1, False)
                if second
                else []
            )
            results.append((outputs, first, again))
    (outputs, first, again), (expected, expected_first, expected_again) = results
    assert len(outputs) == len(expected)
    for number, (mine, reference) in enumerate(zip(outputs, expected, strict=True)):
        assert_same(mine, reference, f"output {number}", 20)
    for number, (mine, reference) in enumerate(zip(first, expected_first, strict=True)):
        assert_same(mine, reference, f"gradient {number}", 100)
    if not again and not any(bool(each.any()) for each in expected_again):
        return  # zero everywhere need not be recorded
    for number, (mine, reference) in enumerate(zip(again, expected_again, strict=True)):
        assert_same(mine, reference, f"second gradient {number}", 1000)


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
        for number, call in enumerate(layer.calls):
            _compare(torch, layer, ours, theirs, call, dtype, seed + number)
        _assert_same_state(ours, theirs)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer_prints_and_stores_as_in_pytorch(layer: Layer, torch: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = layer.make(distrt), layer.make(torch)
    assert repr(ours) == repr(theirs)
    state, expected = ours.state_dict(), theirs.state_dict()
    layout = [(name, tuple(value.shape), str(value.dtype)) for name, value in state.items()]
    assert layout == [(name, tuple(value.shape), str(value.dtype)) for name, value in expected.items()]
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_weights_of_ours_load_into_pytorchs(layer: Layer, torch: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = layer.make(distrt), layer.make(torch)
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})
    for name, value in theirs.state_dict().items():
        assert_same(ours.state_dict()[name], value, name)


def test_every_layer_has_a_line() -> None:
    built = {name for layer in LAYERS for name in re.findall(r"nn\.(\w+)\(", layer.text)}
    elsewhere = {kind for kind in all_kinds() if kind.startswith(("Lazy", "Uninitialized"))}  # test_lazy.py
    # These are in test_containers.py.
    elsewhere |= {
        "Module",
        "Parameter",
        "Buffer",
        "Container",
        "ParameterDict",
        "ParameterList",
    }
    elsewhere |= {"DataParallel", "SyncBatchNorm"}  # tests/parallel
    missing = all_kinds() - built - elsewhere
    assert not sorted(missing)


@pytest.mark.parametrize("text", ERRORS)
def test_bad_arguments_raise_what_pytorch_raises(text: str, torch: Any) -> None:
    said = []
    for library in (distrt, torch):
        with warnings.catch_warnings(), pytest.raises(Exception) as caught:
            warnings.simplefilter("ignore")
            eval(text, {"t": library, "nn": library.nn, "F": library.nn.functional})
        said.append(caught)
    ours, theirs = said
    assert issubclass(ours.type, theirs.type), (
        f"{ours.type.__name__}: {ours.value}; PyTorch: {theirs.type.__name__}: {theirs.value}"
    )
    missing = set(re.findall(r"\d+", str(theirs.value))) - set(re.findall(r"\d+", str(ours.value)))
    assert not missing, f"{ours.value}; PyTorch: {theirs.value}"


@pytest.mark.parametrize(
    "text", ["nn.Linear(30, 200)", "nn.Conv2d(4, 200, (3, 2), groups=2)", "nn.BatchNorm2d(4)"]
)
def test_new_parameters_are_drawn_from_pytorchs_distribution(text: str, torch: Any) -> None:
    ours, theirs = Layer(text, ()).make(distrt), Layer(text, ()).make(torch)
    for name, expected in theirs.state_dict().items():
        found = ours.state_dict()[name]
        assert found.abs().max().item() == pytest.approx(expected.abs().max().item(), rel=0.2), name
        assert found.double().mean().item() == pytest.approx(expected.double().mean().item(), abs=0.1), name
