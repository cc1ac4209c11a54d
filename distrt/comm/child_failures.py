"""``ChildFailedError``: what a parent process raises for its children, as programs around PyTorch's launcher do.

``record`` hands the first child's report on, instead of the parent's own.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ChildFailedError", "ProcessFailure"]

_NOT_AVAILABLE = "<N/A>"


@dataclass
class ProcessFailure:
    """How a process ended; what it has written before, where it has.

    Attributes:
        local_rank, pid: which one.
        exitcode: its status; the negative number of a signal.
        error_file: what `record` has written there; "<N/A>" where there is no such file.
        error_file_data: what is in the file.
        message, timestamp: of the file; or made of the status, and now, in seconds.
    """

    local_rank: int
    pid: int
    exitcode: int
    error_file: str
    error_file_data: dict[str, Any] = field(init=False)
    message: Any = field(init=False)
    timestamp: int = field(init=False)

    def __post_init__(self) -> None:
        """Read the file, where there is one."""
        if os.path.isfile(self.error_file):
            with open(self.error_file, encoding="utf-8") as file:
                self.error_file_data = json.load(file)
            self.message = told = self.error_file_data["message"]
            says_when = self.error_file_data if isinstance(told, str) else told["extraInfo"]
            self.timestamp = int(says_when.get("timestamp", 0))
        else:
            self.error_file, self.timestamp = _NOT_AVAILABLE, int(time.time())
            self.error_file_data, self.message = {"message": _NOT_AVAILABLE}, ""
        if not self.message:
            self.message = "To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html"
            if self.exitcode < 0:
                self.message = f"Signal {-self.exitcode} ({self.signal_name()}) received by PID {self.pid}"

    def signal_name(self) -> str:
        """The signal that has ended it; "<N/A>" where none has."""
        try:
            return signal.Signals(-self.exitcode).name
        except ValueError:
            return _NOT_AVAILABLE

    def timestamp_isoformat(self) -> str:
        """When, as YYYY-MM-DD_HH:MM:SS."""
        return datetime.datetime.fromtimestamp(self.timestamp).isoformat(sep="_")


class ChildFailedError(Exception):
    """Processes that a program has started have failed.

    Args:
        name: what they are.
        failures: rank -> how its process ended; at least one.
    """

    def __init__(self, name: str, failures: Mapping[int, ProcessFailure]) -> None:
        if not failures:
            raise AssertionError("ChildFailedError: at least one failure is needed")
        self.name, self.failures = name, dict(failures)
        super().__init__(self.format_msg())

    def get_first_failure(self) -> tuple[int, ProcessFailure]:
        """The rank that failed first, and how."""
        rank = min(self.failures, key=lambda rank: self.failures[rank].timestamp)
        return rank, self.failures[rank]

    def format_msg(self, boarder_delim: str = "=", section_delim: str = "-") -> str:
        """The report: the other failures, and the first one."""
        first, _ = self.get_first_failure()
        title = f"{self.name} FAILED"
        texts = {rank: self._described(n, rank) for n, rank in enumerate(self.failures)}
        lines = [line for text in texts.values() for line in text.split("\n")]
        width = min(max(len(each) for each in (title, *lines)), 60)
        border, section = boarder_delim * width, section_delim * width
        others = [text for rank, text in texts.items() if rank != first] or ["  <NO_OTHER_FAILURES>"]
        root = "Root Cause (first observed failure):"
        rows = ["", border, title, section, "Failures:", *others, section, root, texts[first], border]
        return "\n".join(rows)

    def _described(self, number: int, rank: int) -> str:
        failure, told = self.failures[rank], self.failures[rank].message
        if not isinstance(told, str):
            told = told.get("extraInfo", {}).get("py_callstack", told.get("message", _NOT_AVAILABLE))
            told = told.replace("\n", "\n  ")
        name = f" ({failure.signal_name()})" if failure.exitcode < 0 else ""
        return (
            f"[{number}]:\n  time      : {failure.timestamp_isoformat()}\n  host      : {socket.getfqdn()}\n"
            f"  rank      : {rank} (local_rank: {failure.local_rank})\n"
            f"  exitcode  : {failure.exitcode} (pid: {failure.pid}) {name}\n"
            f"  error_file: {failure.error_file}\n  traceback : {told}"
        )
