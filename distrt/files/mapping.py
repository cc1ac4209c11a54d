"""Files mapped into memory: read when first used, and copied page by page where they are written to."""

from __future__ import annotations

import mmap
import os

from distrt.core.storage.sharing import FileMap


def map_file(path: str, flags: int = mmap.MAP_PRIVATE) -> FileMap:
    """A map of a whole file, to be read and written.

    Args:
        path: the file.
        flags: ``mmap.MAP_PRIVATE`` keeps what is written in memory, ``mmap.MAP_SHARED`` puts it into the file.
    """
    number = os.open(path, (os.O_RDWR if flags == mmap.MAP_SHARED else os.O_RDONLY) | os.O_CLOEXEC)
    try:
        return FileMap(number, 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(number)
