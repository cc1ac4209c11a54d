"""Training steps: optimizers say here that they have taken one, and who shows how far a run is (comm) listens."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["leave", "listen", "taken"]

_listeners: dict[str, Callable[[int], None]] = {}


def listen(role: str, listener: Callable[[int], None]) -> None:
    """Calls ``listener(count)`` at each optimizer's ``count``-th step, in place of who had this role before."""
    _listeners[role] = listener


def leave(role: str, listener: Callable[[int], None]) -> None:
    """Tells ``listener`` no more, if it has this role still."""
    if _listeners.get(role) == listener:
        del _listeners[role]


def taken(count: int) -> None:
    """Tells that an optimizer has taken its ``count``-th step."""
    for listener in _listeners.values():
        listener(count)
