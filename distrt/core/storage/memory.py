"""Settings of the C library's allocator.

As it is, glibc gives every block above some MB back to the kernel when it is freed, and the next one of that size comes
as pages that have to be mapped and cleared one by one: a sum of ten million floats takes twice as long. Told to keep
what it has, the process stays as large as it once was, and its arrays are written into memory that is there.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt
_KEPT_BYTES = 1 << 30
_USERS_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Have the allocator keep blocks of up to 1 GB for the next ones; whether it will.

    Nothing is changed where the user has set the allocator's variables, or where it is not glibc's.
    """
    if any(os.environ.get(name) for name in _USERS_OWN):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(option, _KEPT_BYTES) == 1 for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
