"""Area I: convolution and pooling layers, in the calls that the documents make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from tests.inventory.rows import covers
from tests.oracle.compare import assert_same


def _in_both(torch: Any, text: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Any, Any]:
    """Output and input gradient of a layer with the same weights in both libraries are the same; gives both layers."""
    ours, theirs = (eval(text, {"nn": library.nn}) for library in (distrt, torch))
    assert repr(ours) == repr(theirs)
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})
    values = rng.standard_normal(shape).astype("float32")
    results = []
    for library, layer in ((distrt, ours), (torch, theirs)):
        x = library.tensor(values, requires_grad=True)
        out = layer(x)
        (out * out).sum().backward()
        results.append([out, x.grad, *(each.grad for each in layer.parameters())])
    for number, (mine, reference) in enumerate(zip(*results, strict=True)):
        scale = max(1.0, reference.abs().max().item())
        assert_same(mine / scale, reference / scale, f"{text}: result {number}", 20)
    return ours, theirs


@covers("I3")
def test_convolution_over_one_dim(torch: Any, rng: np.random.Generator) -> None:
    text = "nn.Conv1d(in_channels=32, out_channels=64, kernel_size=3, stride=1, padding=1)"
    layer, _ = _in_both(torch, text, (2, 32, 10), rng)
    assert layer.weight.shape == (64, 32, 3) and layer(distrt.ones(2, 32, 10)).shape == (2, 64, 10)


@covers("I4")
@pytest.mark.parametrize(
    "text",
    [
        "nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, stride=1, padding=1, bias=True)",
        "nn.Conv2d(3, 6, 4, 2, 1, bias=False)",
    ],
)
def test_convolution_over_two_dims(text: str, torch: Any, rng: np.random.Generator) -> None:
    layer, _ = _in_both(torch, text, (2, 3, 8, 8), rng)
    assert (layer.bias is None) == ("bias=False" in text)


@covers("I5")
def test_convolution_over_three_dims(torch: Any, rng: np.random.Generator) -> None:
    _in_both(torch, "nn.Conv3d(in_channels=3, out_channels=64, kernel_size=3)", (1, 3, 5, 6, 4), rng)


@covers("I6")
@pytest.mark.parametrize(
    "arguments", ["64, 32, kernel_size=2, stride=2", "64, 32, 4, 1, 0, bias=False", "64, 32, 4, 2, 1"]
)
def test_transposed_convolution(arguments: str, torch: Any, rng: np.random.Generator) -> None:
    layer, _ = _in_both(torch, f"nn.ConvTranspose2d({arguments})", (2, 64, 3, 3), rng)
    assert layer.weight.shape[:2] == (64, 32)


@covers("I7", "I8")
@pytest.mark.parametrize(
    "text",
    ["nn.MaxPool2d(kernel_size=2, stride=2)", "nn.MaxPool2d(2, 2)", "nn.AvgPool2d(kernel_size=2, stride=2)"],
)
def test_pooling(text: str, torch: Any, rng: np.random.Generator) -> None:
    _in_both(torch, text, (2, 3, 8, 7), rng)


@covers("I9")
@pytest.mark.parametrize("size", ["output_size=(1, 1)", "1", "(3, 5)"])
def test_adaptive_pooling(size: str, torch: Any, rng: np.random.Generator) -> None:
    _in_both(torch, f"nn.AdaptiveAvgPool2d({size})", (2, 3, 8, 7), rng)
