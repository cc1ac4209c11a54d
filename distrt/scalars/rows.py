"""``CSVWriter`` and ``JSONLWriter``: numbers as rows of a file that is only ever added to.

A row is one ``write``, so a run that is killed leaves whole rows; one that goes on adds to them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from distrt.core.process.activity import noted
from distrt.core.tensor import Tensor
from distrt.files.atomic import replace_whole
from distrt.scalars.folder import Folder

__all__ = ["CSVWriter", "JSONLWriter"]

_COLUMNS = ["wall_time", "step", "tag", "value"]
_Row = tuple[float, int | None, str, float | str]


class _RowWriter(Folder):
    """What both have in common: the part of ``SummaryWriter``'s interface that takes numbers and texts.

    Args:
        path: the file; its folder is made. One that is there is added to.
        purge_step: removes the rows of this step and later ones first: for a run that goes on from an earlier step.

    Raises:
        OSError: the file cannot be written.
        ValueError: the file is there, and is another one's.
    """

    def __init__(self, path: str | os.PathLike[str], purge_step: int | None = None) -> None:
        self.path = os.fspath(path)
        self.log_dir = os.path.dirname(self.path) or "."
        self.purge_step = purge_step
        os.makedirs(self.log_dir, exist_ok=True)
        self._prepare(purge_step)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not os.fstat(self._fd).st_size:
            self._write(self._head())

    def flush(self) -> None:
        """Brings all rows to the disk; a run that is killed has them in the file without."""
        if self._fd >= 0:
            os.fsync(self._fd)

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Adds a number, or a tensor of one element; see ``SummaryWriter.add_scalar``."""
        value = float(scalar_value.item() if isinstance(scalar_value, Tensor) else scalar_value)
        self._add(tag, value, global_step, walltime)
        noted(tag, value, global_step)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds several numbers, as ``main_tag/tag``."""
        for tag, value in tag_scalar_dict.items():
            self.add_scalar(f"{main_tag}/{tag}", value, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds a text."""
        self._add(tag, str(text_string), global_step, walltime)

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any], **options: Any
    ) -> None:
        """Adds a run's settings, as ``hparams/name``, and what has come of them.

        Raises:
            TypeError: one of the two is no dictionary.
        """
        for given in (hparam_dict, metric_dict):
            if not isinstance(given, dict):
                raise TypeError("hparam_dict and metric_dict should be dictionary.")
        step = options.get("global_step")
        for name, value in hparam_dict.items():
            if isinstance(value, int | float | Tensor) and not isinstance(value, bool):
                self.add_scalar(f"hparams/{name}", value, step)
            else:
                self.add_text(f"hparams/{name}", str(value), step)
        for name, value in metric_dict.items():
            self.add_scalar(name, value, step)

    def _add(self, tag: str, value: float | str, step: int | None, walltime: float | None) -> None:
        at = round(time.time() if walltime is None else walltime, 6)
        self._write(self._row(at, None if step is None else int(step), str(tag), value))

    def _write(self, text: str) -> None:
        if self._fd < 0:
            raise ValueError(f"{self.path} is closed")
        data = text.encode(errors="backslashreplace")
        while data:  # a pipe, or a disk that is nearly full, may take less than all
            data = data[os.write(self._fd, data) :]

    def _prepare(self, purge_step: int | None) -> None:
        """Take away what a killed run has left of a row, and what ``purge_step`` says."""
        try:
            with open(self.path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return
        text = content[: content.rfind(b"\n") + 1].decode(errors="replace")
        if text and not text.startswith(self._head()):
            raise ValueError(
                f"{self.path} is no file of a {type(self).__name__}: expected {self._head() or 'rows'!r}"
            )
        if purge_step is not None:
            rows = self._rows_of(text)
            text = self._head() + "".join(
                self._row(at, step, tag, value)
                for at, step, tag, value in rows
                if step is None or step < purge_step
            )
        if text.encode() != content:
            replace_whole(self.path, lambda file: file.write(text.encode()))

    def _rows_of(self, text: str) -> Iterator[_Row]:
        number = 1
        try:
            for row in self._parsed(text):
                yield row
                number += 1
        except (ValueError, KeyError, TypeError) as fault:
            said = f"{self.path}: row {number} is no row of a {type(self).__name__}: {fault}"
            raise ValueError(said) from fault

    @abstractmethod
    def _head(self) -> str:
        """The first line."""

    @abstractmethod
    def _row(self, at: float, step: int | None, tag: str, value: float | str) -> str:
        """A row, with its end."""

    @abstractmethod
    def _parsed(self, text: str) -> Iterable[_Row]:
        """The rows of a file."""


class CSVWriter(_RowWriter):
    """Rows of ``wall_time,step,tag,value``, under a heading; on several ranks, rank 0 alone should have one."""

    def _head(self) -> str:
        return ",".join(_COLUMNS) + "\n"

    def _row(self, at: float, step: int | None, tag: str, value: float | str) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([at, "" if step is None else step, tag, value])
        return line.getvalue()

    def _parsed(self, text: str) -> Iterable[_Row]:
        for row in csv.DictReader(io.StringIO(text)):
            step = row["step"]
            yield float(row["wall_time"]), int(step) if step else None, row["tag"], row["value"]


class JSONLWriter(_RowWriter):
    """A JSON object a line, with ``wall_time``, ``step``, ``tag`` and ``value``; NaN and infinities are text."""

    def _head(self) -> str:
        return ""

    def _row(self, at: float, step: int | None, tag: str, value: float | str) -> str:
        shown = str(value) if isinstance(value, float) and not math.isfinite(value) else value
        return json.dumps({"wall_time": at, "step": step, "tag": tag, "value": shown}, allow_nan=False) + "\n"

    def _parsed(self, text: str) -> Iterable[_Row]:
        for line in text.splitlines():
            row = json.loads(line)
            yield row["wall_time"], row["step"], row["tag"], row["value"]
