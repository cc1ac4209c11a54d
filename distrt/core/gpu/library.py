"""CuPy itself, and the GPUs that it finds."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


@functools.cache
def find() -> Any:
    """CuPy, or None where it is not installed or finds no GPU."""
    if importlib.util.find_spec("cupy") is None:
        return None
    try:
        import cupy

        return cupy if cupy.cuda.runtime.getDeviceCount() > 0 else None
    except (ImportError, OSError, RuntimeError):  # no driver, or one that is too old for this CuPy
        return None


@functools.cache
def device_count() -> int:
    """The number of GPUs that tensors can be on."""
    cupy = find()
    return 0 if cupy is None else int(cupy.cuda.runtime.getDeviceCount())


def telling_failures() -> AbstractContextManager[None]:
    """CuPy raises LinAlgError inside, in this thread, as NumPy does; outside it passes over what its solvers say."""
    import cupyx

    told: AbstractContextManager[None] = cupyx.errstate(linalg="raise")
    return told


def current() -> int:
    """The number of the GPU that is meant where none is named; there must be one."""
    return _asked()()


@functools.cache
def _asked() -> Callable[[], int]:
    ask: Callable[[], int] = find().cuda.runtime.getDevice
    return ask
