"""The oracle's table of layers on the meta device beside the CPU: outputs, gradients and theirs, states."""

from __future__ import annotations

import re
from typing import Any

import pytest

import distrt as torch
from distrt.core.errors import DeviceError, NoDataError
from tests.oracle.layer_table import LAYERS, Layer, load, tensors_in

load()

pytestmark = pytest.mark.filterwarnings("ignore")  # several layers warn of their options

META = torch.device("meta")
PARTS = 6

#: Layers that look at data in PyTorch, too, and raise there.
NEEDS_DATA = re.compile(r"CTCLoss|AdaptiveLogSoftmaxWithLoss|GaussianNLLLoss|BatchNorm.*momentum=None")


def _on_meta(value: Any) -> Any:
    """The same arguments without data, as leaves."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(META).requires_grad_(value.requires_grad)
    if isinstance(value, tuple | list):
        found = [_on_meta(each) for each in value]
        return type(value)(*found) if hasattr(value, "_fields") else type(value)(found)
    return {name: _on_meta(each) for name, each in value.items()} if isinstance(value, dict) else value


def _looks(layer: Layer, call: str, is_meta: bool) -> list[Any]:
    """All tensors that a call gives, and what follows from it."""
    module = layer.make(torch)
    given: Any = list(layer.arguments(torch, call, "float64" if "float64" in layer.text else "float32", 0))
    if is_meta:
        module, given = module.to(META), _on_meta(given)
    args, kwargs = given
    inputs = [each for each in tensors_in([args, kwargs]) if each.requires_grad]
    copies = [each * 1 if getattr(each, "requires_grad", False) else each for each in args]
    made = tensors_in(module(*copies, **kwargs))
    wanted = [*inputs, *(each for each in module.parameters() if each.requires_grad)]
    first = _slopes(made, wanted, layer.second_order)
    again = _slopes([each * each for each in first if each.requires_grad], wanted, False)
    found = [*made, *first, *again, *module.state_dict().values()]
    assert not is_meta or all(each.is_meta for each in found)
    return [(tuple(each.shape), each.dtype, each.requires_grad) for each in found]


def _slopes(outputs: list[Any], of: list[Any], create_graph: bool) -> list[Any]:
    total: Any = sum(out.sum() for out in outputs if out.requires_grad)
    if not isinstance(total, torch.Tensor) or not of:
        return []
    found = torch.autograd.grad(total, of, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(each) if g is None else g for g, each in zip(found, of, strict=True)]


def _differences(layers: list[Layer]) -> list[str]:
    found = []
    for layer in layers:
        for call in layer.calls:
            try:
                if (here := _looks(layer, call, False)) != (there := _looks(layer, call, True)):
                    found.append(f"{layer} {call}: {there}, and on the CPU {here}"[:300])
            except Exception as fault:
                if isinstance(fault, NoDataError | DeviceError) and NEEDS_DATA.search(str(layer)):
                    continue
                found.append(f"{layer} {call}: {type(fault).__name__}: {fault}")
    return found


def test_a_few_layers_look_as_on_the_cpu() -> None:
    assert not _differences(LAYERS[::60])


@pytest.mark.ci
@pytest.mark.parametrize("part", range(0, PARTS, 3))
def test_a_part_of_the_layers_looks_as_on_the_cpu(part: int) -> None:
    assert not _differences(LAYERS[part::PARTS])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_layers_look_as_on_the_cpu(part: int) -> None:
    assert not _differences(LAYERS[part::PARTS])
