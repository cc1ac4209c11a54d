"""Lines of a file that a run is still writing, or that broke off, or that is larger than one wants to read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Lines"]

_CHUNKS = 64
_LONGEST = 4 << 20  # bytes of a line


class Lines:
    """The objects of a file of JSON lines, in their order; what is no object is counted, and passed over.

    Args:
        path: the file; one that is not there has no lines.
        budget: how many bytes are read at most; of a larger file, pieces at equal distances.

    Attributes:
        damaged: how many lines were no JSON object; the last one of a run that is going on, or was killed, may be one.
        share: how much of the file was read.
    """

    def __init__(self, path: Path, budget: int = 1 << 62) -> None:
        self._path, self._budget = path, budget
        self.damaged = 0
        self.share = 1.0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            with open(self._path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size <= self._budget:
                    yield from self._objects(iter(lambda: file.readline(_LONGEST), b""))
                    return
                piece = max(1 << 14, self._budget // _CHUNKS)
                self.share = min(1.0, piece * _CHUNKS / size)
                for number in range(_CHUNKS):
                    start = (size - piece) * number // (_CHUNKS - 1)
                    file.seek(start)
                    chunk = file.read(piece).split(b"\n")
                    yield from self._objects(iter(chunk[bool(start) : -1 if number < _CHUNKS - 1 else None]))
        except OSError:
            return

    def _objects(self, lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        for line in lines:
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                self.damaged += 1
                continue
            if isinstance(found, dict):
                yield found
            else:
                self.damaged += 1
