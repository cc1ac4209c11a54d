"""GPUs in a trace, as in Kineto's: each GPU a process, each stream a row, with arrows from the calls that launched."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distrt.core.gpu.library import find
from distrt.profiler.activities import DeviceType
from distrt.profiler.events import FunctionEvent

__all__ = ["properties", "rows"]

_BELOW_THE_CPU = 5_000_000  # Kineto's


def rows(events: Sequence[FunctionEvent], threads: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    """Rows, bars and arrows of what GPUs did and of the calls that have launched it.

    Args:
        events: of a recording; others than these are left out.
        threads: the system's number of each thread of the events.
    """
    calls = {each.id: each for each in events if each.category in ("cuda_runtime", "cuda_driver")}
    works = [each for each in events if each.device_type is DeviceType.CUDA]
    yield from _named(works)
    for call in calls.values():
        yield _bar(call, os.getpid(), threads[call.thread])
    begun = set()
    for work in works:
        yield _bar(work, work.device_index, work.device_resource_id)
        launch = calls.get(work.id)
        if launch is None or work.is_user_annotation:
            continue
        if launch.id not in begun:
            begun.add(launch.id)
            yield _arrow("s", launch, os.getpid(), threads[launch.thread])
        yield {**_arrow("f", work, work.device_index, work.device_resource_id), "bp": "e"}


def properties(events: Sequence[FunctionEvent]) -> list[dict[str, Any]]:
    """The GPUs that have done something."""
    found = []
    for number in sorted({each.device_index for each in events if each.device_type is DeviceType.CUDA}):
        told = find().cuda.runtime.getDeviceProperties(number)
        name = told["name"]
        found.append(
            {
                "id": number,
                "name": name.decode() if isinstance(name, bytes) else str(name),
                "totalGlobalMem": int(told["totalGlobalMem"]),
                "computeMajor": int(told["major"]),
                "computeMinor": int(told["minor"]),
                "numSms": int(told["multiProcessorCount"]),
                "warpSize": int(told["warpSize"]),
            }
        )
    return found


def _named(works: Sequence[FunctionEvent]) -> Iterator[dict[str, Any]]:
    for device in sorted({each.device_index for each in works}):
        yield _meta("process_name", device, 0, {"name": "python"})
        yield _meta("process_labels", device, 0, {"labels": f"GPU {device}"})
        yield _meta("process_sort_index", device, 0, {"sort_index": _BELOW_THE_CPU + device})
    for device, stream in sorted({(each.device_index, each.device_resource_id) for each in works}):
        yield _meta("thread_name", device, stream, {"name": f"stream {stream}"})
        yield _meta("thread_sort_index", device, stream, {"sort_index": stream})


def _meta(name: str, process: int, row: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "M", "name": name, "ts": 0, "pid": process, "tid": row, "args": args}


def _bar(event: FunctionEvent, process: int, row: int) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": event.category,
        "name": event.trace_name,
        "pid": process,
        "tid": row,
        "ts": round(event.time_range.start, 3),
        "dur": round(event.time_range.elapsed_us(), 3),
        "args": event.details,
    }


def _arrow(kind: str, event: FunctionEvent, process: int, row: int) -> dict[str, Any]:
    return {
        "ph": kind,
        "id": event.id,
        "pid": process,
        "tid": row,
        "ts": round(event.time_range.start, 3),
        "cat": "ac2g",
        "name": "ac2g",
    }
