"""Every line of the table of layers under CPU autocast, beside PyTorch with the same weights: outputs and gradients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import values
from tests.oracle.layer_table import LAYERS, Layer, load, tensors_in
from tests.oracle.test_layers import _gradients, _pair, _run

load()

#: oneDNN has no LSTM kernel for float32 states in a block (ours is all narrow), and AdaptiveLogSoftmaxWithLoss
#: copies narrow rows into float32 ones (ours converts them).
_REFUSED_BY_PYTORCH = ("LSTM", "index_copy_(): self and source expected to have the same dtype")


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer_agrees_with_pytorch_under_autocast(layer: Layer, torch: Any, seed: int) -> None:
    for number, call in enumerate(layer.calls):
        costs = _costs(torch, layer, call, seed + number)
        if costs is None or costs[0] <= 0.03 + 3 * costs[1]:
            continue
        # A deep model of few features may magnify any rounding, ours in one draw and PyTorch's in another.
        draws = [_costs(torch, layer, call, seed + 1000 + draw) for draw in range(15)]
        ours, theirs = np.median([each for each in draws if each], axis=0)
        assert ours <= 2 * theirs, f"call {number}: roundings cost {ours:.3g}, in PyTorch {theirs:.3g}"


def _costs(torch: Any, layer: Layer, call: str, seed: int) -> tuple[float, float] | None:
    """What roundings cost us and PyTorch in one draw of weights and inputs; None where PyTorch refuses.

    The cost is the largest difference from PyTorch's float32, of all outputs and gradients, relative to the largest
    value. Shapes and dtypes are compared on the way.
    """
    ours, theirs = _pair(torch, layer, "float32", np.random.default_rng(seed))
    try:
        expected = _results(torch, theirs, layer, call, seed)
    except RuntimeError as refused:
        assert any(each in str(refused) for each in _REFUSED_BY_PYTORCH), refused
        return None
    exact = _results(torch, theirs, layer, call, seed, enabled=False)
    found = _results(distrt, ours, layer, call, seed)
    for mine, reference in zip(found, expected, strict=True):
        assert (mine.shape, str(mine.dtype)) == (tuple(reference.shape), str(reference.dtype))
    largest = [max(1.0, float(np.abs(np.nan_to_num(values(each))).max(initial=0.0))) for each in exact]
    cost, cost_there = (
        max(_distance(one, other) / size for one, other, size in zip(results, exact, largest, strict=True))
        for results in (found, expected)
    )
    return cost, cost_there


def _distance(one: Any, other: Any) -> float:
    """The largest difference; NaN and infinities count as zero, which they become in both."""
    difference = np.nan_to_num(values(one)) - np.nan_to_num(values(other))
    return float(np.abs(difference).max(initial=0.0))


def _results(
    library: Any, module: Any, layer: Layer, call: str, seed: int, enabled: bool = True
) -> list[Any]:
    """The outputs, and the gradients of a weighted sum of them by all inputs and parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = layer.arguments(library, call, "float32", seed)
        with library.autocast("cpu", dtype=library.bfloat16, enabled=enabled):
            outputs, inputs = _run(library, module, given)
    wanted = [*inputs, *(each for each in module.parameters() if each.requires_grad)]
    return [*tensors_in(outputs), *_gradients(library, outputs, wanted, seed, False)]
