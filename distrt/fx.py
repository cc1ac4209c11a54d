"""``torch.fx``'s names that programs mention without tracing anything: distrt makes no graphs of programs.

Libraries mark functions with ``wrap`` and ask whether a model is a ``GraphModule``; both are answered. What would trace
raises `UnsupportedError` when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError
from distrt.nn.modules.module import Module

__all__ = [
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "Proxy",
    "Tracer",
    "Transformer",
    "symbolic_trace",
    "wrap",
]


def wrap(fn_or_name: str | Callable[..., Any]) -> str | Callable[..., Any]:
    """The function: a mark for tracers, of which there is none.

    Raises:
        RuntimeError: it is neither a function nor a name.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def symbolic_trace(
    root: Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None
) -> NoReturn:
    """Not in distrt.

    Raises:
        UnsupportedError: always.
    """
    _refuse("symbolic_trace")


def _refuse(name: str) -> NoReturn:
    raise UnsupportedError(
        f"distrt.fx.{name}: distrt does not trace programs into graphs: run the function itself"
    )


class _Refusing:
    """What no object is an instance of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse(type(self).__name__)


class Graph(_Refusing):
    """Not in distrt: no object is one."""


class Node(_Refusing):
    """Not in distrt: no object is one."""


class Proxy(_Refusing):
    """Not in distrt: no object is one."""


class Tracer(_Refusing):
    """Not in distrt; classes that derive from it can be written, and raise when they are made."""


class Interpreter(_Refusing):
    """Not in distrt."""


class Transformer(_Refusing):
    """Not in distrt."""


class GraphModule(_Refusing, Module):
    """Not in distrt: no module is one."""
