"""A recording as a file: for Perfetto and ``chrome://tracing``, or as stacks for a flame graph."""

from __future__ import annotations

import gzip
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from distrt.comm.world import default_group, is_initialized
from distrt.files.atomic import write_atomically
from distrt.profiler.events import FunctionEvent

__all__ = ["write_stacks", "write_trace"]

Path = str | os.PathLike[str]


def write_trace(
    path: Path,
    events: Iterable[FunctionEvent],
    threads: Mapping[int, int],
    span_us: tuple[float, float],
    metadata: Mapping[str, Any],
) -> None:
    """Writes events in the Trace Event Format; compressed where the path ends in ``.gz``.

    Args:
        path: a file that appears as a whole.
        events: of this process.
        threads: the system's number of each thread of the events.
        span_us: when the recording began and ended.
        metadata: what users have added.
    """
    rows = [*_named(threads), *_rows(events, threads), _span(span_us)]
    whole = {
        "schemaVersion": 1,
        "deviceProperties": [],
        **_distributed(),
        **metadata,
        "host_name": socket.gethostname(),
        "displayTimeUnit": "ms",
        # What is added to a time of the trace, which is the machine's, to get the time since 1970.
        "baseTimeNanoseconds": time.time_ns() - time.perf_counter_ns(),
        "traceEvents": rows,
        "traceName": os.fspath(path),
    }
    data = json.dumps(whole, allow_nan=False).encode()
    if os.fspath(path).endswith(".gz"):
        data = gzip.compress(data)
    write_atomically(os.fspath(path), lambda file: file.write(data))


def _distributed() -> dict[str, Any]:
    if not is_initialized():
        return {}
    group = default_group()
    told = {"backend": group.backend, "rank": group.rank(), "world_size": group.size()}
    return {"distributedInfo": told}


def _named(threads: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    process = os.getpid()
    rank = f" (rank {default_group().rank()})" if is_initialized() else ""
    named = {
        "process_name": {"name": os.path.basename(sys.executable)},
        "process_labels": {"labels": f"CPU{rank}"},
    }
    for name, args in named.items():
        yield {"ph": "M", "name": name, "ts": 0, "pid": process, "tid": 0, "args": args}
    for number, native in threads.items():
        args = {"name": f"thread {number}"}
        yield {"ph": "M", "name": "thread_name", "ts": 0, "pid": process, "tid": native, "args": args}


def _rows(events: Iterable[FunctionEvent], threads: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    process = os.getpid()
    for each in events:
        args: dict[str, Any] = {"External id": each.id + 1}
        if each.input_shapes:
            args["Input Dims"] = each.input_shapes
        if each.cpu_memory_usage:
            args["Bytes"] = each.cpu_memory_usage
        if each.flops:
            args["FLOPs"] = each.flops
        if each.stack:
            args["Call stack"] = ";".join(each.stack)
        if each.args is not None:
            args["Args"] = each.args
        yield {
            "ph": "X",
            "cat": "user_annotation" if each.is_user_annotation else "cpu_op",
            "name": each.name,
            "pid": process,
            "tid": threads[each.thread],
            "ts": round(each.time_range.start, 3),
            "dur": round(each.time_range.elapsed_us(), 3),
            "args": args,
        }


def _span(span_us: tuple[float, float]) -> dict[str, Any]:
    start, end = span_us
    return {
        "ph": "X",
        "cat": "Trace",
        "name": "PyTorch Profiler (0)",
        "pid": "Spans",
        "tid": "PyTorch Profiler",
        "ts": round(start, 3),
        "dur": round(end - start, 3),
        "args": {"Op count": 0},
    }


def write_stacks(path: Path, events: Iterable[FunctionEvent], metric: str) -> None:
    """Writes a line for each place that has called something: frames from the outermost, and microseconds.

    Raises:
        ValueError: for another metric than ``self_cpu_time_total``.
    """
    if metric not in ("self_cpu_time_total", "self_cuda_time_total"):
        raise ValueError(
            f"metric should be one of: self_cpu_time_total, self_cuda_time_total, got {metric!r}"
        )
    totals: dict[str, int] = {}
    for each in events:
        if each.stack:
            place = ";".join(part.translate(_REPLACED) for part in reversed(each.stack))
            totals[place] = totals.get(place, 0) + int(getattr(each, metric))
    text = "".join(f"{place} {total}\n" for place, total in totals.items() if total)
    write_atomically(os.fspath(path), lambda file: file.write(text.encode()))


_REPLACED = str.maketrans(" ;\t\n", "____")
