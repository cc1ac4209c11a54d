"""The name in the table of a Python function that a source names."""

from __future__ import annotations

import functools
from typing import Any

from distrt.core import creation, ops
from distrt.core.random.generator import manual_seed
from distrt.core.tensors import questions
from distrt.jit import table
from distrt.nn import functional
from distrt.tracing.targets import lookup


def target_of(function: Any) -> str | None:
    """The operation that a function is; None for one of the user's, which is compiled."""
    definition = getattr(function, "definition", None)
    if definition is not None and getattr(definition.function, "__name__", None) == definition.name:
        return definition.name if table.has(definition.name) else None
    name = getattr(function, "__name__", "")
    if getattr(functional, name, None) is function:
        return f"nn.functional.{name}"
    if str(getattr(function, "__module__", "")).partition(".")[0] != "distrt":
        return None
    plain = _unwrapped(function)
    for space in (ops, creation):
        own = getattr(space, name, None)
        if own is not None and _unwrapped(own) is plain:
            return name if _is_there(name) else f"torch.{name}"
    if getattr(questions, name, None) is function or function is manual_seed:
        return f"torch.{name}"
    return _by_identity().get(id(plain))


def _is_there(name: str) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True


def _unwrapped(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


@functools.cache
def _by_identity() -> dict[int, str]:
    """Operations that are public under another name, as those of ``distrt.linalg`` and ``distrt.special`` are."""
    return {id(_unwrapped(getattr(ops, name))): name for name in ops.__all__ if callable(getattr(ops, name))}
