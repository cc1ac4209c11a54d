"""Facade: ``torch.mtia``: Meta's accelerators, none of which is here; scripts that ask first go on without them."""

from __future__ import annotations

from distrt.core.other_devices import functions_of

_FUNCTIONS = functions_of(
    "mtia",
    "current_device current_stream device_count empty_cache get_device_capability init is_available "
    "is_initialized manual_seed max_memory_allocated memory_allocated memory_stats seed set_device "
    "set_stream stream synchronize ",
)
globals().update(_FUNCTIONS)

__all__ = sorted(_FUNCTIONS)  # noqa: PLE0605 - one list, not two
