"""Settings of the process that PyTorch scripts make: threads, precision.

What cannot matter here is remembered and given back: distrt computes float32 in float32.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.process.users_code import warn

__all__ = [
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "is_warn_always_enabled",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_num_threads",
    "set_warn_always",
]

_PRECISIONS = ("highest", "high", "medium")


class _Settings:
    """What has been set."""

    def __init__(self) -> None:
        self.followers: list[Callable[[int], None]] = []
        self.interop_threads = os.cpu_count() or 1
        self.matmul_precision = "highest"
        self.sets_threads = False
        self.threads = len(os.sched_getaffinity(0))
        self.warns_always = False


_settings = _Settings()


# Threads


@functools.cache
def _blas() -> Any:
    """The functions of NumPy's own OpenBLAS that set and tell its number of threads; None with another library."""
    folder = pathlib.Path(np.__file__).parent.parent / "numpy.libs"
    for path in sorted(folder.glob("libscipy_openblas*")):
        library = ctypes.CDLL(str(path))
        for ending in ("64_", ""):
            if hasattr(library, f"scipy_openblas_set_num_threads{ending}"):
                return (
                    getattr(library, f"scipy_openblas_set_num_threads{ending}"),
                    getattr(library, f"scipy_openblas_get_num_threads{ending}"),
                )
    return None


def set_num_threads(int: int, /) -> None:
    """Sets how many threads one matrix product may use.

    Raises:
        RuntimeError: for a number that is not a positive integer.
    """
    count = _positive("set_num_threads", int)
    blas = _blas()
    if blas is not None:
        blas[0](count)
    _settings.threads, _settings.sets_threads = count, True
    for follower in _settings.followers:
        follower(count)


def has_set_num_threads() -> bool:
    """Whether ``set_num_threads`` was called: otherwise the number comes from the environment or the machine."""
    return _settings.sets_threads


def follow_num_threads(follower: Callable[[int], None]) -> None:
    """Calls ``follower`` with each number of threads that is set from now on."""
    _settings.followers.append(follower)


def get_num_threads() -> int:
    """How many threads one matrix product may use."""
    blas = _blas()
    return _settings.threads if blas is None else blas[1]()


def set_num_interop_threads(int: int, /) -> None:
    """Remembers the number: operations run one after another here."""
    _settings.interop_threads = _positive("set_num_interop_threads", int)


def get_num_interop_threads() -> int:
    """The number that was set, or that of the cores."""
    return _settings.interop_threads


def _positive(name: str, count: Any) -> int:
    if not isinstance(count, int) or isinstance(count, bool):
        raise RuntimeError(f"{name} expects an int, but got {type(count).__name__}")
    if count < 1:
        raise RuntimeError(f"{name} expects a positive integer, got {count}")
    return count


# Precision


def set_float32_matmul_precision(precision: str) -> None:
    """Remembers "highest", "high" or "medium"; products of float32 are computed in float32 with each."""
    if precision not in _PRECISIONS:
        warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current set_float32_matmul_precision call "
            "has no effect."
        )
        return
    _settings.matmul_precision = precision


def get_float32_matmul_precision() -> str:
    """What was set; "highest" at first."""
    return _settings.matmul_precision


def set_flush_denormal(mode: bool) -> bool:
    """False: NumPy's kernels keep denormal numbers, and there is no way to ask them not to."""
    if not isinstance(mode, bool):
        raise TypeError(f"set_flush_denormal expects a bool, but got {type(mode).__name__}")
    return False


# Warnings


def set_warn_always(b: bool, /) -> None:
    """Remembers the wish; how often a warning is shown is the choice of Python's ``warnings``."""
    if not isinstance(b, bool):
        raise TypeError(f"setWarnOnlyOnce expects a bool, but got {type(b).__name__}")
    _settings.warns_always = b


def is_warn_always_enabled() -> bool:
    """What was set."""
    return _settings.warns_always
