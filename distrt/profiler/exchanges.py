"""``Exchanges``: calls of groups as events from launch to end, as PyTorch's backends have: ``gloo:all_reduce``."""

from __future__ import annotations

import time
import types
from collections.abc import Callable
from typing import Any

from distrt.core.process.activity import Listener, Transfer
from distrt.profiler.events import FunctionEvent, TimeRange

__all__ = ["Exchanges"]

#: What each of `ProcessGroup` 's methods is given to pass on.
_INPUTS = {
    **dict.fromkeys(
        "all_reduce reduce broadcast all_gather gather reduce_scatter send recv".split(), "array"
    ),
    **dict.fromkeys(["scatter", "all_to_all"], "inputs"),
}


class Exchanges(Listener):
    """Makes an event of each call that a method of `ProcessGroup` launches, in any thread.

    Args:
        calling: the frame of that method, where one runs in this thread.
        numbers: the number of the next event, and this thread's.
        shows_shapes: whether events tell the shapes of what was passed on.

    Attributes:
        events: those that have ended, in the order in which they ended.
    """

    is_close = True

    def __init__(
        self,
        calling: Callable[[], types.FrameType | None],
        numbers: Callable[[], tuple[int, int]],
        shows_shapes: bool,
    ) -> None:
        self._calling, self._numbers, self._shows_shapes = calling, numbers, shows_shapes
        self._begun: dict[Transfer, FunctionEvent] = {}
        self.events: list[FunctionEvent] = []

    def launch(self, transfer: Transfer) -> None:
        """See `Listener`."""
        frame = self._calling()
        if frame is None:
            return
        method, given = frame.f_code.co_name, frame.f_locals
        name = "recvAnySource" if method == "recv" and given["src"] is None else method
        number, thread = self._numbers()
        began_us = transfer.began_ns / 1e3
        self._begun[transfer] = FunctionEvent(
            id=number,
            trace_name=f"{given['self'].backend}:{name}",
            thread=thread,
            time_range=TimeRange(began_us, began_us),
            input_shapes=_shapes(given.get(_INPUTS.get(method, ""))) if self._shows_shapes else [],
            is_user_annotation=True,
            is_async=True,
        )

    def land(self, transfer: Transfer) -> None:
        """See `Listener`."""
        event = self._begun.pop(transfer, None)
        if event is not None:
            event.time_range.end = time.perf_counter_ns() / 1e3
            self.events.append(event)


def _shapes(given: Any) -> list[list[int]]:
    if given is None:
        return []
    return [list(each.shape) for each in (given if isinstance(given, list | tuple) else [given])]
