"""The few names of PyTorch's extension module that Python libraries call: notes and switches without effect here."""

from __future__ import annotations

__all__: list[str] = []


def _log_api_usage_once(event: str) -> None:
    """Accepted: nobody counts."""


def _get_tracing_state() -> None:
    """None: `distrt.jit` traces by running a function, which sees numbers."""


def _jit_set_profiling_executor(profiling_flag: bool) -> bool:
    """Accepted; returns what holds: programs are compiled as a whole."""
    return False


def _jit_set_profiling_mode(profiling_flag: bool) -> bool:
    """Accepted; returns what holds: programs are compiled as a whole."""
    return False


def _jit_set_texpr_fuser_enabled(enabled: bool) -> None:
    """Accepted: which loops are fused does not depend on it."""


def _jit_override_can_fuse_on_cpu(override: bool) -> bool:
    """Accepted; returns what holds."""
    return False


def _jit_override_can_fuse_on_gpu(override: bool) -> bool:
    """Accepted; returns what holds."""
    return False
