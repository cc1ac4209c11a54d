"""The device beside the CPU, whatever its kind: on this machine none is found, and each question is answered so."""

from __future__ import annotations

from typing import Any, NoReturn

from distrt.core.device import device
from distrt.core.errors import DeviceMissing

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def is_available() -> bool:
    """True where tensors can be put on an accelerator."""
    return False


def current_accelerator(check_available: bool = False) -> device | None:
    """The kind of accelerator; None without one."""
    return None


def device_count() -> int:
    """The number of accelerators."""
    return 0


def _none(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises DeviceMissing."""
    raise DeviceMissing(
        "Cannot access accelerator device when none is available: ask distrt.accelerator.is_available() first"
    )


current_device_index = current_device_idx = current_stream = empty_cache = _none
max_memory_allocated = max_memory_reserved = memory_allocated = memory_reserved = memory_stats = _none
reset_accumulated_memory_stats = reset_peak_memory_stats = _none
set_device_idx = set_device_index = set_stream = synchronize = _none


class device_index:  # noqa: N801 - PyTorch's own spelling
    """Makes an accelerator the current one for a block; None leaves it."""

    def __init__(self, device: int | None, /) -> None:
        self._index = device

    def __enter__(self) -> None:
        if self._index is not None:
            _none()

    def __exit__(self, *exception: object) -> None:
        """Changes nothing."""
