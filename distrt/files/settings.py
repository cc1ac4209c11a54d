"""What ``distrt.serialization`` lets one set. State of the process, as in PyTorch."""

from __future__ import annotations

import mmap
import threading
from enum import Enum
from typing import Any


class LoadEndianness(Enum):
    """The byte order of files that do not say theirs."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Settings:
    endianness: LoadEndianness | None = None
    with_checksums = True
    mmap_flags = mmap.MAP_PRIVATE


class _OfThread(threading.local):
    skips_data = False


settings = _Settings()
of_thread = _OfThread()


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order of files that do not say theirs; None is little endian."""
    return settings.endianness


def set_default_load_endianness(endianness: Any) -> None:
    """Sets the byte order of files that do not say theirs.

    Raises:
        TypeError: for what is no ``LoadEndianness``.
    """
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    settings.endianness = endianness


def get_crc32_options() -> bool:
    """True where ``save`` writes a checksum for each record."""
    return settings.with_checksums


def set_crc32_options(compute_crc32: bool) -> None:
    """Sets whether ``save`` writes a checksum for each record; without, damage to the data is not noticed."""
    settings.with_checksums = compute_crc32


def get_default_mmap_options() -> int:
    """How ``load`` maps files with ``mmap=True``: ``mmap.MAP_PRIVATE`` or ``mmap.MAP_SHARED``."""
    return settings.mmap_flags


class set_default_mmap_options:  # noqa: N801 - PyTorch's own spelling
    """Sets how ``load`` maps files with ``mmap=True``: for good, or in a ``with`` statement for its block.

    Raises:
        ValueError: for flags that are neither ``mmap.MAP_PRIVATE`` nor ``mmap.MAP_SHARED``.
    """

    def __init__(self, flags: int) -> None:
        if flags not in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            raise ValueError(
                "Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or "
                f"mmap.MAP_SHARED, but got {flags}"
            )
        self.prev = settings.mmap_flags
        settings.mmap_flags = flags

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        settings.mmap_flags = self.prev


class skip_data:  # noqa: N801 - PyTorch's own spelling
    """Inside the ``with`` block, files get room for the data but not the data, and tensors are loaded as zeros."""

    def __init__(self, materialize_fake_tensors: bool = False) -> None:
        self.materialize_fake_tensors = materialize_fake_tensors

    def __enter__(self) -> None:
        self._before = of_thread.skips_data
        of_thread.skips_data = True

    def __exit__(self, *exception: object) -> None:
        of_thread.skips_data = self._before
