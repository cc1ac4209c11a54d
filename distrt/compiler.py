"""Facade: questions about compilation, which does not take place here; see ``distrt.compile``."""

from __future__ import annotations

from typing import Any

from distrt.nn.modules.compiled import compile

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "get_default_backend",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "nested_compile_region",
    "reset",
    "set_default_backend",
    "set_stance",
    "substitute_in_graph",
]


def is_compiling() -> bool:
    """False: code always runs as it is written."""
    return False


is_dynamo_compiling = is_compiling
is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, which is not compiled anyway; without one, a decorator."""
    return fn if fn is not None else lambda function: function


def allow_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function itself."""
    return fn


class set_stance:  # noqa: N801 - PyTorch's own spelling
    """Accepted as a call, a context manager and a decorator: there is nothing to steer."""

    def __init__(self, stance: str = "default", **options: Any) -> None:
        self.stance = stance

    def __enter__(self) -> None:
        """Changes nothing."""

    def __exit__(self, *exception: object) -> None:
        """Changes nothing."""

    def __call__(self, function: Any) -> Any:
        """The function itself."""
        return function


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """None."""
    return []


def reset() -> None:
    """Nothing has been compiled."""


def cudagraph_mark_step_begin() -> None:
    """There are no CUDA graphs."""


class _Default:
    """The backend that ``compile`` names where a script names none; it is remembered, and not used."""

    name: Any = "inductor"


def get_default_backend() -> Any:
    """The name that was set, or "inductor"."""
    return _Default.name


def set_default_backend(backend: Any) -> None:
    """Remembers a backend's name or function; None: "inductor" again."""
    _Default.name = "inductor" if backend is None else backend


def substitute_in_graph(original_fn: Any, **options: Any) -> Any:
    """A decorator that returns the function itself: no graph is made in which it could stand for the other."""
    return lambda function: function


def nested_compile_region(fn: Any = None, **options: Any) -> Any:
    """The function itself; without one, a decorator."""
    return fn if fn is not None else lambda function: function
