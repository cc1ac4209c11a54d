"""NVIDIA's cuDNN: not here. Scripts set its switches before they know."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from distrt.backends._switches import set_switches, switched

__all__ = ["flags", "is_acceptable", "is_available", "set_flags", "version"]

allow_tf32 = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
enabled = True
fp32_precision = "none"


def is_available() -> bool:
    """True where convolutions on a GPU can use it."""
    return False


def version() -> int | None:
    """Its version; None without it."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """True for a tensor that it would compute with."""
    return False


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
