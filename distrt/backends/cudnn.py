"""NVIDIA's cuDNN, which computes convolutions on GPUs where it is installed (extra ``cudnn13``), and its switches."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

from distrt.backends._switches import set_switches, switched
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu import library as gpus
from distrt.core.gpu.switches import switches
from distrt.core.kernels import on_gpu

__all__ = ["flags", "is_acceptable", "is_available", "set_flags", "version"]

allow_tf32 = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
enabled = True
fp32_precision = "none"

_DTYPES = (dt.float16, dt.bfloat16, dt.float32, dt.float64)
switches.cudnn = sys.modules[__name__]  # convolutions look here


def is_available() -> bool:
    """True where convolutions on a GPU can use it."""
    return gpus.device_count() > 0 and on_gpu.cudnn.library() is not None


def version() -> int | None:
    """Its version, such as 92801 for 9.28.1; None without it. It needs no GPU."""
    found = on_gpu.cudnn.library()
    return None if found is None else found.version


def is_acceptable(tensor: Any) -> bool:
    """True for a tensor that it would compute with."""
    return is_available() and enabled and tensor.is_cuda and tensor.dtype in _DTYPES


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
) -> tuple[Any, ...]:
    """Sets the switches that are given, and returns what they were."""
    before = set_switches(
        __name__, _named(_enabled, _benchmark, _benchmark_limit, _deterministic, _allow_tf32)
    )
    return tuple(before.values())


def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
) -> AbstractContextManager[None]:
    """The switches for a block."""
    return switched(__name__, _named(enabled, benchmark, benchmark_limit, deterministic, allow_tf32))


def _named(enabled: Any, benchmark: Any, limit: Any, deterministic: Any, allow_tf32: Any) -> dict[str, Any]:
    return {
        "enabled": enabled,
        "benchmark": benchmark,
        "benchmark_limit": limit,
        "deterministic": deterministic,
        "allow_tf32": allow_tf32,
    }
