"""``tqdm``: the progress bar that most scripts have, for several ranks and for log files.

It is tqdm's own class (the extra ``progress``): scripts that say ``from tqdm import tqdm`` say
``from distrt.progress import tqdm`` instead. Rank 0 alone shows it; where no terminal is, as in a log file or under a
launcher that prefixes lines, it writes a line every few seconds in place of a bar that is drawn over and over.
"""

from __future__ import annotations

import os
import sys
from time import monotonic as now
from typing import Any, TextIO

from distrt.comm.world import default_group, is_initialized

try:
    from tqdm import tqdm as _Bar
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "distrt.progress needs tqdm, which is not installed: pip install 'distrt[progress]'"
    ) from missing

__all__ = ["tqdm", "trange"]

_BETWEEN_LINES_S = 5.0


class tqdm(_Bar):  # type: ignore[misc]  # noqa: N801 - the library's own spelling
    """A bar over an iterable, as tqdm's; ``disable=False`` shows it on every rank."""

    def __init__(self, iterable: Any = None, *args: Any, **options: Any) -> None:
        if len(args) < 7 and options.get("disable") is None:  # its eighth argument
            options["disable"] = _rank() != 0
        file = options.get("file") or sys.stderr
        self._lines: _Lines | None = None
        if not options.get("disable") and not file.isatty():
            self._lines = options["file"] = _Lines(file)
            options.setdefault("ncols", 100)
        super().__init__(iterable, *args, **options)

    def close(self) -> None:
        """End the bar; a second call does nothing."""
        super().close()
        if self._lines is not None:
            self._lines.end()


def trange(*args: Any, **options: Any) -> tqdm:
    """A bar over ``range(*args)``."""
    return tqdm(range(*args), **options)


class _Lines:
    """Takes what is to be drawn over itself, and writes the present state as a line, now and then."""

    encoding = "utf-8"

    def __init__(self, file: TextIO) -> None:
        self._file, self._state, self._written = file, "", ""
        self._due = now() + _BETWEEN_LINES_S

    def write(self, text: str) -> int:
        """Scripts draw as often as they like (``set_postfix``); who reads a log wants a line every few seconds."""
        for state in text.replace("\x1b[A", "").replace("\r", "\n").split("\n"):
            self._state = state.rstrip() or self._state
        if now() >= self._due:
            self._due = now() + _BETWEEN_LINES_S
            self.end()
        return len(text)

    def end(self) -> None:
        """Write the present state, unless it stands there."""
        if self._state != self._written:
            self._file.write(self._state + "\n")
            self._file.flush()
            self._written = self._state

    def flush(self) -> None:
        self._file.flush()

    def isatty(self) -> bool:
        return False


def _rank() -> int:
    if is_initialized():
        return default_group().rank()
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isdigit() else 0
