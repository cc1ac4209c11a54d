"""The device beside the CPU, whatever its kind: GPUs where there are some, by the functions of ``distrt.cuda``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from distrt.core.device import device
from distrt.core.errors import DeviceMissing
from distrt.core.gpu import library

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
    return library.device_count() > 0


def current_accelerator(check_available: bool = False) -> device | None:
    """The kind of accelerator; None without one."""
    return device("cuda") if is_available() else None


def device_count() -> int:
    """The number of accelerators."""
    return library.device_count()


def _require() -> None:
    if not is_available():
        raise DeviceMissing(
            "Cannot access accelerator device when none is available: ask distrt.accelerator.is_available() first"
        )


def _of_gpus(name: str) -> Callable[..., Any]:
    """A function of ``distrt.cuda``, which raises DeviceMissing where there is no GPU."""

    def ask(*args: Any, **kwargs: Any) -> Any:
        _require()
        return getattr(import_module("distrt.cuda"), name)(*args, **kwargs)

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = f"As ``cuda.{name}``. Raises DeviceMissing without an accelerator."
    return ask


current_device_index = current_device_idx = _of_gpus("current_device")
current_stream = _of_gpus("current_stream")
empty_cache = _of_gpus("empty_cache")
max_memory_allocated = _of_gpus("max_memory_allocated")
max_memory_reserved = _of_gpus("max_memory_reserved")
memory_allocated = _of_gpus("memory_allocated")
memory_reserved = _of_gpus("memory_reserved")
memory_stats = _of_gpus("memory_stats")
reset_accumulated_memory_stats = _of_gpus("reset_accumulated_memory_stats")
reset_peak_memory_stats = _of_gpus("reset_peak_memory_stats")
set_device_idx = set_device_index = _of_gpus("set_device")
set_stream = _of_gpus("set_stream")
synchronize = _of_gpus("synchronize")


class device_index:  # noqa: N801 - PyTorch's own spelling
    """Makes an accelerator the current one for a block; None leaves it."""

    def __init__(self, device: int | None, /) -> None:
        self._index = device
        self._before: int | None = None

    def __enter__(self) -> None:
        if self._index is not None:
            self._before = current_device_index()
            set_device_index(self._index)

    def __exit__(self, *exception: object) -> None:
        """Makes the one before the current one again."""
        if self._before is not None:
            set_device_index(self._before)
