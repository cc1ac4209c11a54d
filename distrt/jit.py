"""Facade: questions about TorchScript that models ask while they run. Nothing is scripted or traced here yet."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from distrt.core.errors import UnsupportedError

__all__ = [
    "Final",
    "annotate",
    "export",
    "ignore",
    "is_scripting",
    "is_tracing",
    "script",
    "script_if_tracing",
    "trace",
    "unused",
]


def is_scripting() -> bool:
    """False: Python runs as it is written."""
    return False


def is_tracing() -> bool:
    """False."""
    return False


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value itself."""
    return the_value


def export(fn: Any) -> Any:
    """The function itself."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself; with an option, a decorator that returns it."""
    return drop if callable(drop) else export


def unused(fn: Any) -> Any:
    """The function itself."""
    return fn


def script_if_tracing(fn: Any) -> Any:
    """The function itself, which is what runs without tracing."""
    return fn


def script(*args: Any, **kwargs: Any) -> NoReturn:
    """Not in distrt yet. Raises UnsupportedError."""
    raise UnsupportedError("jit.script: distrt has no TorchScript yet; run the module itself")


def trace(*args: Any, **kwargs: Any) -> NoReturn:
    """Not in distrt yet. Raises UnsupportedError."""
    raise UnsupportedError("jit.trace: distrt has no TorchScript yet; run the module itself")
