"""A recording as stacks, a line for each place, from which flame graphs are made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from distrt.files.atomic import replace_whole

__all__ = ["METRICS", "write_stacks"]

METRICS = (
    "self_cpu_time_total",
    "self_cuda_time_total",
    "self_xpu_time_total",
    "self_privateuse1_time_total",
)
_REPLACED = str.maketrans(" ;\t\n", "____")


def write_stacks(path: str | os.PathLike[str], events: Iterable[Any], metric: str) -> None:
    """Writes a line for each place that has called something: frames from the outermost, and microseconds.

    Raises:
        ValueError: the metric is none of ``METRICS``.
        OSError: the file cannot be written.
    """
    if metric not in METRICS:
        raise ValueError(f"metric should be one of: {list(METRICS)}, got {metric!r}")
    of_cpu = metric == METRICS[0]
    totals: dict[str, int] = {}
    for each in events:
        if each.stack:
            place = ";".join(part.translate(_REPLACED) for part in reversed(each.stack))
            spent_us = each.self_cpu_time_total if of_cpu else each.self_device_time_total
            totals[place] = totals.get(place, 0) + int(spent_us)
    text = "".join(f"{place} {total}\n" for place, total in totals.items() if total)
    replace_whole(os.fspath(path), lambda file: file.write(text.encode(errors="backslashreplace")))
