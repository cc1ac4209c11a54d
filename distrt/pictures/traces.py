"""Traces of several ranks put into one, their clocks aligned; and the lanes of a step out of such a trace.

The format is the Trace Event Format, which Perfetto and ``chrome://tracing`` open.

Source: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from distrt.pictures.step import Lane, Span, Travel

__all__ = ["TraceError", "lanes_of", "merge", "read_trace", "trace_bytes"]

Trace = Mapping[str, Any]

#: What GPUs do, as the profiler names it, and the first row of a merged trace that is a stream.
_ON_GPUS = ("kernel", "gpu_memcpy", "gpu_memset", "gpu_user_annotation")
_STREAMS = 1 << 24
Event = dict[str, Any]


class TraceError(ValueError):
    """What should be a trace is none; the text is for the user."""


class _Alignment(NamedTuple):
    shift_us: float
    uncertainty_us: float | None
    how: str


def read_trace(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A trace that the profiler has written, compressed or not.

    Raises:
        TraceError: it is none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
        found = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data, parse_constant=_refuse)
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise TraceError(
            f"{os.fspath(path)} is no trace: {getattr(error, 'strerror', None) or error}"
        ) from None
    if not isinstance(found, dict) or not isinstance(found.get("traceEvents"), list):
        raise TraceError(f"{os.fspath(path)} is no trace: expected an object with traceEvents")
    return found


def trace_bytes(trace: Trace, path: str | os.PathLike[str]) -> bytes:
    """What a file at ``path`` holds of a trace; compressed where it ends in ``.gz``."""
    data = json.dumps(trace, allow_nan=False, separators=(",", ":")).encode()
    return gzip.compress(data) if os.fspath(path).endswith(".gz") else data


def merge(traces: Sequence[Trace]) -> dict[str, Any]:
    """One trace of those of several ranks: each rank a process, with arrows between its collectives and the others'.

    Processes of one machine share a clock. Of others, the offsets count that they measured when they met; where they
    have none, the machines' times of day, of which nobody knows how far they are apart.

    Args:
        traces: as the profiler writes them, one or more of each rank.

    Raises:
        TraceError: there is none.
    """
    if not traces:
        raise TraceError("there is no trace to merge")
    ranked = sorted(enumerate(traces), key=lambda pair: (_rank(pair[1], pair[0]), pair[0]))
    reference = ranked[0][1]
    events: list[Event] = []
    clocks: list[dict[str, Any]] = []
    calls: dict[tuple[int, int], list[Event]] = {}
    for number, trace in ranked:
        rank, alignment = _rank(trace, number), _aligned(trace, reference)
        clocks.append({"rank": rank, "host": str(trace.get("host_name", "")), **alignment._asdict()})
        events += _named(trace, rank)
        for event in _moved(trace["traceEvents"], rank, alignment.shift_us):
            events.append(event)
            if (key := _call_of(event)) is not None:
                calls.setdefault(key, []).append(event)
    known = [each["uncertainty_us"] for each in clocks]
    return {
        "schemaVersion": 1,
        "displayTimeUnit": "ms",
        "ranks": sorted({each["rank"] for each in clocks}),
        "clocks": clocks,
        # None: the clocks of machines are as they were set.
        "clockUncertaintyMicroseconds": None if None in known else max(known),
        "baseTimeNanoseconds": reference.get("baseTimeNanoseconds"),
        "traceEvents": [*events, *_arrows(calls)],
    }


def lanes_of(trace: Trace, step: int | None = None) -> list[Lane]:
    """Each rank's part in a step, out of a merged trace.

    Args:
        trace: what `merge` gives.
        step: which of the trace's steps, from 0; the last whole one where None. A step ends with the optimizer's.

    Raises:
        TraceError: there is no such step, or the trace has no phases.
    """
    phases, calls = _by_rank(trace, "phase"), _by_rank(trace, "communication")
    if not phases:
        raise TraceError("the trace has no phases: nothing was recorded, or not by distrt's profiler")
    updates = {
        rank: [_end(each) for each in found if each["name"] == "optimizer"] for rank, found in phases.items()
    }
    count = min(map(len, updates.values()))
    wanted = count - 1 if step is None else step
    if step is not None and not 0 <= step < count:
        raise TraceError(f"the trace has {count} whole steps, so step {step} is none of them")
    lanes = []
    for rank, found in sorted(phases.items()):
        begin = min(each["ts"] for each in found)
        end = max(map(_end, found))
        if count:
            begin, end = updates[rank][wanted - 1] if wanted > 0 else begin, updates[rank][wanted]
        within = [each for each in found if begin <= each["ts"] and _end(each) <= end]
        spans = [Span(each["name"], each["ts"] / 1e6, _end(each) / 1e6) for each in within]
        lanes.append(
            Lane(rank, begin / 1e6, end / 1e6, spans, list(_travels(calls.get(rank, ()), begin, end)))
        )
    return lanes


def _travels(events: Iterable[Event], begin: float, end: float) -> Iterator[Travel]:
    for each in events:
        if begin <= each["ts"] and _end(each) <= end:
            args = each.get("args", {})
            key = int(args.get("group", 0)), int(args.get("number", 0))
            yield Travel(
                str(each["name"]), each["ts"] / 1e6, _end(each) / 1e6, int(args.get("bytes", 0)), key
            )


def _by_rank(trace: Trace, category: str) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for each in trace["traceEvents"]:
        if each.get("cat") == category and each.get("ph") == "X":
            found.setdefault(each["pid"], []).append(each)
    for events in found.values():
        events.sort(key=lambda each: (each["ts"], -each["dur"]))
    return found


def _end(event: Event) -> float:
    return float(event["ts"] + event["dur"])


def _rank(trace: Trace, number: int) -> int:
    told = trace.get("distributedInfo")
    rank = told.get("rank") if isinstance(told, dict) else None
    return rank if isinstance(rank, int) else number


def _aligned(trace: Trace, reference: Trace) -> _Alignment:
    mine, other = trace.get("clock"), reference.get("clock")
    if trace is reference:
        return _Alignment(0.0, 0.0, "the reference")
    if isinstance(mine, dict) and isinstance(other, dict):
        if mine.get("machine") == other.get("machine"):
            return _Alignment(0.0, 0.0, "the same clock")
        offsets = mine.get("offset_ns"), other.get("offset_ns")
        if isinstance(offsets[0], int) and isinstance(offsets[1], int):
            off_by = int(mine.get("uncertainty_ns", 0)) + int(other.get("uncertainty_ns", 0))
            return _Alignment((offsets[0] - offsets[1]) / 1e3, off_by / 1e3, "measured over the store")
    bases = trace.get("baseTimeNanoseconds"), reference.get("baseTimeNanoseconds")
    if isinstance(bases[0], int) and isinstance(bases[1], int):
        return _Alignment((bases[0] - bases[1]) / 1e3, None, "times of day")
    return _Alignment(0.0, None, "unknown")


def _named(trace: Trace, rank: int) -> Iterator[Event]:
    process = next((each.get("pid") for each in trace["traceEvents"] if each.get("ph") == "X"), "?")
    names = {
        "process_name": {"name": f"rank {rank}"},
        "process_labels": {"labels": f"{trace.get('host_name', '?')}, process {process}"},
        "process_sort_index": {"sort_index": rank},
    }
    for name, args in names.items():
        yield {"ph": "M", "name": name, "ts": 0, "pid": rank, "tid": 0, "args": args}


def _moved(events: Iterable[Any], rank: int, shift_us: float) -> Iterator[Event]:
    """A rank's events under its number, by the reference's clock; streams of GPUs are rows beside its threads."""
    known = [each for each in events if isinstance(each, dict) and each.get("pid") != "Spans"]
    streams = {
        (each.get("pid"), each.get("tid"))
        for each in known
        if each.get("cat") in _ON_GPUS
        and isinstance(each.get("pid"), int)
        and isinstance(each.get("tid"), int)
    }
    for each in known:
        place: Event = {"pid": rank}
        if (each.get("pid"), each.get("tid")) in streams:
            place["tid"] = _STREAMS + (each["pid"] << 16) + each["tid"]
        if each.get("ph") == "M":
            if each.get("name") == "thread_name" and "tid" in place:
                place["args"] = {"name": f"GPU {each['pid']}, stream {each['tid']}"}
            if each.get("name") in ("thread_name", "thread_sort_index"):
                yield {**each, **place}
        elif isinstance(each.get("ts"), int | float):
            if each.get("cat") == "ac2g" and isinstance(each.get("id"), int):
                place["id"] = (rank + 1 << 32) + each["id"]  # each rank has numbers of its own
            yield {**each, **place, "ts": round(each["ts"] + shift_us, 3)}


def _call_of(event: Event) -> tuple[int, int] | None:
    """Which collective of which group an event is; None where it is none. Messages have no number."""
    if event.get("cat") != "communication" or event.get("ph") != "X":
        return None
    args = event.get("args", {})
    group, number = args.get("group"), args.get("number")
    return (group, number) if isinstance(group, int) and isinstance(number, int) and number else None


def _arrows(calls: Mapping[tuple[int, int], list[Event]]) -> Iterator[Event]:
    """From the rank that came first to a collective, by way of the others, to the one that came last."""
    numbered = 0
    for found in calls.values():
        by_rank: dict[int, list[Event]] = {}
        for each in sorted(found, key=lambda event: event["ts"]):
            by_rank.setdefault(each["pid"], []).append(each)
        if len(by_rank) < 2:
            continue
        # A number may come again, where a trace has more than one of a group of the same name.
        for together in zip(*by_rank.values(), strict=False):
            numbered += 1
            ordered = sorted(together, key=lambda event: (event["ts"], event["pid"]))
            for place, each in enumerate(ordered):
                kind = "s" if not place else "f" if place == len(ordered) - 1 else "t"
                arrow = {"ph": kind, "cat": "collective", "name": "collective", "id": numbered}
                yield {
                    **arrow,
                    "pid": each["pid"],
                    "tid": each["tid"],
                    "ts": each["ts"],
                    **({"bp": "e"} if place else {}),
                }


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
