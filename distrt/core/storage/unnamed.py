"""Files without a name: what they hold is gone with the last process that has them open, killed or not."""

from __future__ import annotations

import functools
import logging
import os
import tempfile

__all__ = ["open_unnamed_file"]

_log = logging.getLogger(__name__)


def open_unnamed_file(purpose: str) -> int:
    """A new, empty file in memory, for reading and writing; others open it as /proc/PID/fd/N.

    A memfd is not bound by the size of /dev/shm (64 MB in many containers). Where the kernel has none it is a file
    in the temporary directory.
    """
    try:
        return os.memfd_create(f"distrt-{purpose}", os.MFD_CLOEXEC)
    except (AttributeError, OSError) as error:
        folder = tempfile.gettempdir()
        _warn(f"no memfd ({error}): what ranks share is in unnamed files in {folder}, which may be slower")
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


@functools.cache
def _warn(text: str) -> None:
    """Once for each text."""
    _log.warning(text)
