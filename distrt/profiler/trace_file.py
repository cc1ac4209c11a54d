"""A recording as a file for Perfetto and ``chrome://tracing``."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from distrt.comm.clocks import machine_clock
from distrt.comm.world import default_group, is_initialized
from distrt.files.atomic import replace_whole
from distrt.pictures.traces import trace_bytes
from distrt.profiler.events import FunctionEvent
from distrt.profiler.gpu import rows as gpu
from distrt.profiler.timeline import Timeline

__all__ = ["trace_of", "write_trace"]

Path = str | os.PathLike[str]

#: Rows of a trace that are no threads; the system's numbers of threads are below.
_PHASES, _EXCHANGES = 1 << 23, (1 << 23) + 1


def trace_of(
    name: str,
    events: Sequence[FunctionEvent],
    threads: Mapping[int, int],
    span_us: tuple[float, float],
    metadata: Mapping[str, Any],
    timeline: Timeline,
) -> dict[str, Any]:
    """A recording in the Trace Event Format.

    Args:
        name: the trace's.
        events: of this process.
        threads: the system's number of each thread of the events.
        span_us: when the recording began and ended.
        metadata: what users have added.
        timeline: phases and exchanges, which have rows of their own.
    """
    of_gpus = [each for each in events if each.category]
    rows = [
        *_named(threads),
        *_rows(events, threads),
        *gpu.rows(of_gpus, threads),
        *_phases(timeline),
        *_exchanges(timeline),
        _span(span_us),
    ]
    return {
        "schemaVersion": 1,
        "deviceProperties": gpu.properties(of_gpus),
        **_distributed(),
        **metadata,
        "host_name": socket.gethostname(),
        "displayTimeUnit": "ms",
        # What is added to a time of the trace, which is the machine's, to get the time since 1970.
        "baseTimeNanoseconds": time.time_ns() - time.perf_counter_ns(),
        "clock": machine_clock()._asdict(),
        "traceEvents": rows,
        "traceName": name,
    }


def write_trace(path: Path, trace: Mapping[str, Any]) -> None:
    """Writes a trace as a file that appears as a whole; compressed where the path ends in ``.gz``.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    data = trace_bytes(trace, path)
    replace_whole(os.fspath(path), lambda file: file.write(data))


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
        if each.is_async or each.category:  # it has a row of its own
            continue
        args: dict[str, Any] = {"External id": each.id + 1}
        if each.input_shapes:
            args["Input Dims"] = each.input_shapes
        if each.cpu_memory_usage:
            args["Bytes"] = each.cpu_memory_usage
        if each.device_memory_usage:
            args["Device bytes"] = each.device_memory_usage
        if each.flops:
            args["FLOPs"] = each.flops
        if each.stack:
            args["Call stack"] = ";".join(each.stack)
        if each.args is not None:
            args["Args"] = each.args
        yield {
            "ph": "X",
            "cat": "user_annotation" if each.is_user_annotation else "cpu_op",
            "name": each.trace_name,
            "pid": process,
            "tid": threads[each.thread],
            "ts": round(each.time_range.start, 3),
            "dur": round(each.time_range.elapsed_us(), 3),
            "args": args,
        }


def _phases(timeline: Timeline) -> Iterator[dict[str, Any]]:
    yield _row_name(_PHASES, "phases")
    for each in timeline.phases:
        yield _bar("phase", each.kind, _PHASES, each.began_ns, each.ended_ns, {})


def _exchanges(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """Each in the first row that is free: those of several groups may go on at once."""
    free_ns: list[int] = []
    for each in sorted(timeline.exchanges, key=lambda exchange: exchange.began_ns):
        row = next((number for number, ended in enumerate(free_ns) if ended <= each.began_ns), len(free_ns))
        if row == len(free_ns):
            free_ns.append(0)
            yield _row_name(_EXCHANGES + row, "communication" if not row else f"communication {row + 1}")
        free_ns[row] = each.ended_ns
        args = {"group": each.group, "number": each.number, "bytes": each.nbytes, "async": each.is_async}
        yield _bar("communication", each.name, _EXCHANGES + row, each.began_ns, each.ended_ns, args)


def _row_name(row: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": "thread_name", "ts": 0, "pid": os.getpid(), "tid": row, "args": {"name": name}}


def _bar(
    category: str, name: str, row: int, began_ns: int, ended_ns: int, args: dict[str, Any]
) -> dict[str, Any]:
    times = {"ts": began_ns / 1e3, "dur": (ended_ns - began_ns) / 1e3}
    return {"ph": "X", "cat": category, "name": name, "pid": os.getpid(), "tid": row, **times, "args": args}


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
