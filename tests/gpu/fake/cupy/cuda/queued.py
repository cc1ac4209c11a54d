"""What a stream has queued and is not done: only what the fake of NCCL does, since all else is computed at once.

Streams and events remember it, so that results are waited for or missed as on hardware.  Whatever is computed comes
behind what its own stream has queued; an array that another stream's queued work writes or reads is a race, which
raises here where hardware would give wrong numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from numpy.lib.array_utils import byte_bounds

_outstanding: set[Pending] = set()
_lock = threading.Lock()


class Pending:
    """Something queued: it begins when what was queued before it in its stream is over."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self.ranges = [(start, stop) for start, stop in ranges if stop > start]
        self.reads: list[tuple[int, int]] = []
        self.before: list[Pending] = []
        self.kept: list[Any] = []
        self._over = threading.Event()
        with _lock:
            _outstanding.add(self)

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def end(self) -> None:
        """It is done, or was aborted."""
        self._over.set()
        self.before, self.kept = [], []
        with _lock:
            _outstanding.discard(self)

    def wait(self) -> None:
        """Waits for its end."""
        self._over.wait()

    def touches(self, array: Any) -> bool:
        """Whether it writes there."""
        low, high = byte_bounds(array)
        return any(start < high and low < stop for start, stop in self.ranges)

    def needs(self, array: Any) -> bool:
        """Whether it reads or writes there."""
        low, high = byte_bounds(array)
        return any(start < high and low < stop for start, stop in (*self.ranges, *self.reads))


def keep(memory: Any) -> None:
    """Memory that nobody has a name for any more stays for as long as something queued uses it."""
    for each in list(_outstanding):
        if not each.is_over and memory.size and each.needs(memory):
            each.kept.append(memory)


def live(pending: Iterable[Pending]) -> list[Pending]:
    """Those that are not over, each once."""
    return [each for each in dict.fromkeys(pending) if not each.is_over]


def settle(array: Any) -> Any:
    """The memory of an array that is computed with now: what the current stream has queued is waited for.

    Raises:
        RuntimeError: another stream's queued work has it.
    """
    if not _outstanding:
        return array
    wait_for_stream()
    with _lock:
        outstanding = list(_outstanding)
    for each in outstanding:
        if not each.is_over and array.size and each.touches(array):
            raise RuntimeError("race: an array is used while another stream's queued work still has it")
    return array


def wait_for_stream() -> None:
    """What the current stream has queued."""
    from .stream import get_current_stream

    for each in get_current_stream().tail:
        each.wait()


def copied_later(target: Any, key: Any, value: Any) -> bool:
    """Queue ``target[key] = value`` behind what the current stream has queued; False where that is nothing."""
    from .stream import Stream, get_current_stream

    stream = get_current_stream()
    before = live(stream.tail)
    if not before or stream is Stream.null:
        return False
    copy = Pending([byte_bounds(target)] if target.size else [])
    copy.before, stream.tail = before, [copy]

    def work() -> None:
        for each in before:
            each.wait()
        target[key] = value
        copy.end()

    threading.Thread(target=work, daemon=True).start()
    return True


def wait_for_all() -> None:
    """What the device has queued, in all streams."""
    with _lock:
        outstanding = list(_outstanding)
    for each in outstanding:
        each.wait()
