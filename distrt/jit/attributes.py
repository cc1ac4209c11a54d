"""What a program sees of the modules that it runs in: parameters, buffers, children, plain values, methods.

Properties and methods of Python classes are out of its reach; layers of distrt are called, and read, as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.jit import table
from distrt.nn.modules.container import ModuleDict
from distrt.nn.modules.module import Module

_SHOWN = ("training",)


def attribute_of(owner: Any, name: str) -> Any:
    """The attribute of a module, or of a value.

    Raises:
        RuntimeError: where a program cannot read that.
    """
    if not isinstance(owner, Module):
        return table.attribute(owner, name)
    state = owner.__dict__  # written out: programs come here for every parameter of every layer
    if name in state["_parameters"]:
        return state["_parameters"][name]
    if name in state["_modules"]:
        return state["_modules"][name]
    if name in state["_buffers"]:
        return state["_buffers"][name]
    if name in state.get("_attributes", ()):
        return state["_attributes"][name]
    if name in state and not name.startswith("_"):
        return state[name]
    raise RuntimeError(f"Module '{_name_of(owner)}' has no attribute '{name}'")


def set_attribute(owner: Any, name: str, value: Any) -> None:
    """Gives an attribute of a module, or of a tensor, another value.

    Raises:
        RuntimeError: where a program cannot do that.
    """
    if isinstance(owner, Module):
        state = owner.__dict__
        if name in state["_parameters"] or name in state["_buffers"]:
            setattr(owner, name, value)
        elif name in state.get("_attributes", ()):
            state["_attributes"][name] = value
        elif name in _SHOWN:
            owner.training = bool(value)
        else:
            raise RuntimeError(
                f"Tried to set nonexistent attribute: {name}. Did you forget to initialize it in __init__()?"
            )
    elif name in ("grad", "data", "requires_grad"):
        table.attribute(owner, name)
        setattr(owner, name, value)
    else:
        raise RuntimeError(f"'{type(owner).__name__}' object has no attribute '{name}' that can be set")


def bound_method(owner: Any, name: str) -> Callable[..., Any]:
    """The method of a module, or of a value.

    Raises:
        RuntimeError: where a program cannot call that.
    """
    if not isinstance(owner, Module):
        return table.method(owner, name)
    scripted = owner.__dict__.get("_functions")
    if scripted is not None and name in scripted:
        return owner._method(name)  # type: ignore[no-any-return]
    if name == "forward" and scripted is None:
        return owner.forward
    has_keys = isinstance(owner, ModuleDict) or getattr(type(owner), "stands_for_a_dict", False)
    if has_keys and name in ("keys", "values", "items"):
        return getattr(owner, name)  # type: ignore[no-any-return]
    raise RuntimeError(f"Module '{_name_of(owner)}' has no method '{name}'")


def _name_of(module: Module) -> str:
    return str(module.__dict__.get("_original_name", type(module).__name__))
