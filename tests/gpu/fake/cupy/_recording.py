"""Captured graphs: what a stream was given while it was captured, to be done to the same memory at each replay.

As on a GPU, capturing changes nothing: what would write to an array that is there waits for the replay. What makes a
new array makes it, with values of no meaning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

_calls: list[tuple[Callable[..., Any], Any, Any, Any]] | None = None
_depth = 0
_WRITING = {
    "RawKernel.__call__",
    "ndarray.__setitem__",
    "ndarray.fill",
    "ndarray.partition",
    "ndarray.put",
    "ndarray.scatter_add",
    "ndarray.sort",
    "ufunc.at",
}


class UnsupportedError(RuntimeError):
    """What CUDA says of a wait in a captured stream."""


def begin() -> None:
    global _calls
    _calls = []


def end() -> Graph:
    global _calls
    found, _calls = _calls, None
    assert found is not None
    return Graph(found)


def is_capturing() -> bool:
    return _calls is not None


def refuse_waiting() -> None:
    if is_capturing():
        raise UnsupportedError(
            "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
        )


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Notes calls, but not those that they make themselves."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        global _depth
        if _calls is None or _depth:
            return function(*args, **kwargs)
        out = kwargs.get("out")
        if function.__qualname__ in _WRITING or out is not None:
            result = out[0] if isinstance(out, tuple) and len(out) == 1 else out
        else:
            _depth += 1
            try:
                result = function(*args, **kwargs)
            finally:
                _depth -= 1
        _calls.append((function, args, kwargs, result))
        return result

    return call


class Graph:
    """What was captured."""

    def __init__(self, calls: list[tuple[Callable[..., Any], Any, Any, Any]]) -> None:
        self._calls = calls

    def launch(self, stream: Any = None) -> None:
        for function, args, kwargs, result in self._calls:
            _put(function(*args, **kwargs), result)

    def upload(self, stream: Any = None) -> None:
        """Nothing to be done."""


def _put(found: Any, place: Any) -> None:
    if isinstance(place, tuple | list):
        for one, other in zip(found, place, strict=True):
            _put(one, other)
    elif hasattr(place, "_host") and not np.may_share_memory(found._host, place._host):
        place._host[...] = found._host
