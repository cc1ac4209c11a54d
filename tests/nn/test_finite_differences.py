"""Every layer's gradients are its finite differences, in float64; PyTorch is not asked.

Each input and each parameter is moved a little along a random direction, forth and back; what a weighted sum of the
outputs changes by is held against the gradient along that direction.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.layer_table import LAYERS, Layer, load, tensors_in

load()
STEP = 1e-6


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_gradients_are_finite_differences(layer: Layer, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distrt.manual_seed(seed)
        module = layer.make(distrt).double().eval()
    args, kwargs = layer.arguments(distrt, layer.calls[0], "float64", seed)
    rng = np.random.default_rng(seed)
    inputs = [each for each in tensors_in([args, kwargs]) if each.requires_grad]
    parameters = [each for each in module.parameters() if each.requires_grad]
    weights: list[Any] = []

    def copied(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)([copied(each) for each in value])
        return value * 1 if getattr(value, "requires_grad", False) else value

    def run() -> Any:
        out = module(
            *[copied(each) for each in args], **{name: copied(each) for name, each in kwargs.items()}
        )
        floating = [each for each in tensors_in(out) if each.is_floating_point()]
        if not weights:
            weights.extend(distrt.tensor(rng.uniform(0.5, 1.5, tuple(each.shape))) for each in floating)
        return sum((each * weight).sum() for each, weight in zip(floating, weights, strict=True))

    total = run()
    if not getattr(total, "requires_grad", False):
        assert not parameters, f"{layer}: no output depends on the parameters"
        return
    wanted = [*inputs, *parameters]
    gradients = distrt.autograd.grad(total, wanted, allow_unused=True)
    for number, (tensor, gradient) in enumerate(zip(wanted, gradients, strict=True)):
        direction = rng.standard_normal(tuple(tensor.shape))
        with distrt.no_grad():
            there = _moved(tensor, STEP * direction, run)
            back = _moved(tensor, -STEP * direction, run)
        found = 0.0 if gradient is None else float((gradient.numpy() * direction).sum())
        size = 0.0 if gradient is None else float(np.abs(gradient.numpy() * direction).sum())
        assert (there - back) / (2 * STEP) == pytest.approx(found, rel=1e-5, abs=1e-6 * (1 + size)), number


def _moved(tensor: Any, by: Any, run: Any) -> float:
    """The result with a tensor moved, which is put back."""
    before = tensor.detach().clone()
    tensor.data.add_(distrt.tensor(by))
    result = float(run())
    tensor.data.copy_(before)
    return result
