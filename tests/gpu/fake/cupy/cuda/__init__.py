"""Devices, streams, events and memory of the fake."""

from __future__ import annotations

import threading
from typing import Any

from . import device, memory, nccl, runtime, traffic
from .memory import (
    MemoryHook,
    MemoryPointer,
    MemoryPool,
    UnownedMemory,
    alloc,
    alloc_pinned_memory,
    get_allocator,
    set_allocator,
    set_pinned_memory_allocator,
    using_allocator,
)
from .stream import Event, ExternalStream, Stream, get_current_stream, get_elapsed_time

__all__ = [
    "Device",
    "Event",
    "ExternalStream",
    "MemoryHook",
    "MemoryPointer",
    "MemoryPool",
    "Stream",
    "UnownedMemory",
    "alloc",
    "alloc_pinned_memory",
    "device",
    "get_allocator",
    "get_current_stream",
    "get_elapsed_time",
    "memory",
    "nccl",
    "runtime",
    "set_allocator",
    "set_pinned_memory_allocator",
    "traffic",
    "using_allocator",
]


class _Current(threading.local):
    number = 0


_current = _Current()


class Device:
    """A device by its number."""

    def __init__(self, device: int | None = None) -> None:
        self.id = _current.number if device is None else device
        self._before: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __index__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        """Makes it the current one."""
        runtime.setDevice(self.id)

    def synchronize(self) -> None:
        """Waits for what is queued."""
        runtime.deviceSynchronize()

    @property
    def mem_info(self) -> tuple[int, int]:
        return runtime.memGetInfo()

    @property
    def compute_capability(self) -> str:
        return "90"

    def __enter__(self) -> Device:
        self._before.append(_current.number)
        self.use()
        return self

    def __exit__(self, *exception: Any) -> None:
        _current.number = self._before.pop()


def current() -> Device:
    """The current device."""
    return Device(_current.number)


def is_available() -> bool:
    """True: there are fake devices."""
    return True
