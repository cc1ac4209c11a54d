"""``distrt.compile``: returns what it is given. Programs that call it run unchanged; nothing is captured yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """The module or function itself; without one, a decorator that returns what it decorates.

    Raises:
        RuntimeError: where both ``mode`` and ``options`` are given, or something that cannot be called.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if model is None:
        return lambda decorated: compile(decorated, mode=mode, options=options)
    if not callable(model):
        raise RuntimeError(f"compile: expected a module or a function, got {type(model).__name__}")
    return model
