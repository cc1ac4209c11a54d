"""The oracle's table of layers on a GPU, beside the same on the CPU: outputs, gradients and theirs, statistics.

``python -m tests.gpu.checks.layers [PART PARTS]``.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Any

import numpy as np

import distrt as torch
from tests.oracle.layer_table import LAYERS, Layer, load, tensors_in

#: In training these draw other numbers on a GPU; they are compared in evaluation.
_RANDOM = ("ropout", "RReLU")


def moved(value: Any, place: str) -> Any:
    """The same arguments on another device, as leaves."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(place).requires_grad_(value.requires_grad)
    if isinstance(value, tuple | list):
        found = [moved(each, place) for each in value]
        return type(value)(*found) if hasattr(value, "_fields") else type(value)(found)
    return {name: moved(each, place) for name, each in value.items()} if isinstance(value, dict) else value


def results(layer: Layer, state: Any, call: str, place: str) -> list[Any]:
    """All tensors that a call gives, and what follows from it."""
    torch.manual_seed(0)
    module = layer.make(torch).to(torch.float64)
    module.load_state_dict(state)
    module = module.to(place).train(not any(word in layer.text for word in _RANDOM))
    args, kwargs = moved(list(layer.arguments(torch, call, "float64", 0)), place)
    inputs = [each for each in tensors_in([args, kwargs]) if each.requires_grad]
    copies = [each * 1 if getattr(each, "requires_grad", False) else each for each in args]
    made = tensors_in(module(*copies, **kwargs))
    wanted = [*inputs, *(each for each in module.parameters() if each.requires_grad)]
    first = slopes(made, wanted, layer.second_order)
    again = slopes([each * each for each in first if each.requires_grad], wanted, False)
    found = [*made, *first, *again, *module.state_dict().values()]
    assert all(each.device.type == place for each in found if each.ndim)
    return [each.detach().cpu().numpy() for each in found]


def slopes(outputs: list[Any], of: list[Any], create_graph: bool) -> list[Any]:
    """The gradients of a weighted sum; zeros where there are none."""
    rng = np.random.default_rng(1)
    total: Any = 0
    for out in outputs:
        weights = torch.tensor(np.asarray(rng.standard_normal(tuple(out.shape)))).to(out)
        if out.requires_grad:
            total = total + (out * weights).sum()
    if not isinstance(total, torch.Tensor) or not of:
        return []
    found = torch.autograd.grad(total, of, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(each) if g is None else g for g, each in zip(found, of, strict=True)]


def differ(layer: Layer, call: str) -> str:
    """What differs between the two, or nothing."""
    state = layer.make(torch).to(torch.float64).state_dict()
    pair = []
    for place in ("cpu", "cuda"):
        try:
            pair.append(results(layer, state, call, place))
        except Exception:
            return traceback.format_exc(limit=-4)
    for number, (here, there) in enumerate(zip(*pair, strict=True)):
        if here.shape != there.shape or not np.allclose(here, there, rtol=1e-8, atol=1e-10, equal_nan=True):
            return f"result {number}: {here.reshape(-1)[:4]} and {there.reshape(-1)[:4]}"
    return ""


def main(part: int, parts: int) -> int:
    """Compares a part of the table; returns how many calls differ."""
    load()
    warnings.simplefilter("ignore")
    failed = count = 0
    for layer in LAYERS[part::parts]:
        for call in layer.calls:
            count += 1
            if said := differ(layer, call):
                failed += 1
                print(f"FAILED {layer} ({call}): {said}")
    print(f"{count} calls, {failed} failed")
    return failed


if __name__ == "__main__":
    part, parts = [*map(int, sys.argv[1:]), 0, 1][:2] if len(sys.argv) > 1 else (0, 1)
    sys.exit(1 if main(part, parts) else 0)
