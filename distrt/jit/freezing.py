"""``jit.freeze``: a module whose parameters have become part of the program."""

from __future__ import annotations

import copy
from typing import Any

from distrt.jit.program import Function
from distrt.jit.script_module import RecursiveScriptModule, ScriptModule
from distrt.nn.modules.module import Module


def frozen(module: Any, kept: list[str], keeps_parameters: bool) -> Any:
    """A copy that no longer depends on the module that it was made of.

    Raises:
        RuntimeError: for a module that is not scripted or traced, or is training.
    """
    if not isinstance(module, ScriptModule):
        raise RuntimeError(
            "Freezing expects a ScriptModule as input. Please use torch.jit.script or torch.jit.trace to script your "
            "'nn.Module'."
        )
    if module.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module "
            "before freezing."
        )
    made = copy.deepcopy(module)
    if isinstance(made, RecursiveScriptModule):
        wanted = _reached(made._functions, ["forward", *kept])
        made.__dict__["_functions"] = {name: each for name, each in made._functions.items() if name in wanted}
    if not keeps_parameters:
        for part in made.modules():
            _turn_into_constants(part)
    return made


def _reached(functions: dict[str, Function], names: list[str]) -> set[str]:
    """The methods of these names, and all that they call."""
    found: set[str] = set()
    waiting = [name for name in names if name in functions]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [each for each in _methods_in(functions[name].body) if each in functions]
    return found


def _methods_in(part: Any) -> list[str]:
    """The names of all methods that a piece of a program calls."""
    if isinstance(part, dict):
        part = list(part.values())
    if not isinstance(part, list):
        return []
    own = [part[2]] if len(part) == 5 and part[0] == "method" else []
    return own + [name for each in part for name in _methods_in(each)]


def _turn_into_constants(module: Module) -> None:
    """Parameters and buffers become attributes, which programs read as before."""
    state = module.__dict__
    own = {**state["_parameters"], **state["_buffers"]}
    where = state.get("_attributes", state)
    for name, tensor in own.items():
        where[name] = None if tensor is None else tensor.detach()
    state["_parameters"], state["_buffers"] = {}, {}
