"""A CUDA graph that is being captured by this thread: what cannot be in it is refused, and what changes is noted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from distrt.core.errors import CaptureError

__all__ = ["Capture", "capturing", "refuse"]


class Capture:
    """What a graph needs beside its kernels.

    Attributes:
        before_replay: called in this order before each replay: they bring numbers to the GPU that kernels read there.
        kept: arrays that kernels of the graph read, and that nobody else may keep as long.
        step: of an optimizer, whose kernels are being captured; it knows what changes from replay to replay.
    """

    def __init__(self) -> None:
        self.before_replay: list[Callable[[], None]] = []
        self.kept: list[Any] = []
        self.step: Any = None


class _Capturing(threading.local):
    """``now`` is the capture of this thread; None while there is none."""

    now: Capture | None = None


capturing = _Capturing()


def refuse(what: str, why: str = "it waits for the GPU") -> None:
    """Refuses what would be wrong in a graph, or break it off.

    Raises:
        CaptureError: while a graph is captured.
    """
    if capturing.now is not None:
        raise CaptureError(f"{what} cannot be captured in a CUDA graph: {why}")
