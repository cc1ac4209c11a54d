"""CUDA's own profiler, started and stopped by the program: ``nsys`` and its kin then record what lies between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distrt.cuda.devices import cupy

__all__ = ["profile", "start", "stop"]


def start() -> None:
    """From now on, an attached profiler records. Raises DeviceMissing without a GPU."""
    cupy().cuda.runtime.profilerStart()


def stop() -> None:
    """The attached profiler pauses. Raises DeviceMissing without a GPU."""
    cupy().cuda.runtime.profilerStop()


@contextmanager
def profile() -> Iterator[None]:
    """An attached profiler records the block."""
    start()
    try:
        yield
    finally:
        stop()
