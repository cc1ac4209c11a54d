"""Streams and events: names that a program may mention, objects that it can make only where there is a GPU."""

from __future__ import annotations

from typing import Any

from distrt.core.errors import DeviceMissing

__all__ = ["Event", "ExternalStream", "Stream", "StreamContext", "stream"]


class Stream:
    """A queue of work of a GPU.

    Raises:
        DeviceMissing: without a GPU.
    """

    def __init__(self, device: Any = None, priority: int = 0, **options: Any) -> None:
        raise DeviceMissing("torch.cuda.Stream requires CUDA support: distrt finds no GPU here")


class ExternalStream(Stream):
    """A stream that another library made."""


class Event:
    """A mark in a stream, to wait for or to take times at.

    Raises:
        DeviceMissing: without a GPU; ``time.perf_counter`` takes times on the CPU.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        raise DeviceMissing(
            "torch.cuda.Event requires CUDA support: distrt finds no GPU here; take times with time.perf_counter()"
        )


class StreamContext:
    """A block whose work goes into a stream; with None, as without a GPU, nothing is different."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        """Changes nothing."""

    def __exit__(self, *exception: object) -> None:
        """Changes nothing."""


def stream(stream: Stream | None) -> StreamContext:
    """The block of ``StreamContext``."""
    return StreamContext(stream)
