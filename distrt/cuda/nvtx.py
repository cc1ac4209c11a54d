"""Marks and ranges that NVIDIA's tools show (``nsys``), by CuPy; without a GPU nobody could read them: nothing is done.

Source: https://docs.pytorch.org/docs/stable/cuda.html#nvidia-tools-extension-nvtx
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distrt.core.gpu.library import find

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]


class _Depth(threading.local):
    """How many ranges of a thread are open."""

    open = 0


_depth = _Depth()


def range_push(msg: str) -> int:
    """Opens a range in this thread: how many there were around it, or -1 where nobody could read it."""
    marks = _marks()
    if marks is None:
        return -1
    marks.RangePush(msg)
    _depth.open += 1
    return _depth.open - 1


def range_pop() -> int:
    """Closes the innermost range: how many there are around it, or -1 where there is none."""
    marks = _marks()
    if marks is None or not _depth.open:
        return -1
    marks.RangePop()
    _depth.open -= 1
    return _depth.open


def range_start(msg: str) -> int:
    """Opens a range that may end in another thread: 0, and nobody records it, since CuPy has no call for that."""
    return 0


def range_end(range_id: int) -> None:
    """Closes a range."""


def mark(msg: str) -> None:
    """Marks a moment."""
    marks = _marks()
    if marks is not None:
        marks.Mark(msg)


@contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A range around a block."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()


@functools.cache
def _marks() -> Any:
    """CuPy's marks; None without a GPU, or in a CuPy that was built without them."""
    cupy = find()
    marks = None if cupy is None else getattr(cupy.cuda, "nvtx", None)
    return marks if marks is not None and marks.available else None
