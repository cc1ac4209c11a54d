"""Facade: ``torch.mps``: Apple's GPUs, of which there are none here; scripts that ask first go on without them."""

from __future__ import annotations

from distrt.core.other_devices import functions_of

_FUNCTIONS = functions_of(
    "mps",
    "current_allocated_memory device_count driver_allocated_memory empty_cache get_rng_state is_available "
    "manual_seed recommended_max_memory seed set_per_process_memory_fraction set_rng_state synchronize ",
)
globals().update(_FUNCTIONS)

__all__ = sorted(_FUNCTIONS)  # noqa: PLE0605 - one list, not two
