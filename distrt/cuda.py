"""Facade: what a machine without a GPU answers. The GPU room fills it in."""

from __future__ import annotations

from typing import Any, NoReturn

from distrt.core.errors import DeviceError

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "set_device",
    "synchronize",
]


def is_available() -> bool:
    """True where tensors can be put on a GPU."""
    return False


def device_count() -> int:
    """The number of GPUs."""
    return 0


def _none(*args: Any, **kwargs: Any) -> NoReturn:
    raise DeviceError("no CUDA device is available on this machine; ask distrt.cuda.is_available() first")


current_device = _none
get_device_name = _none
set_device = _none
synchronize = _none


def manual_seed(seed: int) -> None:
    """Nothing to seed without a GPU."""


def manual_seed_all(seed: int) -> None:
    """Nothing to seed without a GPU."""


def empty_cache() -> None:
    """Nothing to empty without a GPU."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of tensors on the GPU: 0 without one."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes held from the GPU: 0 without one."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The peak of ``memory_allocated``: 0 without a GPU."""
    return 0
