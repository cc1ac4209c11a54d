"""What callers have declared safe: ``add_safe_globals`` and its kin. State of the process, as in PyTorch."""

from __future__ import annotations

from typing import Any

from distrt.files.names import written

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "registered", "safe_globals"]

_safe: set[Any] = set()


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Lets files name these classes and functions under ``weights_only=True``: instances are made, functions called.

    Args:
        safe_globals: classes and functions, or pairs of one and the name that files have for it.
    """
    _safe.update(safe_globals)


def get_safe_globals() -> list[Any]:
    """What ``add_safe_globals`` has been given."""
    return list(_safe)


def clear_safe_globals() -> None:
    """Forgets all that ``add_safe_globals`` has been given."""
    _safe.clear()


class safe_globals:  # noqa: N801 - PyTorch's own spelling
    """Declares classes and functions safe inside a ``with`` block."""

    def __init__(self, safe_globals: list[Any]) -> None:
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exception: object) -> None:
        _safe.difference_update(self.safe_globals)


def registered() -> dict[str, Any]:
    """The declared objects by the names that files have for them.

    Raises:
        ValueError, TypeError: for a tuple that is not an object and its name.
    """
    found: dict[str, Any] = {}
    for each in _safe:
        if not isinstance(each, tuple):
            found[f"{each.__module__}.{each.__qualname__}"] = each
            theirs = written(each)
            if theirs is not None:
                found[".".join(theirs)] = each
            continue
        if len(each) != 2:
            raise ValueError(
                f"Expected tuple of length 2 (global, str of callable full path), but got tuple of length: {len(each)}"
            )
        if type(each[1]) is not str:
            raise TypeError(
                f"Expected second item in tuple to be str of callable full path, but got: {type(each[1])}"
            )
        found[each[1]] = each[0]
    return found
