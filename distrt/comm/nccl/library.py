"""NCCL itself, as CuPy brings it: whether it is there, and which one."""

from __future__ import annotations

import functools
from typing import Any

from distrt.core.errors import DeviceMissing
from distrt.core.gpu import library

__all__ = ["find", "require", "version"]


@functools.cache
def find() -> Any:
    """``cupy.cuda.nccl``; None where there is no GPU, or no library of NCCL's that CuPy can load."""
    cupy = library.find()
    if cupy is None:
        return None
    try:
        from cupy.cuda import nccl

        return nccl if nccl.available else None
    except (AttributeError, ImportError, OSError):  # CuPy has a stand-in that raises when it is asked
        return None


def require() -> Any:
    """``cupy.cuda.nccl``.

    Raises:
        DeviceMissing: what is missing, and how to get it.
    """
    found = find()
    if found is None:
        if library.find() is None:
            raise DeviceMissing("ProcessGroupNCCL is only supported with GPUs, no GPUs found!")
        raise DeviceMissing(
            "Distributed package doesn't have NCCL built in: CuPy finds no NCCL library; "
            "pip install distrt[nccl13] (or [nccl12], for CUDA 12)"
        )
    return found


def version() -> tuple[int, int, int]:
    """The version of the library that is loaded.

    Raises:
        DeviceMissing: there is none.
    """
    code = int(require().get_version())
    hundreds = 10_000 if code >= 10_000 else 1_000  # before 2.9 there was one digit less
    return code // hundreds, code % hundreds // 100, code % 100
