"""Intel's oneDNN. distrt chooses when to call it; PyTorch's switches are kept, and change nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from distrt.backends._switches import set_switches, switched

__all__ = ["flags", "is_available", "set_flags"]

allow_tf32 = True
deterministic = False
enabled = True


def is_available() -> bool:
    """False."""
    return False


def set_flags(
    _enabled: bool | None = None, _deterministic: bool | None = None, _allow_tf32: bool | None = None
) -> tuple[Any, ...]:
    """Sets the switches that are given, and returns what they were."""
    wanted = {"enabled": _enabled, "deterministic": _deterministic, "allow_tf32": _allow_tf32}
    return tuple(set_switches(__name__, wanted).values())


def flags(
    enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True
) -> AbstractContextManager[None]:
    """The switches for a block."""
    return switched(__name__, {"enabled": enabled, "deterministic": deterministic, "allow_tf32": allow_tf32})
