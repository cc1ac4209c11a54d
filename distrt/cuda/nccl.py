"""Facade: NCCL, which is found where CuPy brings it."""

from __future__ import annotations

from typing import Any

from distrt.core.errors import DeviceMissing

__all__ = ["is_available", "version"]


def is_available(tensors: Any = ()) -> bool:
    """True where NCCL can be used."""
    return False


def version() -> tuple[int, ...]:
    """NCCL's version. Raises DeviceMissing without it."""
    raise DeviceMissing("nccl.version(): there is no NCCL without a GPU")
