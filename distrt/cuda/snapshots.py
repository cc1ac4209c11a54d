"""What the memory of GPUs is used for, and has been, in the form that PyTorch's tools read (pytorch.org/memory_viz).

Memory is CuPy's pool's, which tells nothing of what it keeps for later: blocks are those that tensors have and the gaps
between them, and a segment, which the driver is asked for, is there as long as a tensor has a part of it.
Source: https://docs.pytorch.org/docs/2.13/torch_cuda_memory.html
"""

from __future__ import annotations

import ctypes
import functools
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distrt.core import gpu
from distrt.core.gpu import library
from distrt.core.gpu.history import Block, Event, Frames, History, noting
from distrt.cuda.devices import init

__all__ = [
    "_allocation_traceback",
    "_dump_snapshot",
    "_record_memory_history",
    "_snapshot",
    "memory_snapshot",
]

#: PyTorch's segments are "large" from more than this on.
_SMALL_BYTES = 1 << 20


def _record_memory_history(enabled: str | bool | None = "all", *args: Any, **kwargs: Any) -> None:
    """Notes from now on where memory is taken, and with "all" each time that it is taken and given back.

    Args:
        enabled: "all"; "state", for what tensors have alone; None ends it, and forgets what was noted. True and False
            are the older form: ``record_context``, ``trace_alloc_max_entries``, ``trace_alloc_record_context``.
        *args, **kwargs: in the newer form ``context``: whose lines of the program are noted, "state" and "alloc"
            (those that take memory), "all" (those that free it, too) or None; ``stacks``: "python" or "all", there are
            lines of Python alone; ``max_entries``: the last events that are kept, of each GPU; ``clear_history``:
            forgets what was noted before; ``skip_actions``: what is not noted. The others are accepted for
            compatibility.

    Raises:
        DeviceMissing: without a GPU.
        RuntimeError: for other words than these.
    """
    init()
    if isinstance(enabled, bool):
        _record_legacy(enabled, *args, **kwargs)
    else:
        _record(enabled, *args, **kwargs)


def _record(
    enabled: str | None = "all",
    context: str | None = "all",
    stacks: str = "all",
    max_entries: int = sys.maxsize,
    device: Any = None,
    clear_history: bool = False,
    compile_context: bool = False,
    global_record_annotations: bool = False,
    skip_actions: list[str] | None = None,
) -> None:
    _require_one_of("state", enabled, "state", "all")
    _require_one_of("context", context, "state", "alloc", "all")
    if stacks not in ("python", "all"):
        raise RuntimeError("expected stacks to be 'python', or 'all'")
    # As PyTorch's, a history that is not asked for has the last event.
    _start(enabled, context, max_entries if enabled == "all" else 1, clear_history, skip_actions)


def _record_legacy(
    enabled: bool,
    record_context: bool = True,
    trace_alloc_max_entries: int = 1,
    trace_alloc_record_context: bool = False,
    device: Any = None,
    record_context_cpp: bool = False,
    clear_history: bool = False,
    compile_context: bool = False,
    global_record_annotations: bool = False,
    skip_actions: list[str] | None = None,
) -> None:
    context = "alloc" if trace_alloc_record_context else "state" if record_context else None
    _start("all" if enabled else None, context, trace_alloc_max_entries, clear_history, skip_actions)


def _start(enabled: str | None, context: str | None, most: int, clears: bool, skipped: Any) -> None:
    before = noting.now
    noting.now = None if enabled is None else History(context, max(1, most), frozenset(skipped or ()))
    if before is not None and noting.now is not None and not clears:
        for number, events in before.events.items():
            noting.now.events[number].extend(events)


def _require_one_of(what: str, value: Any, *words: str) -> None:
    if value is not None and value not in words:
        raise RuntimeError(f"expected {what} to be {', '.join(map(repr, words))}, or None")


def _snapshot(device: Any = None, augment_with_fx_traces: bool = False) -> dict[str, Any]:
    """What is there of all GPUs, and what was noted: a dict in PyTorch's form.

    Args:
        device: accepted for compatibility, as PyTorch has it.
        augment_with_fx_traces: accepted for compatibility: no line is of a graph's code.

    Raises:
        DeviceMissing: without a GPU.
    """
    init()
    now = noting.now
    events = [[] if now is None else list(now.events[number]) for number in range(library.device_count())]
    return {
        "segments": memory_snapshot(),
        "device_traces": [[_told_event(each) for each in some] for some in events],
        "allocator_settings": {},
        "external_annotations": [],
    }


def _dump_snapshot(
    filename: str | Path = "dump_snapshot.pickle", augment_with_fx_traces: bool = False
) -> None:
    """Writes `_snapshot` as a pickle, which PyTorch's page shows. Raises DeviceMissing without a GPU."""
    made = pickle.dumps(_snapshot(augment_with_fx_traces=augment_with_fx_traces))
    Path(filename).write_bytes(made)


def _allocation_traceback(data_ptr: int) -> list[dict[str, Any]] | None:
    """Where the memory at an address was made; None where none begins there, or nobody noted it."""
    for count in list(gpu.memory.counts.values()) if library.device_count() else ():
        block = count.blocks.get(data_ptr)
        if block is not None and block.frames is not None:
            return _told_frames(block.frames)
    return None


def memory_snapshot(
    mempool_id: tuple[int, int] | None = None, include_traces: bool = True
) -> list[dict[str, Any]]:
    """The segments that tensors have parts of, with their blocks, of all GPUs; none without a GPU.

    Args:
        mempool_id: of one pool alone.
        include_traces: accepted for compatibility: segments have no events.
    """
    if not library.device_count():
        return []
    return [
        segment
        for number in range(library.device_count())
        for segment in _segments(number)
        if mempool_id is None or segment["segment_pool_id"] == tuple(mempool_id)
    ]


def _segments(number: int) -> Iterator[dict[str, Any]]:
    with library.find().cuda.Device(number):
        blocks = sorted(gpu.memory.counts[number].blocks.copy().items())
        found: dict[tuple[int, int], list[tuple[int, Block]]] = {}
        for address, block in blocks:
            found.setdefault(_range_of(address, block.size), []).append((address, block))
    for (begin, size), inside in found.items():
        first = inside[0][1]
        used = sum(block.size for _, block in inside)
        yield {
            "device": number,
            "address": begin,
            "total_size": size,
            "allocated_size": used,
            "active_size": used,
            "requested_size": sum(block.requested for _, block in inside),
            "stream": first.stream,
            "segment_type": "large" if size > _SMALL_BYTES else "small",
            "segment_pool_id": first.pool,
            "is_expandable": False,
            "frames": [],
            "blocks": [*_blocks(begin, size, inside)],
        }


def _range_of(address: int, size: int) -> tuple[int, int]:
    """Where the memory that the GPU gave in one piece begins, and how much it is."""
    begin, room = ctypes.c_uint64(), ctypes.c_size_t()
    status = _driver().cuMemGetAddressRange_v2(
        ctypes.byref(begin), ctypes.byref(room), ctypes.c_uint64(address)
    )
    return (address, size) if status else (begin.value, room.value)


@functools.cache
def _driver() -> Any:
    return ctypes.CDLL("libcuda.so.1")


def _blocks(begin: int, size: int, inside: list[tuple[int, Block]]) -> Iterator[dict[str, Any]]:
    """The blocks of a segment in their order, and what lies between them."""
    at = begin
    for address, block in inside:
        if address > at:
            yield _told_block(at, address - at, 0, "inactive", None)
        yield _told_block(address, block.size, block.requested, "active_allocated", block.frames)
        at = address + block.size
    if at < begin + size:
        yield _told_block(at, begin + size - at, 0, "inactive", None)


def _told_block(address: int, size: int, requested: int, state: str, frames: Frames | None) -> dict[str, Any]:
    return {
        "address": address,
        "size": size,
        "requested_size": requested,
        "state": state,
        "frames": _told_frames(frames or ()),
    }


def _told_event(event: Event) -> dict[str, Any]:
    told = {
        "action": event.action,
        "device_free" if event.action == "oom" else "addr": event.address,
        "size": event.size,
        "stream": event.stream,
        "time_us": event.time_us,
        "compile_context": "N/A",
        "user_metadata": "",
        "pool_id": event.pool,
    }
    if event.frames is not None:
        told["frames"] = _told_frames(event.frames)
    return told


def _told_frames(frames: Frames) -> list[dict[str, Any]]:
    return [{"filename": code.co_filename, "line": line, "name": code.co_name} for code, line in frames]
