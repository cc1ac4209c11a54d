"""The launcher's last words: which rank failed first, how, its traceback, and one line about the others."""

import json
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrt.comm.status import parse
from launch.exit_codes import OK, PREEMPTED, UNREACHABLE
from launch.ranks.memory import address_space_limit
from launch.ranks.supervisor import Outcome

__all__ = ["Failure", "Places", "Report", "report"]

_SIGNAL_HEADSTART_S = 0.02  # the peers of a killed rank may notice its death this much before the launcher


@dataclass(frozen=True)
class Failure:
    """How one rank failed; ``record`` is what its excepthook wrote, empty where it raised nothing."""

    rank: int
    pid: int
    how: str
    exit_code: int
    failed_at: float
    record: dict[str, Any]

    @property
    def failed_at_wall(self) -> float:
        """``failed_at`` in seconds since the epoch."""
        return time.time() - (time.monotonic() - self.failed_at)

    @property
    def order(self) -> tuple[bool, float]:
        """Sorts causes before consequences (``PeerFailed``), then by time."""
        return bool(self.record.get("is_consequence")), self.failed_at


@dataclass(frozen=True)
class Report:
    """What the launcher prints (empty when all went well), its exit code, and what ``result.json`` holds.

    Attributes:
        is_final: whether there is no point in another attempt: all went well, or the user wanted the end.
        is_consequence: whether the first failure is only one of the loss of another rank.
    """

    text: str
    exit_code: int
    result: dict[str, Any]
    is_final: bool = False
    is_consequence: bool = False


@dataclass(frozen=True)
class Places:
    """Where an attempt's ranks have left their traces: ``errors``/RANK/error.json, ``pages``/rankN.status."""

    errors: Path
    pages: Path


def report(
    outcome: Outcome, pids: dict[int, int], joined: frozenset[int], places: Places, memory_news: str = ""
) -> Report:
    """Judge a finished attempt; ``memory_news`` is what `launch.ranks.memory.MemoryWatch` says of it."""
    failures = _failures(outcome, pids, places.errors, memory_news)
    result: dict[str, Any] = {
        "exit_code": OK,
        "first_failure": None,
        "halt": outcome.halt.text if outcome.halt else None,
        "hung": list(outcome.halt.culprits) if outcome.halt else [],
        "is_membership_change": outcome.halt is not None and outcome.halt.is_membership_change,
        "stopped_by": outcome.stopped_by.name if outcome.stopped_by else None,
        "ranks": {str(rank): str(ending) for rank, ending in sorted(outcome.endings.items())},
    }
    if _have_saved(outcome):
        result["exit_code"] = PREEMPTED
        text = "distrt-launch: the ranks have saved, and ended with 75: start the job again, and it goes on\n"
        return Report(text, PREEMPTED, result, is_final=True)
    if outcome.stopped_by is not None:
        result["exit_code"] = 128 + outcome.stopped_by
        killed = [rank for rank, ending in outcome.endings.items() if ending.returncode == -9]
        text = f"distrt-launch: stopped by {outcome.stopped_by.name}"
        text += f"; {_ranks(killed)} had to be killed\n" if killed else "\n"
        return Report(text, 128 + outcome.stopped_by, result, is_final=True)
    if outcome.halt is not None:
        result["exit_code"] = outcome.halt.exit_code
        return Report(outcome.halt.text, outcome.halt.exit_code, result)
    if not failures:
        return Report("", OK, result, is_final=True)
    first = failures[0]
    result["exit_code"] = first.exit_code
    result["first_failure"] = {
        "rank": first.rank,
        "pid": first.pid,
        "host": socket.gethostname(),
        "how": first.how,
        "time": round(first.failed_at_wall, 3),
        "error": first.record.get("summary"),
    }
    text = _text(first, failures, outcome, joined, places.pages, memory_news)
    return Report(text, first.exit_code, result, is_consequence=first.order[0])


def _have_saved(outcome: Outcome) -> bool:
    """Whether the ranks have ended as they agreed to."""
    saved = [ending for ending in outcome.endings.values() if ending.is_preemption]
    halt = outcome.halt
    return (
        bool(saved)
        and (halt is None or (halt.is_membership_change and outcome.stopped_by is not None))
        and all(ending.is_preemption or not ending.is_failure for ending in outcome.endings.values())
    )


def _failures(outcome: Outcome, pids: dict[int, int], errors: Path, memory_news: str) -> list[Failure]:
    """Return the ranks that failed on their own (not after being told to end), the cause first."""
    found = []
    for rank, ending in outcome.endings.items():
        if not ending.is_failure:
            continue
        record = _read_record(errors / str(rank) / "error.json")
        failed_at = record.get("time_monotonic_s", outcome.ended_at[rank])
        if outcome.told_at is not None and failed_at > outcome.told_at:
            continue
        if not record and ending.returncode < 0:
            failed_at -= _SIGNAL_HEADSTART_S
        exit_code = record.get("exit_code", ending.exit_code)
        how = str(ending) if not record else f"uncaught exception, exit code {exit_code}"
        if not record and memory_news and ending.returncode == -signal.SIGKILL:
            how += f", {memory_news}"
        found.append(Failure(rank, pids[rank], how, exit_code, failed_at, record))
    return sorted(found, key=lambda failure: failure.order)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return record if "summary" in record else _read_torchs(record)


def _read_torchs(record: dict[str, Any]) -> dict[str, Any]:
    """What PyTorch's ``@record`` writes, where a script of PyTorch's, or a program, has written it."""
    message = record.get("message")
    if isinstance(message, str):
        return {"summary": message}
    if not isinstance(message, dict):
        return {}
    extra = message.get("extraInfo")
    trace = extra.get("py_callstack") if isinstance(extra, dict) else None
    return {"summary": str(message.get("message")), "traceback": str(trace or "")}


def _text(
    first: Failure,
    failures: list[Failure],
    outcome: Outcome,
    joined: frozenset[int],
    pages: Path,
    memory_news: str,
) -> str:
    how = first.how
    if joined and first.rank not in joined:
        how += ", before joining the other ranks"
    elif not first.record and first.exit_code < 128:
        how += " (it raised nothing: sys.exit or os._exit)"
    lines = [f"distrt-launch: rank {first.rank} (pid {first.pid}, host {socket.gethostname()}) failed: {how}"]
    if not first.record and (doing := _last_call(pages, first)):
        lines.append(doing)
    if memory_news and memory_news not in first.how:  # it was a child of the rank's
        lines.append(f"a process of the job ran {memory_news}")
    if first.record.get("is_memory_error") and (limit := address_space_limit()):
        lines.append(limit)
    lines += [
        f"rank {rank} had ended with exit code 0 before joining"
        for rank, ending in sorted(outcome.endings.items())
        if first.exit_code == UNREACHABLE and not ending.is_failure and rank not in joined
    ]
    lines += [f"rank {other.rank} failed too: {_cause(other)}" for other in failures[1:]]
    failed = {failure.rank for failure in failures}
    told = [rank for rank, ending in outcome.endings.items() if ending.is_failure and rank not in failed]
    if told:
        lines.append(f"{_ranks(told)} {'was' if len(told) == 1 else 'were'} ended by the launcher")
    return "\n".join(lines) + "\n" + str(first.record.get("traceback", ""))


def _last_call(pages: Path, failure: Failure) -> str | None:
    """What a rank that raised nothing was doing, by its status page."""
    try:
        status = parse((pages / f"rank{failure.rank}.status").read_bytes())
    except OSError:
        return None
    if status is None or status.pid != failure.pid or not status.calls:
        return None
    last = status.calls[-1]
    ago_s = max(0.0, failure.failed_at_wall - last.since)
    step = f", in step {status.step}" if status.step else ""
    if last.is_running:
        return f"it was in {last.text}, at {last.place}, since {ago_s:.1f} s{step}"
    return f"it was in no call of distrt; its last, {last.text} at {last.place}, began {ago_s:.1f} s before{step}"


def _cause(failure: Failure) -> str:
    return str(failure.record.get("summary") or failure.how)


def _ranks(ranks: list[int]) -> str:
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {', '.join(map(str, sorted(ranks)))}"
