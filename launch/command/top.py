"""``distrt-launch top [RUN_DIRECTORY]``: what every rank of a job on this machine is doing, again and again.

It reads files alone: the ranks' status pages in the run directory, and what the kernel says of their processes.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distrt.comm.status import Status, parse
from launch.exit_codes import NO_SCRIPT, OK
from launch.ranks.processes import process_start_time, process_state
from launch.reports.run_directory import of_job

__all__ = ["Watcher", "top"]

_LOOKS_A_SECOND = 20
_STATES = {
    "R": "runs",
    "S": "sleeps",
    "D": "waits (I/O)",
    "T": "stopped",
    "t": "traced",
    "Z": "ended",
    "": "ended",
}
_HEADINGS = (
    "rank",
    "pid",
    "state",
    "step",
    "steps/s",
    "loss",
    "samples/s",
    "in calls",
    "CPU",
    "memory",
    "doing",
)
_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def top(argv: Sequence[str]) -> int:
    """Show a table, and renew it until Ctrl-C or the job's end; the exit code is 66 where there is no job."""
    parser = argparse.ArgumentParser(
        prog="distrt-launch top", description="Show what a job's ranks are doing."
    )
    parser.add_argument(
        "run_dir",
        nargs="?",
        help="the job's run directory, or a folder of them (default: the newest in runs/)",
    )
    parser.add_argument("--once", action="store_true", help="show it once")
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between two tables")
    given = parser.parse_args(argv)
    run_dir = of_job(given.run_dir)
    if run_dir is None or not (run_dir / "procs.json").exists():
        print(
            f"distrt-launch: no job in {given.run_dir or 'runs'}: expected a run directory", file=sys.stderr
        )
        return NO_SCRIPT
    with contextlib.suppress(KeyboardInterrupt):
        _show(Watcher(run_dir), given.once, given.interval)
    return OK


@dataclass
class _Rank:
    """What was seen of one rank between two tables."""

    pid: int
    started: int | None
    looks: int = 0
    looks_in_call: int = 0
    step: int = 0
    samples: int = 0
    cpu_s: float = 0.0
    seen_at: float = field(default_factory=time.monotonic)


class Watcher:
    """Looks at the ranks of a run directory."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._ranks: dict[int, _Rank] = {}

    def look(self) -> None:
        """Note who is in a call of distrt's at this moment."""
        self._find_ranks()
        for number, rank in self._ranks.items():
            status = self._status(number, rank)
            rank.looks += 1
            rank.looks_in_call += bool(status and status.calls and status.calls[-1].is_running)

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of the table for each rank: what has happened since the rows before."""
        self._find_ranks()
        return [self._row(number, rank) for number, rank in sorted(self._ranks.items())]

    @property
    def is_over(self) -> bool:
        """Whether no rank is alive."""
        return not any(self._is_alive(rank) for rank in self._ranks.values())

    def _find_ranks(self) -> None:
        """Another attempt has other processes."""
        for entry in json.loads((self._run_dir / "procs.json").read_text())["ranks"]:
            known = self._ranks.get(entry["rank"])
            if known is None or known.pid != entry["pid"]:
                self._ranks[entry["rank"]] = _Rank(entry["pid"], entry["start_time"])

    def _row(self, number: int, rank: _Rank) -> tuple[str, ...]:
        status, now = self._status(number, rank), time.monotonic()
        is_alive = self._is_alive(rank)
        cpu_s, memory = _usage(rank.pid) if is_alive else (rank.cpu_s, 0)
        step, samples = (status.step, status.samples) if status else (0, 0)
        passed_s = max(1e-3, now - rank.seen_at)
        is_new = rank.step == 0 and rank.cpu_s == 0.0
        row = (
            str(number),
            str(rank.pid),
            _STATES.get(process_state(rank.pid) if is_alive else "", "runs"),
            str(step) if step else "-",
            "-" if is_new or not step else f"{(step - rank.step) / passed_s:.1f}",
            "-" if status is None or status.loss is None else f"{status.loss:.4g}",
            "-" if is_new or not samples else f"{(samples - rank.samples) / passed_s:.0f}",
            f"{100 * rank.looks_in_call / rank.looks:.0f} %" if rank.looks else "-",
            "-" if is_new else f"{100 * (cpu_s - rank.cpu_s) / passed_s:.0f} %",
            f"{memory >> 20} MiB",
            _doing(status),
        )
        rank.step, rank.samples, rank.cpu_s, rank.seen_at = step, samples, cpu_s, now
        rank.looks = rank.looks_in_call = 0
        return row

    def _is_alive(self, rank: _Rank) -> bool:
        return process_start_time(rank.pid) == rank.started and process_state(rank.pid) not in ("", "Z")

    def _status(self, number: int, rank: _Rank) -> Status | None:
        try:
            status = parse((self._run_dir / f"rank{number}.status").read_bytes())
        except OSError:
            return None
        return status if status is not None and status.pid == rank.pid else None


def _show(watcher: Watcher, is_once: bool, interval_s: float) -> None:
    is_live = sys.stdout.isatty() and not is_once
    watcher.rows()  # what there was before is no part of what happens now
    while True:
        until = time.monotonic() + (min(interval_s, 0.5) if is_once else interval_s)
        while time.monotonic() < until:
            watcher.look()
            time.sleep(1 / _LOOKS_A_SECOND)
        rows = watcher.rows()
        text = _table([_HEADINGS, *rows], shutil.get_terminal_size().columns if is_live else None)
        print(f"{_HOME_AND_CLEAR if is_live else ''}{text}", flush=True)
        if is_once or watcher.is_over:
            return


def _table(rows: Sequence[tuple[str, ...]], columns: int | None) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]])[:columns])
    return "\n".join(lines)


def _doing(status: Status | None) -> str:
    if status is None:
        return "(has not joined)"
    if not status.calls:
        return "no call yet"
    last = status.calls[-1]
    if last.is_running:
        return f"{last.text} at {last.place}, for {max(0.0, time.time() - last.since):.1f} s"
    return f"computes; last {last.text} at {last.place}"


def _usage(pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process; zeros where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
