"""``fork`` and ``wait``: a call that PyTorch may run beside others. Here it runs at once; ``wait`` gives its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.comm.futures import Future


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls ``func`` and gives a future that has its result already."""
    future: Any = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future: Any) -> Any:
    """The result of what ``fork`` has called."""
    return future.wait()
