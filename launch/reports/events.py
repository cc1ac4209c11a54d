"""The launcher's own log, ``events.jsonl`` in the run directory: starts, ends, restarts, one JSON object a line."""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

__all__ = ["EventLog"]


class EventLog:
    """Appends events; ``is_shown`` writes them to stderr, too, as torchrun's handler ``console`` does."""

    def __init__(self, run_dir: Path, is_shown: bool = False) -> None:
        self._path = run_dir / "events.jsonl"
        self._is_shown = is_shown

    def record(self, name: str, **what: Any) -> None:
        """Note that something happened; a full disk is no reason to stop."""
        line = json.dumps({"event": name, "time": round(time.time(), 3), **what}).encode() + b"\n"
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        if self._is_shown:
            with contextlib.suppress(OSError):
                os.write(2, line)
