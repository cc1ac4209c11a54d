"""What a machine without a GPU answers to ``distrt.cuda``.

Questions about memory and seeds are answered as for a GPU on which nothing is; what needs one raises
``DeviceMissing``, which is caught as AssertionError and as RuntimeError, PyTorch's two.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, NoReturn

from distrt.core.errors import DeviceMissing
from distrt.cuda import amp, nccl, nvtx
from distrt.cuda.stream import Event, ExternalStream, Stream, StreamContext, stream

__all__ = [
    "Event",
    "ExternalStream",
    "Stream",
    "StreamContext",
    "amp",
    "can_device_access_peer",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
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
    "nccl",
    "nvtx",
    "reset_accumulated_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
    "utilization",
]

has_half = False


def is_available() -> bool:
    """True where tensors can be put on a GPU."""
    return False


def is_initialized() -> bool:
    """True once a GPU has been used."""
    return False


def device_count() -> int:
    """The number of GPUs."""
    return 0


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """True where the GPU computes in bfloat16."""
    return False


def is_current_stream_capturing() -> bool:
    """True while a CUDA graph is recorded."""
    return False


def get_arch_list() -> list[str]:
    """The architectures that kernels were built for: none."""
    return []


def _none(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises DeviceMissing."""
    raise DeviceMissing(
        "Torch not compiled with CUDA enabled: distrt finds no GPU here; ask distrt.cuda.is_available() first"
    )


can_device_access_peer = current_device = current_stream = default_stream = _none
get_device_capability = get_device_name = get_device_properties = _none
init = mem_get_info = set_device = set_per_process_memory_fraction = set_stream = synchronize = (
    utilization
) = _none
get_rng_state = set_rng_state = initial_seed = ipc_collect = _none


class device:  # noqa: N801 - PyTorch's own spelling
    """Makes a GPU the current one for a block; None and negative numbers leave it."""

    def __init__(self, device: Any) -> None:
        from distrt.core.device import device as device_type

        if isinstance(device, str):
            device = device_type(device)
        index = getattr(device, "index", None) if not isinstance(device, int | None) else device
        self.idx = -1 if index is None and device is None else (index or 0)

    def __enter__(self) -> None:
        if self.idx >= 0:
            _none()

    def __exit__(self, *exception: object) -> None:
        """Changes nothing."""


def device_of(obj: Any) -> nullcontext[None]:
    """A block in which the tensor's GPU is the current one: a tensor on the CPU changes nothing."""
    return nullcontext()


# Seeds


def manual_seed(seed: int) -> None:
    """Nothing to seed without a GPU."""


def manual_seed_all(seed: int) -> None:
    """Nothing to seed without a GPU."""


def seed() -> None:
    """Nothing to seed without a GPU."""


def seed_all() -> None:
    """Nothing to seed without a GPU."""


def get_rng_state_all() -> list[Any]:
    """The states of no GPU."""
    return []


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Sets the states of all GPUs; there is none to set."""
    for _ in new_states:
        _none()


# Memory


def empty_cache() -> None:
    """Nothing to empty without a GPU."""


def _nothing(device: Any = None) -> int:
    """0 bytes: no GPU, no memory of one."""
    return 0


memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _nothing
memory_cached = max_memory_cached = _nothing


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing has been counted."""


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
reset_accumulated_memory_stats = reset_peak_memory_stats


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """No figures."""
    return OrderedDict()


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """No figures."""
    return {}


def memory_snapshot(*args: Any, **options: Any) -> list[Any]:
    """No blocks."""
    return []


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """One line that says so."""
    return "No GPU: 0 bytes allocated, 0 bytes reserved"
