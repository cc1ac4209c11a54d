"""How the ranks' lines look where somebody reads them: prefixes in colour, and what several ranks say, said once."""

import os
import time
from collections import deque
from dataclasses import dataclass

from launch.reports.output import Sink

__all__ = ["FOLD_CHOICES", "Display", "name_of", "wants_display"]

FOLD_CHOICES = ("auto", "always", "never")
_PATIENCE_S = 0.1  # how long a line waits for other ranks to say the same
_BURST = 100  # a read with more lines than this is a flood, whose lines are nobody else's
_MOST_WAITING = 1000
_COLOURS = (36, 33, 32, 35, 34, 31)


def wants_display(sink: Sink, fold: str) -> bool:
    """Whether lines go to ``sink`` by way of a `Display`: on terminals, and where the user says so."""
    return sink.is_terminal or fold == "always"


def name_of(ranks: set[int]) -> str:
    """Name several ranks: {0, 1, 2, 5} is "0-2,5"."""
    parts: list[list[int]] = []
    for rank in sorted(ranks):
        if parts and rank == parts[-1][-1] + 1:
            parts[-1].append(rank)
        else:
            parts.append([rank])
    return ",".join(str(it[0]) if len(it) == 1 else f"{it[0]}-{it[-1]}" for it in parts)


@dataclass
class _Line:
    text: bytes
    ranks: set[int]
    prefix: bytes
    due_at: float


class Display:
    """Lines on their way to a sink. The order of a rank's own lines stays as it is.

    Args:
        size: how many ranks there are to say something.
        fold: "never", or else the same lines of several ranks are shown once.
    """

    def __init__(self, sink: Sink, size: int, fold: str) -> None:
        self._sink = sink
        self._size = size
        self._patience_s = 0.0 if fold == "never" or size == 1 else _PATIENCE_S
        self._has_colours = sink.is_terminal and not os.environ.get("NO_COLOR")
        self._waiting: deque[_Line] = deque()
        self._shown = 0  # the number of the first line that waits
        self._next: dict[int, int] = {}  # rank -> the number of the line behind its last one

    @property
    def due_at(self) -> float | None:
        """When `show_due` has something to do."""
        return self._waiting[0].due_at if self._waiting else None

    def add(self, rank: int, prefix: bytes, lines: bytes) -> None:
        """Take whole lines of a rank, each of which begins with ``prefix``."""
        texts = [line[len(prefix) :] for line in lines.split(b"\n")[:-1]]
        now = time.monotonic()
        if not self._patience_s or len(texts) > _BURST:
            self.show_all()
            found = [_Line(text, {rank}, prefix, now) for text in texts]
            self._sink.write(b"".join(map(self._finished, found)))
            return
        for text in texts:
            self._enter(rank, prefix, text, now)
        self.show_due(now if len(self._waiting) < _MOST_WAITING else float("inf"))

    def show_due(self, now: float | None = None) -> None:
        """Show what everybody has said, and what has waited long enough."""
        now = time.monotonic() if now is None else now
        ready = []
        while self._waiting and (self._waiting[0].due_at <= now or len(self._waiting[0].ranks) == self._size):
            ready.append(self._waiting.popleft())
        self._shown += len(ready)
        self._sink.write(b"".join(map(self._finished, ready)))

    def show_all(self) -> None:
        """Show what waits."""
        self.show_due(float("inf"))

    def _enter(self, rank: int, prefix: bytes, text: bytes, now: float) -> None:
        """Add a rank to a line behind its last one, or the line to the end."""
        first = max(0, self._next.get(rank, 0) - self._shown)
        for place in range(first, len(self._waiting)):
            if self._waiting[place].text == text:
                self._waiting[place].ranks.add(rank)
                self._next[rank] = self._shown + place + 1
                return
        self._waiting.append(_Line(text, {rank}, prefix, now + self._patience_s))
        self._next[rank] = self._shown + len(self._waiting)

    def _finished(self, line: _Line) -> bytes:
        prefix = line.prefix if len(line.ranks) == 1 else f"[{name_of(line.ranks)}] ".encode()
        if self._has_colours:
            colour = 1 if len(line.ranks) > 1 else _COLOURS[min(line.ranks) % len(_COLOURS)]
            prefix = b"\x1b[%dm%s\x1b[0m" % (colour, prefix)
        return prefix + line.text + b"\n"
