"""PyTorch's debug level: how much a job wants to be told, from ``TORCH_DISTRIBUTED_DEBUG``."""

from __future__ import annotations

import enum
import os

from distrt.core.errors import SettingError

__all__ = ["DebugLevel", "get_debug_level", "set_debug_level", "set_debug_level_from_env"]


class DebugLevel(enum.Enum):
    """How much; equal to no number, as in PyTorch, but a number by ``int(level)``."""

    OFF = 0
    INFO = 1
    DETAIL = 2

    def __int__(self) -> int:
        return self.value


_chosen: list[DebugLevel] = []  # by `set_debug_level`; for the whole process, as in PyTorch


def get_debug_level() -> DebugLevel:
    """The level that was set, or that of the environment."""
    return _chosen[0] if _chosen else _of_environment()


def set_debug_level(level: DebugLevel) -> None:
    """Set the level of this process."""
    _chosen[:] = [DebugLevel(level)]


def set_debug_level_from_env() -> None:
    """Take the level of the environment again.

    Raises:
        SettingError: ``TORCH_DISTRIBUTED_DEBUG`` is not OFF, INFO or DETAIL.
    """
    _chosen[:] = [_of_environment()]


def _of_environment() -> DebugLevel:
    text = os.environ.get("TORCH_DISTRIBUTED_DEBUG") or "OFF"
    try:
        return DebugLevel[text.upper()]
    except KeyError:
        raise SettingError(f"TORCH_DISTRIBUTED_DEBUG={text!r}: expected OFF, INFO or DETAIL") from None
