"""Sleeping until a word of shared memory changes: Linux futexes through ctypes.

A futex word is a 4-byte aligned integer in memory that several processes map.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

from distrt.core.errors import DistributedError

__all__ = ["wait", "wake"]

_SYSCALL_NUMBER = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}
_WAIT, _WAKE = 0, 1  # without FUTEX_PRIVATE_FLAG: the word is shared between processes
_EVERYBODY = 2**31 - 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


_syscall = ctypes.CDLL(None, use_errno=True).syscall  # CDLL releases the GIL during the call
_number = _SYSCALL_NUMBER.get(platform.machine())


def wait(address: int, expected: int, timeout_s: float) -> None:
    """Sleep while the word at ``address`` is ``expected``; return early for a wake, a signal, or the time-out."""
    limit = _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
    word = ctypes.c_void_p(address)
    if _syscall(_checked_number(), word, _WAIT, ctypes.c_uint(expected), ctypes.byref(limit), None, 0) == -1:
        error = ctypes.get_errno()
        if error not in (errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR):
            raise OSError(error, f"futex wait: {os.strerror(error)}")


def wake(address: int) -> None:
    """Wake everybody who sleeps on the word at ``address``."""
    _syscall(_checked_number(), ctypes.c_void_p(address), _WAKE, _EVERYBODY, None, None, 0)


def _checked_number() -> int:
    if _number is None:
        raise DistributedError(f"no futex system call is known for {platform.machine()}; shm needs Linux")
    return _number
