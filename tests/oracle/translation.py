"""PyTorch's own test inputs, made into distrt's: tensors, modules, dtypes and functions inside any nesting."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from typing import Any

import distrt
from tests.oracles import require_torch

torch = require_torch()


class Untranslatable(Exception):  # noqa: N818 - it says what is the case
    """distrt has nothing of the kind: a sparse or quantised tensor."""


class Translation:
    """Translates values; one tensor stays one tensor, however often it occurs."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        """The same for distrt."""
        if isinstance(value, torch.Tensor | torch.nn.Module):
            if id(value) not in self._known:
                made = _module(self, value) if isinstance(value, torch.nn.Module) else _tensor(value)
                self._known[id(value)] = (value, made)  # the value is kept, so that its id stays its own
            return self._known[id(value)][1]
        if isinstance(value, dict):
            return type(value)((key, self(each)) for key, each in value.items())
        if isinstance(value, torch.Size):
            return distrt.Size(value)
        if isinstance(value, list | tuple):
            made = [self(each) for each in value]
            return _named(type(value), made) if hasattr(value, "_fields") else type(value)(made)
        if isinstance(value, torch.dtype | torch.device):
            return _same_name(value)
        if isinstance(value, functools.partial):
            return functools.partial(self(value.func), *self(value.args), **self(value.keywords))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {each.name: self(getattr(value, each.name)) for each in dataclasses.fields(value)}
            return _function(type(value))(**fields)
        return _function(value)


def _tensor(tensor: Any) -> Any:
    if tensor.layout != torch.strided:
        raise Untranslatable(str(tensor.layout))
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        made = distrt.from_numpy(plain.view(torch.int16).clone().numpy()).view(distrt.bfloat16)
    else:
        made = distrt.from_numpy(plain.clone().numpy())
    if isinstance(tensor, torch.nn.Parameter):
        return distrt.nn.Parameter(made, tensor.requires_grad)
    return made.requires_grad_(tensor.requires_grad)


def _module(translate: Translation, module: Any) -> Any:
    """A module of the same class and state, made without its constructor's arguments."""
    home = importlib.import_module(type(module).__module__.replace("torch", "distrt", 1))
    made = object.__new__(getattr(home, type(module).__name__))
    distrt.nn.Module.__init__(made)
    for name, value in vars(module).items():
        if name in ("_parameters", "_buffers", "_modules"):
            getattr(made, name).update({key: translate(each) for key, each in value.items()})
        elif name in made.__dict__ and name != "training":
            continue  # hooks and the like
        else:
            made.__dict__[name] = translate(value)
    return made


def _same_name(value: Any) -> Any:
    if isinstance(value, torch.device):
        return distrt.device(str(value))
    found = getattr(distrt, str(value).removeprefix("torch."), None)
    if found is None:
        raise Untranslatable(str(value))
    return found


def _named(kind: type, parts: list[Any]) -> Any:
    ours = getattr(distrt.nn.functional, kind.__name__, None) or getattr(distrt.nn, kind.__name__, kind)
    return ours(*parts)


def _function(value: Any) -> Any:
    """distrt's function or class of the same name, for PyTorch's own; anything else is itself."""
    home = getattr(value, "__module__", None) or ""
    name = getattr(value, "__name__", "")
    if inspect.isbuiltin(value) or (callable(value) and home.startswith("torch.")):
        for room in (distrt.nn, distrt.nn.functional, distrt.optim.lr_scheduler, distrt):
            if hasattr(room, name):
                return getattr(room, name)
    return value
