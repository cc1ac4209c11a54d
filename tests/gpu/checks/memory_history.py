"""What memory of a GPU is used for: snapshots and histories in PyTorch's form, pools, and a kernel that only waits."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distrt as torch
from tests.gpu.checking import refused, run_all
from tests.gpu.fixtures import NOT_THERE

MB = 1 << 20
KEYS = {
    "address",
    "total_size",
    "stream",
    "segment_type",
    "segment_pool_id",
    "allocated_size",
    "active_size",
    "blocks",
}
STATES = {"active_allocated", "inactive"}


def _made(count: int) -> Any:
    return torch.empty(count, dtype=torch.uint8, device="cuda")


def blocks_are_those_of_tensors() -> Iterator[str]:
    """Without a history, too: addresses, sizes, and what lies between."""
    gc.collect()
    torch.cuda.empty_cache()
    whole = _made(3 * MB)
    del whole
    parts = [_made(MB) for _ in range(3)]  # of the one that was freed
    small = _made(100)
    del parts[1]
    segments = torch.cuda.memory_snapshot()
    if any(not each.keys() >= KEYS for each in segments):
        yield "a segment lacks something"
    blocks = {block["address"]: block for each in segments for block in each["blocks"]}
    for tensor, size, requested in ((parts[0], MB, MB), (parts[1], MB, MB), (small, 512, 100)):
        told = blocks.get(tensor.data_ptr())
        if told is None or (told["size"], told["requested_size"], told["state"], told["frames"]) != (
            size,
            requested,
            "active_allocated",
            [],
        ):
            yield f"{requested} bytes: {told}"
    total = sum(block["size"] for block in blocks.values() if block["state"] == "active_allocated")
    if total != torch.cuda.memory_allocated() or {each["state"] for each in blocks.values()} - STATES:
        yield f"blocks of {total} bytes, {torch.cuda.memory_allocated()} are allocated"
    for each in segments:
        if sum(block["size"] for block in each["blocks"]) != each["total_size"]:
            yield f"blocks do not fill their segment: {each}"


def a_history_says_who_took_memory() -> Iterator[str]:
    """And who freed it, in PyTorch's words and order."""
    memory = torch.cuda.memory
    memory._record_memory_history(max_entries=50)
    try:
        kept, gone = _made(5 * MB), _made(MB)
        address = gone.data_ptr()
        del gone
        thread = threading.Thread(target=lambda: _made(7 * MB).fill_(1))
        thread.start()
        thread.join()
        found = memory._snapshot()
    finally:
        memory._record_memory_history(enabled=None)
    events = found["device_traces"][torch.cuda.current_device()]
    own = [event["action"] for event in events if event["addr"] == address and event["action"][0] != "s"]
    if own[-3:] != ["alloc", "free_requested", "free_completed"]:
        yield f"what happened to a tensor: {own}"
    if not any(event["action"] == "alloc" and event["size"] == 7 * MB for event in events):
        yield "another thread's is not there"
    for event in events:
        lines = [frame["filename"] for frame in event["frames"]]
        is_told = event["action"] != "alloc" or any(line == __file__ for line in lines)
        if not is_told or "core/gpu" in lines[0]:
            yield f"{event['action']} comes from {lines}"
    told = memory._allocation_traceback(kept.data_ptr())
    if told is None or all(frame["name"] != "a_history_says_who_took_memory" for frame in told):
        yield f"the tensor's lines: {told}"
    if any(torch.cuda.memory._snapshot()["device_traces"]):
        yield "events are left behind the end"


def the_last_events_are_kept() -> Iterator[str]:
    """As many as are asked for, without what is not; "state" has one; the older form."""
    memory = torch.cuda.memory
    for arguments, count in (
        ({"max_entries": 4, "skip_actions": ["free_requested", "segment_alloc"]}, 4),
        ({"enabled": "state"}, 1),
        ({"enabled": True, "trace_alloc_max_entries": 3, "trace_alloc_record_context": True}, 3),
    ):
        memory._record_memory_history(**arguments, clear_history=True)
        for _ in range(5):
            _made(MB)
        events = memory._snapshot()["device_traces"][0]
        if len(events) != count or events[-1]["action"] != "free_completed":
            yield f"{arguments}: {[each['action'] for each in events]}"
        if "skip_actions" in arguments and {each["action"] for each in events} != {"alloc", "free_completed"}:
            yield "what is skipped is noted"
    memory._record_memory_history(enabled=None)
    for words, arguments in (
        ("expected state to be 'state', 'all', or None", {"enabled": "some"}),
        ("expected context to be", {"context": "none"}),
        ("expected stacks to be 'python', or 'all'", {"stacks": "c"}),
    ):
        yield from refused(
            RuntimeError, words, lambda arguments=arguments: memory._record_memory_history(**arguments)
        )


def lack_of_memory_is_an_event() -> Iterator[str]:
    memory = torch.cuda.memory
    memory._record_memory_history()
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        yield from refused(torch.cuda.OutOfMemoryError, "out of memory", lambda: _made(1 << 31))
        last = memory._snapshot()["device_traces"][0][-1]
        if (
            last["action"] != "oom"
            or last["size"] != 1 << 31
            or "device_free" not in last
            or not last["frames"]
        ):
            yield f"{last['action']}, {last['size']}"
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        memory._record_memory_history(enabled=None)


def pytorchs_tools_read_it() -> Iterator[str]:
    """A dump, by PyTorch's own functions, where it is installed."""
    memory = torch.cuda.memory
    memory._record_memory_history(clear_history=True)
    kept = [_made(MB) for _ in range(3)]
    kept.pop()
    with tempfile.TemporaryDirectory() as folder:
        memory._dump_snapshot(f"{folder}/dump.pickle")
        found = pickle.loads(Path(folder, "dump.pickle").read_bytes())
    memory._record_memory_history(enabled=None)
    if sorted(found) != ["allocator_settings", "device_traces", "external_annotations", "segments"]:
        yield f"{sorted(found)}"
    if importlib.util.find_spec("torch") is None:
        return
    tools = importlib.import_module("torch.cuda._memory_viz")
    if "1.0MiB" not in tools.segsum(found):
        yield tools.segsum(found)
    if tools.trace(found).count("= ") < 3 or "del c # 1.0MiB" not in tools.trace(found):
        yield tools.trace(found)
    if (
        "memory_history.py" not in tools.memory(found, format_flamegraph=str)
        or "<html" not in tools.trace_plot(found).lower()
    ):
        yield "no picture"


def pools_are_apart() -> Iterator[str]:
    """What is made inside is the pool's, on its GPU and in its thread; and outlives it."""
    pool = torch.cuda.MemPool()
    before = _made(MB)
    with torch.cuda.use_mem_pool(pool):
        inside = _made(2 * MB)
        with torch.cuda.use_mem_pool(torch.cuda.MemPool()):
            other = _made(MB)
        elsewhere: list[Any] = []
        thread = threading.Thread(target=lambda: elsewhere.append(_made(MB)))
        thread.start()
        thread.join()
    after = _made(MB)
    addresses = [block["address"] for each in pool.snapshot() for block in each["blocks"]]
    if inside.data_ptr() not in addresses:
        yield "a tensor is not in the pool"
    for each in (before, other, after, *elsewhere):
        if each.data_ptr() in addresses:
            yield "a tensor is in the pool"
    if pool.id[0] or any(each["segment_pool_id"] != pool.id for each in pool.snapshot()):
        yield f"{pool.id}"
    number = pool.id
    del pool
    gc.collect()
    inside.fill_(3)
    if inside.sum().item() != 3 * 2 * MB or not torch.cuda.memory_snapshot(number):
        yield "a tensor has lost its memory with its pool"
    for words, arguments in (
        ("MemPool(use_on_oom=True)", {"use_on_oom": True}),
        ("MemPool(no_split=True)", {"no_split": True}),
        ("MemPool(allocator=", {"allocator": object()}),
    ):
        yield from refused(
            NotImplementedError, words, lambda arguments=arguments: torch.cuda.MemPool(**arguments)
        )


def a_kernel_waits() -> Iterator[str]:
    torch.cuda._sleep(1000)
    torch.cuda.synchronize()
    torch.cuda._sleep(-1)
    yield from ()


CHECKS = (
    blocks_are_those_of_tensors,
    a_history_says_who_took_memory,
    the_last_events_are_kept,
    lack_of_memory_is_an_event,
    pytorchs_tools_read_it,
    pools_are_apart,
    a_kernel_waits,
)


if __name__ == "__main__":
    if os.environ.get("DISTRT_EMULATED_GUARD") == "1":
        print("with guards each array has memory of its own, and there is no pool")
        sys.exit(NOT_THERE)
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as fault:
        print(f"CUDA's driver tells where memory begins: {fault}")
        sys.exit(NOT_THERE)
    sys.exit(1 if run_all(CHECKS) else 0)
