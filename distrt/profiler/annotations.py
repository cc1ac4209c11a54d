"""``record_function``: a name for what a program does in a block."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from distrt.profiler import recording

__all__ = ["record_function"]


class record_function:  # noqa: N801 - PyTorch's own spelling
    """Shows a block, or every call of a function, under a name of the user's; costs nothing while nobody profiles.

        with record_function("forward"):
            loss = model(inputs).mean()

    Args:
        name: what the event is called.
        args: a note that the trace shows with it.

    Raises:
        TypeError: a name that is no text.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"record_function: expected a name that is a str, got {type(name).__name__}")
        self.name, self.args = name, args
        self._open: list[Any] = []

    def __enter__(self) -> record_function:
        recorder = recording.running()
        self._open.append((recorder, recorder.begin(self.name, args=self.args) if recorder else None))
        return self

    def __exit__(self, *exception: object) -> None:
        recorder, event = self._open.pop()
        if recorder is not None:
            recorder.end(event)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, each call of which is shown."""

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return called
