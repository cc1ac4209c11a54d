"""The few names of PyTorch's extension module that Python libraries call: notes and switches without effect here."""

from __future__ import annotations

import importlib
from typing import Any

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


def DisableTorchFunctionSubclass() -> Any:  # noqa: N802 - PyTorch's own spelling
    """A block in which no class takes functions over; modes do."""
    dispatch = importlib.import_module("distrt.core.overriding.dispatch")
    return dispatch.Level(dispatch.MODES_ONLY)


def DisableTorchFunction() -> Any:  # noqa: N802
    """A block in which nothing takes functions over."""
    dispatch = importlib.import_module("distrt.core.overriding.dispatch")
    return dispatch.Level(dispatch.NOTHING)


def _is_torch_function_enabled() -> bool:
    """Whether classes take functions over here."""
    dispatch = importlib.import_module("distrt.core.overriding.dispatch")
    return bool(dispatch.thread.level == dispatch.ALL)


def __getattr__(name: str) -> Any:
    if name == "_disabled_torch_function_impl":
        return importlib.import_module("distrt.core.overriding.dispatch").disabled
    if name in ("TensorBase", "_TensorBase"):
        return importlib.import_module("distrt").Tensor
    raise AttributeError(f"module 'distrt._C' has no attribute {name!r}")
