"""Kinds of devices that distrt does not know, answered for as PyTorch does where it was built without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from distrt.core.errors import DeviceMissing

#: Questions that have an answer without the device; all other names raise where they are called.
_ANSWERS: dict[str, Any] = {
    "device_count": 0,
    "empty_cache": None,
    "is_available": False,
    "is_bf16_supported": False,
    "is_initialized": False,
    "manual_seed": None,
    "manual_seed_all": None,
    "max_memory_allocated": 0,
    "max_memory_reserved": 0,
    "memory_allocated": 0,
    "memory_reserved": 0,
    "reset_peak_memory_stats": None,
}


def functions_of(kind: str, names: str) -> dict[str, Callable[..., Any]]:
    """The functions of a device's module, by name."""
    return {name: _answer(kind, name) for name in names.split()}


def _answer(kind: str, name: str) -> Callable[..., Any]:
    def say(*args: Any, **kwargs: Any) -> Any:
        return _ANSWERS[name]

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise DeviceMissing(
            f"Torch not compiled with {kind.upper()} enabled: {kind}.{name} needs such a device"
        )

    made: Callable[..., Any] = say if name in _ANSWERS else refuse
    made.__name__ = made.__qualname__ = name
    made.__doc__ = (
        f"As without such a device: {_ANSWERS[name]}." if name in _ANSWERS else "Raises DeviceMissing."
    )
    return made
