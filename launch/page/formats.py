"""Numbers, times and sizes as people write them."""

from __future__ import annotations

import time

__all__ = ["clock", "duration", "percent", "plural", "rate", "significant", "size"]


def duration(seconds: float) -> str:
    """12 ms, 3.4 s, 5 min 6 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 0.9995:
        return f"{1e6 * seconds:.0f} µs" if seconds < 1e-3 else f"{1e3 * seconds:.3g} ms"
    if seconds < 59.5:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for unit, name, smaller, small_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // smaller} {small_name}"
    return f"{whole} s"


def clock(moment: float) -> str:
    """A moment since the epoch, as the reader's machine tells time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    except (ValueError, OverflowError, OSError):
        return "?"


def percent(share: float) -> str:
    """0.423 is 42 %."""
    return f"{100 * share:.0f} %"


def size(nbytes: float) -> str:
    """Bytes in the unit that suits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(nbytes) < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.3g} TiB"


def significant(value: float) -> str:
    """Three digits that count."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def rate(value: float, unit: str) -> str:
    """So many a second."""
    return f"{significant(value)} {unit}/s"


def plural(count: int, noun: str) -> str:
    """1 rank, 2 ranks."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
