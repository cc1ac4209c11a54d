"""Traces of several ranks as one: whose clock counts, who met whom, and what is no trace."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from distrt.pictures.traces import TraceError, lanes_of, merge, read_trace, trace_bytes


def bar(category: str, name: str, ts: float, dur: float, tid: int = 1, **args: Any) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": category,
        "name": name,
        "pid": 4711,
        "tid": tid,
        "ts": ts,
        "dur": dur,
        "args": args,
    }


def trace(
    rank: int, machine: str = "a", offset_ns: int | None = None, base_ns: int = 0, shift: float = 0.0
) -> dict[str, Any]:
    call = {"group": 5, "number": 31, "bytes": 400}
    events = [
        {"ph": "M", "name": "process_name", "ts": 0, "pid": 4711, "tid": 0, "args": {"name": "python"}},
        {"ph": "M", "name": "thread_name", "ts": 0, "pid": 4711, "tid": 1, "args": {"name": "thread 1"}},
        bar("phase", "forward", 100 + shift, 50),
        bar("phase", "backward", 150 + shift, 50),
        bar("phase", "optimizer", 200 + shift, 20),
        bar("phase", "forward", 220 + shift, 30),
        bar("phase", "optimizer", 250 + shift, 20),
        bar("communication", "all_reduce", 160 + shift + rank, 30 - rank, 2, **call),
        bar("communication", "send", 230 + shift, 5, 2, group=5, number=0, bytes=4),
        {**bar("Trace", "PyTorch Profiler (0)", 0, 1000), "pid": "Spans"},
    ]
    clock = {"machine": machine, "offset_ns": offset_ns, "uncertainty_ns": 20_000}
    info = {"rank": rank, "world_size": 2}
    return {
        "traceEvents": events,
        "distributedInfo": info,
        "clock": clock,
        "baseTimeNanoseconds": base_ns,
        "host_name": f"host{rank}",
    }


def calls(merged: dict[str, Any]) -> dict[int, float]:
    return {each["pid"]: each["ts"] for each in merged["traceEvents"] if each.get("name") == "all_reduce"}


def test_ranks_of_a_machine_keep_their_times() -> None:
    merged = merge([trace(1), trace(0)])
    assert merged["ranks"] == [0, 1] and merged["clockUncertaintyMicroseconds"] == 0
    assert calls(merged) == {0: 160, 1: 161}


def test_clocks_that_were_measured_are_aligned() -> None:
    """Rank 1's clock is 3 ms behind that of the store's machine, rank 0's 1 ms ahead."""
    merged = merge([trace(0, "a", -1_000_000), trace(1, "b", 3_000_000, shift=-4_000)])
    assert calls(merged) == {0: 160, 1: 161}
    assert merged["clockUncertaintyMicroseconds"] == 40


def test_clocks_that_were_not_measured_go_by_the_time_of_day_and_say_so() -> None:
    merged = merge([trace(0, "a", base_ns=10**18), trace(1, "b", base_ns=10**18 + 7_000_000, shift=-7_000)])
    assert calls(merged) == {0: 160, 1: 161}
    assert merged["clockUncertaintyMicroseconds"] is None
    assert [each["how"] for each in merged["clocks"]] == ["the reference", "times of day"]


def test_each_rank_is_a_process_with_its_name_and_threads() -> None:
    events = merge([trace(0), trace(1)])["traceEvents"]
    named = {(each["pid"], each["name"]): each["args"] for each in events if each["ph"] == "M"}
    assert named[0, "process_name"] == {"name": "rank 0"} and named[1, "process_name"] == {"name": "rank 1"}
    assert named[1, "process_labels"] == {"labels": "host1, process 4711"}
    assert named[1, "thread_name"] == {"name": "thread 1"}
    assert {each["pid"] for each in events} == {0, 1}


def test_arrows_lead_from_the_first_to_the_last_that_came() -> None:
    events = merge([trace(0), trace(1), trace(2)])["traceEvents"]
    arrows = [each for each in events if each["ph"] in "stf"]
    assert [(each["ph"], each["pid"], each["ts"]) for each in arrows] == [
        ("s", 0, 160),
        ("t", 1, 161),
        ("f", 2, 162),
    ]
    assert len({each["id"] for each in arrows}) == 1  # messages have none


def test_the_lanes_of_a_step_are_what_lies_between_two_updates() -> None:
    merged = merge([trace(0), trace(1)])
    first, _ = lanes_of(merged, 0)
    assert [each.kind for each in first.spans] == ["forward", "backward", "optimizer"]
    assert [(each.name, each.nbytes, each.key) for each in first.travels] == [("all_reduce", 400, (5, 31))]
    assert (first.begin, first.end) == pytest.approx((100e-6, 220e-6))
    last, _ = lanes_of(merged)
    assert (last.begin, last.end) == pytest.approx((220e-6, 270e-6))
    with pytest.raises(TraceError, match="2 whole steps, so step 2"):
        lanes_of(merged, 2)
    with pytest.raises(TraceError, match="has no phases: nothing was recorded, or"):
        lanes_of({"traceEvents": []})


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    merged = merge([trace(0)])
    (tmp_path / name).write_bytes(trace_bytes(merged, name))
    assert read_trace(tmp_path / name) == merged


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1]",
        b'{"traceEvents": 3}',
        b'{"traceEvents": [NaN]}',
        b"[" * 10**5,
        gzip.compress(b"{}", mtime=0)[:-9],
    ],
)
def test_what_is_no_trace_is_refused_with_its_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(TraceError, match=r"x\.json is no trace"):
        read_trace(tmp_path / "x.json")
    with pytest.raises(TraceError, match=r"absent\.json is no trace: No such file"):
        read_trace(tmp_path / "absent.json")
    with pytest.raises(TraceError, match="no trace to merge"):
        merge([])
    json.dumps(merge([trace(0)]), allow_nan=False)
