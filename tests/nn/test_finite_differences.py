"""Every layer's gradients are its finite differences, in float64; PyTorch is not asked."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import distrt
from tests.oracle.layer_table import LAYERS, Layer, load, tensors_in

load()


def _places(module: Any) -> list[tuple[Any, str]]:
    """Where each parameter that requires grad stands, a shared one once."""
    names = [name for name, each in module.named_parameters() if each.requires_grad]
    return [(module.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in names]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_gradients_are_finite_differences(layer: Layer, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distrt.manual_seed(seed)
        module = layer.make(distrt).double().eval()
    args, kwargs = layer.arguments(distrt, layer.calls[0], "float64", seed)
    inputs = [each for each in tensors_in([args, kwargs]) if each.requires_grad]
    places = _places(module)
    parameters = [owner._parameters[name] for owner, name in places]

    def run(*tensors: Any) -> tuple[Any, ...]:
        given = iter(tensors[: len(inputs)])
        for (owner, name), value in zip(places, tensors[len(inputs) :], strict=True):
            owner._parameters[name] = value

        def placed(value: Any) -> Any:
            if isinstance(value, tuple | list):
                return type(value)([placed(each) for each in value])
            return next(given) * 1 if getattr(value, "requires_grad", False) else value

        positional = [placed(each) for each in args]
        out = module(*positional, **{name: placed(each) for name, each in kwargs.items()})
        return tuple(each for each in tensors_in(out) if each.requires_grad)

    wanted = (*inputs, *parameters)
    if wanted and run(*wanted):
        assert distrt.autograd.gradcheck(run, wanted, fast_mode=True, atol=1e-4, rtol=1e-3)
    else:
        assert not parameters, f"{layer}: no output depends on the parameters"
