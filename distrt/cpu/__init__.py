"""Facade: the CPU as PyTorch's device modules describe a device."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from distrt.cpu import amp
from distrt.cpu.memory import memory_stats, memory_summary

__all__ = [
    "Stream",
    "amp",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "is_initialized",
    "memory_stats",
    "memory_summary",
    "set_device",
    "stream",
    "synchronize",
]


class Stream:
    """The one queue of work of a CPU, on which everything is done when the call returns."""

    def wait_stream(self, stream: Any) -> None:
        """Everything is done already."""

    def record_event(self) -> None:
        """Everything is done already."""

    def wait_event(self, event: Any) -> None:
        """Everything is done already."""


def is_available() -> bool:
    """True."""
    return True


is_initialized = is_available


def device_count() -> int:
    """One."""
    return 1


def current_device() -> str:
    """``"cpu"``."""
    return "cpu"


def set_device(device: Any) -> None:
    """There is one only."""


def synchronize(device: Any = None) -> None:
    """Everything is done already."""


def current_stream(device: Any = None) -> Stream:
    """The one stream."""
    return Stream()


def stream(stream: Any) -> nullcontext[None]:
    """A block in which nothing is different."""
    return nullcontext()
