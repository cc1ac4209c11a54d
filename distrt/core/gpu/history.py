"""Who took memory of GPUs and gave it back, when, and from where in the program: noted from when somebody asks on.

Called by ``memory`` and ``uses`` for each allocation; ``distrt.cuda.snapshots`` puts the notes into PyTorch's form.
"""

from __future__ import annotations

import functools
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from distrt.core.gpu import library

__all__ = ["Block", "Event", "History", "noting"]

#: Lines of the program, the innermost first: the code and the line's number.
Frames = tuple[tuple[Any, int], ...]


class Block(NamedTuple):
    """Memory that an array has.

    Attributes:
        size: in bytes, as the pool gave it.
        requested: the bytes that were asked for.
        stream: the handle of the one that it was made for.
        pool: PyTorch's number of the pool: (0, 0) is everybody's.
        frames: where it was made; none where nobody noted it.
    """

    size: int
    requested: int
    stream: int
    pool: tuple[int, int]
    frames: Frames | None


class Event(NamedTuple):
    """What has happened to memory, in PyTorch's words; ``address`` of a lack is how much was free."""

    action: str
    address: int
    size: int
    stream: int
    time_us: int
    pool: tuple[int, int]
    frames: Frames | None


class History:
    """What is noted.

    Args:
        context: up to where lines of the program are noted: "state", "alloc" (the same) or "all", which has those that
            free memory, too; None for none.
        most: events of each GPU that are kept, the last ones.
        skipped: actions that are not noted.
    """

    def __init__(self, context: str | None, most: int, skipped: frozenset[str]) -> None:
        self.context, self._skipped = context, skipped
        self.events: dict[int, deque[Event]] = defaultdict(lambda: deque(maxlen=min(most, sys.maxsize)))

    def allocate(self, allocate: Callable[[int], Any], nbytes: int, pool: tuple[int, int]) -> Any:
        """As ``allocate``; what the pool itself gets from the GPU is noted as a segment."""
        frames = self.lines() if self.context else None
        with _segment_hook()(self, pool, frames):
            return allocate(nbytes)

    def lines(self) -> Frames:
        """Where the program is, without the lines that count memory."""
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(_HERE):
            frame = frame.f_back
        found = []
        while frame is not None:
            found.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        return tuple(found)

    def note(
        self,
        action: str,
        gpu: int,
        address: int,
        size: int,
        stream: int,
        pool: tuple[int, int],
        frames: Frames | None,
    ) -> None:
        """Adds an event."""
        if action not in self._skipped:
            now_us = time.time_ns() // 1000
            self.events[gpu].append(Event(action, address, size, stream, now_us, pool, frames))

    def freed(self, gpu: int, address: int, block: Block) -> None:
        """An array has given its memory back; the pool has it at once."""
        frames = self.lines() if self.context == "all" else None
        for action in ("free_requested", "free_completed"):
            self.note(action, gpu, address, block.size, block.stream, block.pool, frames)


_HERE = __file__.rpartition("/")[0]


@functools.cache
def _segment_hook() -> Any:
    """The class of what CuPy tells of memory that a pool gets from the GPU, in its own thread."""

    class Segments(library.find().cuda.MemoryHook):  # type: ignore[misc]
        name = "distrt's history"

        def __init__(self, history: History, pool: tuple[int, int], frames: Frames | None) -> None:
            self.given = history, pool, frames

        def alloc_postprocess(self, device_id: int, mem_size: int, mem_ptr: int, **more: Any) -> None:
            if mem_ptr:
                history, pool, frames = self.given
                stream = library.find().cuda.get_current_stream().ptr
                history.note("segment_alloc", device_id, mem_ptr, mem_size, stream, pool, frames)

    return Segments


class _Noting:
    """``now`` is what notes; None while nothing does. All threads have the same."""

    now: History | None = None


noting = _Noting()
