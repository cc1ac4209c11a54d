"""Whether plain tensors beside a `DTensor` count as replicated: ``implicit_replication()``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["implicit_replication", "is_implicit"]


class _Thread(threading.local):
    is_on = False


_thread = _Thread()


def is_implicit() -> bool:
    """Whether this thread is inside of such a block."""
    return _thread.is_on


@contextlib.contextmanager
def implicit_replication() -> Iterator[None]:
    """Inside, operations take a plain tensor beside a `DTensor` for one that every rank has alike.

    The ranks must have equal values; nobody compares them.
    """
    outer, _thread.is_on = _thread.is_on, True
    try:
        yield
    finally:
        _thread.is_on = outer


implicit_replication.__module__ = "distrt.distributed.tensor.experimental"
