"""Facade: NCCL, which is found where CuPy finds its library."""

from __future__ import annotations

from typing import Any

__all__ = ["is_available", "version"]


def is_available(tensors: Any = ()) -> bool:
    """True where NCCL can be used, and for these tensors: all on GPUs, no two of them on one."""
    from distrt.comm.nccl import library  # most programs never ask

    devices = [each.device for each in tensors]
    return (
        library.find() is not None
        and all(each.type == "cuda" for each in devices)
        and len(set(devices)) == len(devices)
    )


def version() -> tuple[int, int, int]:
    """NCCL's version: (2, 32, 3).

    Raises:
        DeviceMissing: there is none.
    """
    from distrt.comm.nccl import library

    return library.version()
