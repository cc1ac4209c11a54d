"""Facade: the front of PyTorch's compiler, which scripts steer: here nothing is compiled, and nothing to steer."""

from __future__ import annotations

from typing import Any

from distrt._dynamo import config, eval_frame
from distrt._dynamo.eval_frame import OptimizedModule
from distrt.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    reset,
    set_stance,
)
from distrt.nn.modules.compiled import compile as _compile

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "disallow_in_graph",
    "eval_frame",
    "forbid_in_graph",
    "graph_break",
    "is_compiling",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "optimize",
    "reset",
    "set_stance",
]

disallow_in_graph = forbid_in_graph = allow_in_graph


def graph_break(msg: str = "") -> None:
    """Nothing is recorded that could be broken."""


def mark_dynamic(t: Any, index: Any, **options: Any) -> None:
    """Accepted: every size may change from call to call."""


mark_static = mark_static_address = maybe_mark_dynamic = mark_dynamic


def optimize(*args: Any, **kwargs: Any) -> Any:
    """A decorator that returns the function itself."""
    return _compile
