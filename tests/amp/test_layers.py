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
    ours, theirs = _pair(torch, layer, "float32", np.random.default_rng(seed))
    for number, call in enumerate(layer.calls):
        try:
            expected = _results(torch, theirs, layer, call, seed + number)
        except RuntimeError as refused:
            assert any(each in str(refused) for each in _REFUSED_BY_PYTORCH), refused
            continue
        exact = _results(torch, theirs, layer, call, seed + number, enabled=False)
        found = _results(distrt, ours, layer, call, seed + number)
        # Deep models spread roundings: what PyTorch's own cost is the measure. On average ours cost the same, single
        # draws differ by up to a factor of four.
        lost = max(_distance(one, other) for one, other in zip(expected, exact, strict=True))
        for mine, reference, unrounded in zip(found, expected, exact, strict=True):
            assert (mine.shape, str(mine.dtype)) == (tuple(reference.shape), str(reference.dtype))
            largest = (
                max(1.0, float(np.abs(np.nan_to_num(values(unrounded))).max())) if unrounded.numel() else 1.0
            )
            assert _distance(mine, unrounded) <= 0.05 * largest + 6 * lost


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
