"""The fast path of attention layers: a switch that is remembered, since there is one path here."""

__all__ = ["get_fastpath_enabled", "set_fastpath_enabled"]

_state = {"enabled": True}


def get_fastpath_enabled() -> bool:
    """What was set."""
    return _state["enabled"]


def set_fastpath_enabled(value: bool) -> None:
    """Remembers the wish."""
    _state["enabled"] = bool(value)
