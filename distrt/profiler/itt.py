"""``torch.profiler.itt``: Intel's marks, as in a PyTorch that was built without them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

__all__ = ["is_available", "mark", "range", "range_pop", "range_push"]


def is_available() -> bool:
    """False: nobody could read the marks."""
    return False


def range_push(msg: str) -> NoReturn:
    """Would begin a range.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError("ITT functions not installed. Are you sure you have a ITT build?")


def range_pop() -> NoReturn:
    """Would end the innermost range.

    Raises:
        RuntimeError: always.
    """
    range_push("")


def mark(msg: str) -> NoReturn:
    """Would mark a moment.

    Raises:
        RuntimeError: always.
    """
    range_push(msg)


@contextlib.contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """Would show a block as a range.

    Raises:
        RuntimeError: always.
    """
    range_push(msg.format(*args, **kwargs))
    yield
