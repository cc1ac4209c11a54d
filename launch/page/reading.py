"""A run's folder, read: what the launcher wrote, and what each rank recorded. What is missing or damaged is left out.

`distrt.comm.run_record` writes the ranks' files; docs/report.md has their format.
"""

from __future__ import annotations

import glob
import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

from distrt.comm.status import Status, parse
from distrt.pictures.step import Lane, Span, Travel
from launch.page.lines import Lines
from launch.page.run import MOST_RANKS, Attempt, RankRecord, Run
from launch.page.stretches import Curve, Stretch, real
from launch.ranks.processes import process_start_time, process_state

__all__ = ["NotARunError", "read_run"]

_BUDGET = 192 << 20  # bytes of records that are read
_LEAST = 1 << 20  # of one rank's
_MOST_CURVES = 60


class NotARunError(Exception):
    """The folder is no run's; the text is for the user."""


def read_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        NotARunError: it is none.
    """
    if not folder.is_dir():
        raise NotARunError(
            f"{folder} is not a folder; expected the run directory of a job, such as runs/<time>-<digits>"
        )
    folders = _folders_of(folder)
    numbers = sorted({number for each in folders for number in _numbered(each, "attempt_")})
    folder = folders[0]
    processes, result = _object(folder / "procs.json"), _object(folder / "result.json")
    if not numbers and not processes and not (folder / "events.jsonl").exists():
        raise NotARunError(
            f"{folder} holds no run: expected events.jsonl or attempt_0/ in it, which distrt-launch writes, or folders "
            "that have them"
        )
    attempts = [Attempt(number) for number in numbers]
    events = [list(Lines(each / "events.jsonl", 8 << 20)) for each in folders]
    job = next((event for event in events[0] if event.get("event") == "job_began"), {})
    command = [str(each) for each in processes.get("command", []) if isinstance(each, str)]
    run = Run(folder.resolve().name, folder, attempts, result, job, command, "", time.time())
    for attempt in attempts:
        _read_attempt(run, attempt, folders)
    for each in reversed(events):  # the first machine's are heard last: it tells of the job
        _hear(run, each)
    run.state = _state(run, processes)
    _close(run)
    return run


def _numbered(folder: Path, prefix: str) -> list[int]:
    """The numbers of the folders that the launcher calls by this prefix and a number."""
    written = re.compile(f"{prefix}(0|[1-9][0-9]*)")
    names = [
        match
        for each in folder.glob(f"{prefix}*")
        if (match := written.fullmatch(each.name)) and each.is_dir()
    ]
    return sorted(int(match[1]) for match in names)


def _folders_of(folder: Path) -> list[Path]:
    """A run's folders: every machine but the first has one of its own, NAME-nodeK, which may lie beside NAME."""
    named = folder.resolve()
    first = named.with_name(re.sub("-node[0-9]+$", "", named.name))
    others = [each for each in named.parent.glob(f"{glob.escape(first.name)}-node*") if each.is_dir()]
    found = [*([first] if first.is_dir() else []), *sorted(others)]
    return found if named in found else [named]


def _read_attempt(run: Run, attempt: Attempt, folders: list[Path]) -> None:
    places = {
        rank: each for each in reversed(folders) for rank in _numbered(each / f"attempt_{attempt.number}", "")
    }
    found = sorted(places)
    if len(found) > MOST_RANKS:
        run.notes.append(f"{len(found)} ranks: the first {MOST_RANKS} were read")
    budget = max(_LEAST, _BUDGET // max(1, min(len(found), MOST_RANKS) * len(run.attempts)))
    bases: dict[str, float] = {}  # by machine: the epoch, by its clock
    for rank in found[:MOST_RANKS]:
        record = attempt.ranks[rank] = RankRecord(rank)
        folder = places[rank] / f"attempt_{attempt.number}"
        lines = Lines(folder / str(rank) / "record.jsonl", budget)
        _read_record(record, lines, bases)
        record.damaged, record.share = lines.damaged, lines.share
        is_last = attempt is run.attempts[-1]  # former ones' pages were put away
        record.status = _status((places[rank] if is_last else folder) / f"rank{rank}.status")
        error = _object(folder / str(rank) / "error.json")
        record.failure = str(error.get("summary") or "")[:500]
        record.traceback = str(error.get("traceback") or "")[-4000:]
    shares = [each.share for each in attempt.ranks.values() if each.share < 1]
    if shares:
        run.notes.append(
            f"attempt {attempt.number}: the records are large, so {100 * statistics.mean(shares):.0f} % of them were "
            "read, in pieces at equal distances"
        )


def _read_record(record: RankRecord, lines: Lines, bases: dict[str, float]) -> None:
    shift = 0.0
    for line in lines:
        try:
            kind = line.get("kind")
            if kind == "start":
                record.about, record.ended = line, False
                shift = _shift(line, bases)
            elif kind == "clock":
                record.about["clock"] = line
                shift = _shift(record.about, bases)
            elif kind == "step":
                _take_step(record, line, shift)
            elif kind == "number":
                name = str(line["name"])[:120]
                if name in record.numbers or len(record.numbers) < _MOST_CURVES:
                    record.numbers.setdefault(name, Curve()).take(
                        real(line["at"]) + shift, real(line["value"])
                    )
            elif kind == "picture":
                record.pictures[int(line["step"])] = _lane(record.rank, line, shift)
            elif kind == "end":
                record.ended = True
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            lines.damaged += 1


def _take_step(record: RankRecord, line: dict[str, Any], shift: float) -> None:
    stretch = Stretch.of(line, shift)
    for kind, place in dict(line.get("places") or {}).items():
        record.places[str(kind)[:40]] = str(place)[:200]
    if "loss" in line:
        record.loss.take(stretch.end, real(line["loss"]))
    if record.startup is None and record.share == 1.0:
        record.startup = stretch
    else:
        record.stretches.take(stretch)


def _shift(about: dict[str, Any], bases: dict[str, float]) -> float:
    """What turns times of a record into those since the epoch; the same for all ranks of a machine."""
    clock = about.get("clock")
    clock = clock if isinstance(clock, dict) else {}
    base = real(about["time"]) - real(about["at"])
    offset = clock.get("offset_ns")
    if isinstance(offset, int):  # all clocks are told by that of the store's machine
        offset_s = offset / 1e9
        return bases.setdefault("", base - offset_s) + offset_s
    return bases.setdefault(str(clock.get("machine")), base)


def _lane(rank: int, line: dict[str, Any], shift: float) -> Lane:
    spans = [Span(str(kind), real(begin) + shift, real(end) + shift) for kind, begin, end in line["spans"]]
    travels = [
        Travel(
            str(each[0])[:200],
            real(each[1]) + shift,
            real(each[2]) + shift,
            int(each[3]),
            (int(each[4]), int(each[5])),
        )
        for each in line["transfers"]
    ]
    return Lane(rank, real(line["from"]) + shift, real(line["to"]) + shift, spans, travels)


def _hear(run: Run, events: list[dict[str, Any]]) -> None:
    """Add what a launcher's log says."""
    by_number = {attempt.number: attempt for attempt in run.attempts}
    current: Attempt | None = None
    for event in events:
        name, at = event.get("event"), event.get("time")
        if not isinstance(at, int | float):
            continue
        if name == "attempt_began":
            number = event.get("attempt")
            if isinstance(number, int):
                current = by_number.get(number)
                if current is not None:
                    current.began = float(at)
        elif name == "attempt_ended" and current is not None:
            current.ended = float(at)
            code = event.get("exit_code")
            current.exit_code = code if isinstance(code, int) else None
        elif name == "rank_ended" and current is not None and isinstance(event.get("rank"), int):
            record = current.ranks.setdefault(event["rank"], RankRecord(event["rank"]))
            record.how = str(event.get("how", ""))[:200]
            if record.how not in ("", "exit code 0"):
                record.failed_at = float(at)
    told = run.result.get("attempts")
    for attempt, each in zip(run.attempts, told if isinstance(told, list) else [], strict=False):
        if not isinstance(each, dict):
            continue
        if isinstance(each.get("first_failure"), dict):
            attempt.first_failure = each["first_failure"]
        attempt.members_changed = each.get("is_membership_change") is True
        lost = each.get("lost")
        attempt.lost = [str(words)[:200] for words in lost[:8]] if isinstance(lost, list) else []


def _state(run: Run, processes: dict[str, Any]) -> str:
    if run.result:
        if run.result.get("stopped_by"):
            return "stopped"
        return "finished" if run.result.get("exit_code") == 0 else "failed"
    launcher = processes.get("launcher")
    pid = launcher.get("pid") if isinstance(launcher, dict) else None
    if isinstance(pid, int) and isinstance(launcher, dict):
        if process_state(pid) not in ("", "Z") and process_start_time(pid) == launcher.get("start_time"):
            return "running"
        return "broken off"
    ended = [record.ended for attempt in run.attempts[-1:] for record in attempt.ranks.values()]
    return "finished" if ended and all(ended) else "broken off"


def _close(run: Run) -> None:
    """Times of attempts of which the launcher has not said when they began or ended."""
    for attempt in run.attempts:
        moments = [
            moment
            for record in attempt.ranks.values()
            for each in [record.startup, *record.stretches[:1], *record.stretches[-1:]]
            if each is not None
            for moment in (each.begin, each.end)
        ]
        if attempt.began is None:
            attempt.began = min(moments, default=None)
        is_going_on = run.state == "running" and attempt is run.attempts[-1]
        if attempt.ended is None:
            attempt.ended = run.read_at if is_going_on else max(moments, default=attempt.began)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _status(path: Path) -> Status | None:
    try:
        return parse(path.read_bytes())
    except (OSError, ValueError, re.error):
        return None
