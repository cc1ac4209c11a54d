"""What a machine hands in of an attempt, and takes home of the job's verdict: reports, as what JSON can hold."""

import signal
import time
from typing import Any

from launch.summary import Report

__all__ = ["record_of", "report_of", "stopped_report"]


def stopped_report(number: signal.Signals | None) -> Report:
    """Return the report of a machine that was told to stop; ``number`` is by what."""
    assert number is not None, "who goes was told so"
    exit_code = 128 + number
    result = {"exit_code": exit_code, "first_failure": None, "stopped_by": number.name}
    return Report(f"distrt-launch: stopped by {number.name}\n", exit_code, result, is_final=True)


def record_of(report: Report) -> dict[str, Any]:
    """Return what a machine hands in."""
    first = report.result.get("first_failure") or {}
    return {
        "text": report.text,
        "exit_code": report.exit_code,
        "result": report.result,
        "is_final": report.is_final,
        "is_consequence": report.is_consequence,
        "is_halt": bool(report.result.get("halt")),
        "stopped_by": report.result.get("stopped_by"),
        "failed_at": first.get("time", time.time()),
    }


def report_of(verdict: dict[str, Any]) -> Report:
    """Return the job's report, out of the verdict."""
    return Report(
        str(verdict["text"]), int(verdict["exit_code"]), verdict["result"], is_final=bool(verdict["is_final"])
    )
