"""How much of a GPU's memory is in use. Without a GPU: nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from distrt.core import gpu
from distrt.core.gpu import library
from distrt.cuda.devices import cupy, init, number_of
from distrt.cuda.management import list_gpu_processes
from distrt.cuda.pools import MemPool, use_mem_pool
from distrt.cuda.snapshots import (
    _allocation_traceback as _allocation_traceback,
)
from distrt.cuda.snapshots import (
    _dump_snapshot as _dump_snapshot,
)
from distrt.cuda.snapshots import (
    _record_memory_history as _record_memory_history,
)
from distrt.cuda.snapshots import (
    _snapshot as _snapshot,
)
from distrt.cuda.snapshots import (
    memory_snapshot,
)
from distrt.cuda.stream import queue_of

__all__ = [
    "MemPool",
    "caching_allocator_alloc",
    "caching_allocator_delete",
    "caching_allocator_disabled",
    "caching_allocator_enable",
    "empty_cache",
    "get_allocator_backend",
    "get_per_process_memory_fraction",
    "host_memory_stats",
    "host_memory_stats_as_nested_dict",
    "ipc_collect",
    "list_gpu_processes",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_snapshot",
    "memory_stats",
    "memory_stats_as_nested_dict",
    "memory_summary",
    "reset_accumulated_host_memory_stats",
    "reset_accumulated_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_host_memory_stats",
    "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
    "use_mem_pool",
]


def _on(device: Any) -> Any:
    return cupy().cuda.Device(number_of(device))


def empty_cache() -> None:
    """Gives what no tensor uses back to the GPU."""
    found = library.find()
    if found is not None:
        gpu.memory.note_reserved(gpu.memory.counts[library.current()])
        found.get_default_memory_pool().free_all_blocks()


def memory_allocated(device: Any = None) -> int:
    """Bytes in tensors."""
    return gpu.memory.counts[number_of(device)].used if library.device_count() else 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors have had at a time since the start, or since the last ``reset_peak_memory_stats``."""
    return gpu.memory.counts[number_of(device)].most_used if library.device_count() else 0


def memory_reserved(device: Any = None) -> int:
    """Bytes in tensors and bytes that are kept for the next ones."""
    if not library.device_count():
        return 0
    with _on(device):
        return gpu.memory.reserved()


def max_memory_reserved(device: Any = None) -> int:
    """The most that ``memory_reserved`` has been."""
    if not library.device_count():
        return 0
    return max(gpu.memory.counts[number_of(device)].most_reserved, memory_reserved(device))


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def reset_peak_memory_stats(device: Any = None) -> None:
    """The most from now on is what is there now."""
    if library.device_count():
        count = gpu.memory.counts[number_of(device)]
        count.most_used, count.most_reserved = count.used, memory_reserved(device)


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """The numbers of allocations and of what was freed start anew."""
    if library.device_count():
        count = gpu.memory.counts[number_of(device)]
        count.allocations, count.freed = count.allocations - count.freed, 0


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """The figures by PyTorch's names, as far as they are counted."""
    if not library.device_count():
        return OrderedDict()
    count = gpu.memory.counts[number_of(device)]
    return OrderedDict(
        {
            "active_bytes.all.current": count.used,
            "active_bytes.all.peak": count.most_used,
            "allocated_bytes.all.current": count.used,
            "allocated_bytes.all.peak": count.most_used,
            "allocation.all.allocated": count.allocations,
            "allocation.all.current": count.allocations - count.freed,
            "allocation.all.freed": count.freed,
            "reserved_bytes.all.current": memory_reserved(device),
            "reserved_bytes.all.peak": max_memory_reserved(device),
        }
    )


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """The figures, a dict for each part of their names."""
    nested: dict[str, Any] = {}
    for name, value in memory_stats(device).items():
        *path, last = name.split(".")
        room = nested
        for part in path:
            room = room.setdefault(part, {})
        room[last] = value
    return nested


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The figures as a table."""
    if not library.device_count():
        return "No GPU: 0 bytes allocated, 0 bytes reserved"
    rows = [
        ("Allocated memory", memory_allocated(device), max_memory_allocated(device)),
        ("Reserved memory", memory_reserved(device), max_memory_reserved(device)),
    ]
    lines = [f"CUDA memory of device {number_of(device)}", f"{'':18}{'now':>14}{'most':>14}"]
    lines += [f"{name:18}{now / 2**20:>10.1f} MiB{most / 2**20:>10.1f} MiB" for name, now, most in rows]
    return "\n".join(lines)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of a GPU, whoever uses them."""
    with _on(device):
        free, total = cupy().cuda.runtime.memGetInfo()
    return int(free), int(total)


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Lets tensors take this part of a GPU's memory at most.

    Raises:
        ValueError: for what is no fraction.
    """
    with _on(device):
        if not isinstance(fraction, float):
            raise TypeError("Invalid type for fraction argument, must be `float`")
        if not 0 <= fraction <= 1:
            raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
        cupy().get_default_memory_pool().set_limit(fraction=fraction)


def get_per_process_memory_fraction(device: Any = None) -> float:
    """What was set so: 1.0 where nothing was."""
    with _on(device):
        limit = cupy().get_default_memory_pool().get_limit()
        return limit / cupy().cuda.runtime.memGetInfo()[1] if limit else 1.0


#: What `caching_allocator_alloc` gave: the memory is there for as long as CuPy's object is.
_given: dict[int, Any] = {}


def caching_allocator_alloc(size: int, device: Any = None, stream: Any = None) -> int:
    """The address of memory from the pool that tensors use, for other libraries.

    Args:
        size: in bytes.
        device: on which GPU.
        stream: a `Stream`, or its handle; the current one where None.

    Raises:
        TypeError: for another kind of stream.
    """
    init()  # it may come before the first tensor, and is counted
    queue = _queue(stream, device)
    with _on(device), queue if queue is not None else nullcontext():
        memory = cupy().cuda.alloc(size)
    _given[memory.ptr] = memory
    return int(memory.ptr)


def _queue(stream: Any, device: Any) -> Any:
    """CuPy's object of a stream."""
    if stream is None:
        return None
    handle = getattr(stream, "cuda_stream", stream)
    if not isinstance(handle, int):
        raise TypeError(
            "Invalid type for stream argument, must be `torch.cuda.Stream` or `int` representing a pointer to a "
            "existing stream"
        )
    return queue_of(handle, number_of(device))


def caching_allocator_delete(mem_ptr: int) -> None:
    """Gives back what `caching_allocator_alloc` gave.

    Raises:
        DeviceMissing: without a GPU.
        ValueError: for an address that it did not give, or that was given back.
    """
    cupy()
    if mem_ptr not in _given:
        raise ValueError(f"invalid device pointer: {mem_ptr:#x} is not from caching_allocator_alloc")
    del _given[mem_ptr]


def caching_allocator_enable(value: bool = True) -> None:
    """Accepted, and without effect: memory is always CuPy's pool's, which `empty_cache` empties."""


@contextmanager
def caching_allocator_disabled() -> Iterator[None]:
    """A block in which nothing is different, as `caching_allocator_enable` says. Raises DeviceMissing without a GPU."""
    cupy()
    yield


def get_allocator_backend() -> str:
    """ "native": PyTorch's word for a pool, which here is CuPy's. Raises DeviceMissing without a GPU."""
    cupy()
    return "native"


def host_memory_stats() -> dict[str, Any]:
    """Of page-locked memory, CuPy's pool tells nothing: no figures."""
    return OrderedDict()


def host_memory_stats_as_nested_dict() -> dict[str, Any]:
    """No figures."""
    return {}


def reset_accumulated_host_memory_stats() -> None:
    """There are no figures. Raises DeviceMissing without a GPU."""
    cupy()


def reset_peak_host_memory_stats() -> None:
    """There are no figures. Raises DeviceMissing without a GPU."""
    cupy()


def ipc_collect() -> None:
    """Nothing: no memory of a GPU is shared between processes."""
    cupy()
