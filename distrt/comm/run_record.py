"""The run record: what a rank did and how long it took, as lines of JSON that `distrt-launch report` reads.

``attempt_K/RANK/record.jsonl`` in the run directory, append-only; docs/report.md has the format. Every line is one
``write``, so the kernel keeps it when the process is killed. Lines come for each step, or, where steps are short, for
several: never more often than 20 a second, and ever more seldom as a run grows old, so that a file stays below some ten
megabytes however long it is. Standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import platform
import socket
import sys
import time
from pathlib import Path
from typing import Any

from distrt.comm.clocks import machine_clock
from distrt.comm.ledger import Ledger
from distrt.core.process import activity, steps

__all__ = ["FORMAT", "RunRecord", "pause_s", "record_of"]

FORMAT = 1
_SHORTEST_PAUSE_S = 0.05
_PAUSES_IN_A_LIFE = 5000
_VARIABLES = ("OMP_NUM_THREADS", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES")


def pause_s(age_s: float) -> float:
    """Seconds between two lines of a run that is ``age_s`` old."""
    return max(_SHORTEST_PAUSE_S, age_s / _PAUSES_IN_A_LIFE)


class RunRecord:
    """Keeps the record of this process, from now until it ends.

    Args:
        path: of a file that is not there yet.
        rank: this process's number in the job.

    Raises:
        OSError: the file cannot be made, or is there.

    Attributes:
        ledger: what it listens with.
    """

    def __init__(self, path: Path, rank: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._pid = os.getpid()
        self.ledger = Ledger(self.write, pause_s)
        self.write({"kind": "start", **_about(rank)})
        activity.listen(self.ledger)
        steps.listen("run record", self.ledger.took_step)
        atexit.register(self.close)

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; a full disk is no reason to stop a run."""
        if os.getpid() != self._pid:
            return
        try:
            text = json.dumps(line, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(_strict(line), allow_nan=False, separators=(",", ":"))
        with contextlib.suppress(OSError):
            os.write(self._fd, text.encode(errors="backslashreplace") + b"\n")

    def close(self) -> None:
        """Write what is left, and say that the process has ended by itself."""
        if os.getpid() != self._pid or self._fd < 0:
            return
        activity.leave(self.ledger)
        steps.leave("run record", self.ledger.took_step)
        atexit.unregister(self.close)
        self.ledger.flush()
        self.write({"kind": "end", "at": time.perf_counter()})
        os.close(self._fd)
        self._fd = -1


def record_of(rank: int, directory: Path) -> RunRecord | None:
    """Begins to record in a run directory; None where it is not wanted, or cannot be."""
    if os.environ.get("DISTRT_RECORD", "").lower() in ("off", "0", "false", "no"):
        return None
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    folder = directory / f"attempt_{attempt if attempt.isdigit() else 0}" / str(rank)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return RunRecord(folder / "record.jsonl", rank)
    except OSError:
        return None


def _about(rank: int) -> dict[str, Any]:
    from distrt import __version__

    return {
        "format": FORMAT,
        "rank": rank,
        "size": _number(os.environ.get("WORLD_SIZE")),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "time": time.time(),
        "at": time.perf_counter(),
        "clock": machine_clock()._asdict(),
        "distrt": __version__,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "command": sys.argv,
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _strict(value: Any) -> Any:
    """Numbers that JSON does not have, as text: "nan", "inf", "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _strict(each) for name, each in value.items()}
    return [_strict(each) for each in value] if isinstance(value, list) else value
