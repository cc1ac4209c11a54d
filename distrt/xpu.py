"""Facade: ``torch.xpu``: Intel's GPUs, of which there are none here; scripts that ask first go on without them."""

from __future__ import annotations

from distrt.core.other_devices import functions_of

_FUNCTIONS = functions_of(
    "xpu",
    "current_device current_stream device_count empty_cache get_device_capability get_device_name "
    "get_device_properties get_rng_state init is_available is_bf16_supported is_initialized manual_seed "
    "manual_seed_all max_memory_allocated max_memory_reserved mem_get_info memory_allocated "
    "memory_reserved memory_stats reset_peak_memory_stats seed set_device set_rng_state set_stream stream "
    "synchronize ",
)
globals().update(_FUNCTIONS)

__all__ = sorted(_FUNCTIONS)  # noqa: PLE0605 - one list, not two
