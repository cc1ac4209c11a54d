"""``checkpoint_wrapper`` and its family against PyTorch: names, state dicts, gradients, policies."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import distrt

PATH = "distributed.algorithms._checkpoint.checkpoint_wrapper"
WRAP = "distributed.fsdp.wrap"


def _rooms(library: Any) -> tuple[Any, Any]:
    return tuple(importlib.import_module(f"{library.__name__}.{path}") for path in (PATH, WRAP))


def _model(library: Any) -> Any:
    nn = library.nn
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))
    with library.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(library.linspace(-1, 1 + number / 4, parameter.numel()).view(parameter.shape))
    return model


def _wrapped(library: Any, how: str) -> Any:
    rooms, wrap = _rooms(library)
    nn, model = library.nn, _model(library)
    linear = lambda module: isinstance(module, nn.Linear)
    if how == "all":
        rooms.apply_activation_checkpointing(model)
    elif how == "linear":
        rooms.apply_activation_checkpointing(model, check_fn=linear)
    elif how == "offload":
        rooms.apply_activation_checkpointing(model, rooms.offload_wrapper, linear)
    elif how == "policy":
        rooms.apply_activation_checkpointing(
            model, auto_wrap_policy=wrap.ModuleWrapPolicy({nn.Linear, nn.Sequential})
        )
    elif how == "custom policy":
        rooms.apply_activation_checkpointing(model, auto_wrap_policy=wrap.CustomPolicy(linear))
    elif how == "reentrant":
        rooms.apply_activation_checkpointing(
            model,
            lambda module: rooms.checkpoint_wrapper(module, checkpoint_impl=rooms.CheckpointImpl.REENTRANT),
            linear,
        )
    else:
        calls: list[str] = []

        def own(function: Any, *args: Any, name: str) -> Any:
            calls.append(name)
            return function(*args)

        model = rooms.checkpoint_wrapper(model, checkpoint_fn=own, name="mine")
        model(library.ones(1, 3))
        assert calls == ["mine"]
    return model


@pytest.mark.parametrize("how", ["all", "linear", "offload", "policy", "custom policy", "reentrant", "own"])
def test_a_wrapped_model_is_pytorchs(how: str, torch: Any) -> None:
    told = []
    for library in (distrt, torch):
        model = _wrapped(library, how)
        x = library.arange(6.0).view(2, 3).requires_grad_()
        out = model(x)
        out.square().sum().backward()
        plain = _model(library)
        plain.load_state_dict(model.state_dict())
        model.load_state_dict(plain.state_dict())
        told.append(
            {
                "repr": repr(model),
                "names": [name for name, _ in model.named_parameters()],
                "modules": [name for name, _ in model.named_modules()],
                "state": list(model.state_dict()),
                "values": [each.detach().numpy() for each in (out, x.grad)],
                "grads": [parameter.grad.numpy() for parameter in model.parameters()],
                "weight": tuple(model[0].weight.shape),
            }
        )
    ours, theirs = told
    for key in ("repr", "names", "modules", "state", "weight"):
        assert ours[key] == theirs[key], key
    for key in ("values", "grads"):
        for mine, expected in zip(ours[key], theirs[key], strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-5)


def test_a_wrapped_module_keeps_no_activations() -> None:
    rooms, _ = _rooms(distrt)
    kept = []
    linear = rooms.checkpoint_wrapper(distrt.nn.Sequential(distrt.nn.Linear(3, 3), distrt.nn.Tanh()))
    with distrt.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda t: t):
        linear(distrt.ones(1, 3))
    assert not kept


def test_the_reentrant_way_takes_keyword_arguments_and_needs_a_gradient(torch: Any) -> None:
    told = []
    for library in (distrt, torch):
        rooms, _ = _rooms(library)

        class Scaled(library.nn.Module):  # type: ignore[misc]
            def forward(self, x: Any, *, factor: Any, shift: int = 0) -> Any:
                return x * factor + shift

        part = rooms.checkpoint_wrapper(Scaled(), checkpoint_impl=rooms.CheckpointImpl.REENTRANT)
        x, factor = library.ones(2).requires_grad_(), library.full((2,), 3.0).requires_grad_()
        out = part(x, shift=1, factor=factor)
        out.sum().backward()
        with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
            plain = part(x.detach(), factor=2.0)
        told.append(
            (out.tolist(), x.grad.tolist(), factor.grad.tolist(), out.grad_fn.name(), plain.requires_grad)
        )
    assert told[0] == told[1]
