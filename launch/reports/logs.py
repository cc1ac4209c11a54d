"""Where each rank's output goes: files of its own, the launcher's stdout and stderr, files of picked lines.

<attempt directory>/<rank>/stdout.log        and stderr.log: bytes as they came; stdout.log.1 is what came before
<attempt directory>/filtered_stdout.log      and filtered_stderr.log: lines of any rank with one of the texts
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["BOTH", "STDERR", "STDOUT", "LineFilter", "LogFile", "OutputPlan", "StreamChoice"]

STDOUT, STDERR, BOTH = 1, 2, 3
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


@dataclass(frozen=True)
class StreamChoice:
    """Some streams of some ranks: ``everywhere`` or, where that is None, by local rank."""

    everywhere: int | None = 0
    by_rank: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> "StreamChoice":
        """Read torchrun's form: "0" to "3", or "0:3,1:2" by local rank.

        Raises:
            ValueError: it is neither.
        """
        if text.strip() in ("0", "1", "2", "3"):
            return cls(int(text))
        pairs = [pair.partition(":") for pair in text.split(",")]
        chosen = {int(rank): int(mode) for rank, _, mode in pairs}
        if not all(rank >= 0 and 0 <= mode <= BOTH for rank, mode in chosen.items()):
            raise ValueError("a mode is 0, 1, 2 or 3")
        return cls(None, chosen)

    def has(self, local_rank: int, stream: int) -> bool:
        """Whether ``stream`` of the rank is among them."""
        mode = self.by_rank.get(local_rank, 0) if self.everywhere is None else self.everywhere
        return bool(mode & stream)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is chosen at all."""
        return not self.everywhere and not any(self.by_rank.values())


@dataclass(frozen=True)
class OutputPlan:
    """What the command line says about output.

    Attributes:
        redirects: what goes to files only.
        tee: what goes to files and is shown, even where there is one rank.
        shown_ranks: the local ranks that are shown; None for all.
        picked: by stream, the texts of which a line has one in order to be copied.
        cap_bytes: how large a log file may get.
        fold: where the same line of several ranks is shown once: "auto" on terminals, "always", "never".
    """

    redirects: StreamChoice = StreamChoice()
    tee: StreamChoice = StreamChoice()
    shown_ranks: frozenset[int] | None = None
    picked: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    cap_bytes: int = 64 << 20
    fold: str = "auto"

    def needs_pipes(self, local_size: int) -> bool:
        """Whether output passes through the launcher; a single rank's need not."""
        is_plain = self.redirects.is_empty and self.tee.is_empty and self.shown_ranks is None
        return local_size > 1 or not is_plain or any(self.picked.values())

    def shows(self, local_rank: int, stream: int) -> bool:
        """Whether lines of this stream appear on the launcher's own."""
        is_chosen = self.shown_ranks is None or local_rank in self.shown_ranks
        return is_chosen and not self.redirects.has(local_rank, stream)

    def open_log(self, attempt_dir: Path, rank: int, stream: int) -> "LogFile":
        """Open the file of one stream of one rank."""
        return LogFile(attempt_dir / str(rank) / f"{_NAMES[stream]}.log", self.cap_bytes)

    def open_filters(self, attempt_dir: Path) -> dict[int, "LineFilter"]:
        """Open the files of picked lines, by stream."""
        return {
            stream: LineFilter(texts, LogFile(attempt_dir / f"filtered_{_NAMES[stream]}.log", self.cap_bytes))
            for stream, texts in self.picked.items()
            if texts
        }


class LogFile:
    """A file that keeps the newest bytes, at least ``cap_bytes`` of them and at most twice as many.

    A full disk loses output and never stops the job; ``lost_bytes`` counts.
    """

    def __init__(self, path: Path, cap_bytes: int) -> None:
        self.path = path
        self.lost_bytes = 0
        self._cap_bytes = cap_bytes
        self._size = 0
        self._fd = _open(path)

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        if self._size + len(data) > self._cap_bytes and self._size:
            self._start_over()
        written = 0
        if self._fd is not None:
            with contextlib.suppress(OSError):
                written = os.write(self._fd, data)
        self._size += written
        self.lost_bytes += len(data) - written

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _start_over(self) -> None:
        self.close()
        with contextlib.suppress(OSError):
            os.replace(self.path, self.path.with_name(self.path.name + ".1"))
        self._fd = _open(self.path)
        self._size = 0


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    except OSError:
        return None


class LineFilter:
    """Copies the lines that have one of ``texts`` to a file."""

    def __init__(self, texts: tuple[str, ...], log: LogFile) -> None:
        self._texts = [text.encode() for text in texts]
        self._log = log

    def write(self, lines: bytes, prefix: bytes) -> None:
        """Take whole lines, each of which begins with ``prefix``."""
        picked = [
            line
            for line in lines.splitlines(keepends=True)
            if any(text in line[len(prefix) :] for text in self._texts)
        ]
        if picked:
            self._log.write(b"".join(picked))

    def close(self) -> None:
        """Close the file."""
        self._log.close()
