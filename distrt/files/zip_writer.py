"""Writes zip archives as PyTorch lays them out: nothing compressed, every record at a multiple of 64 bytes.

So a file can be mapped into memory, and PyTorch finds every record where it computes it to be.

Source: APPNOTE.TXT 6.3.10 (PKWARE); caffe2/serialize/inline_container.cc of PyTorch.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

from distrt.core.errors import CheckpointError
from distrt.files.checksum import crc32

ALIGNMENT = 64
_LARGE = 0xFFFFFFFF  # from here on sizes and offsets need fields of 64 bits
_HAS_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_PIECE = 1 << 20
_SMALL = 1 << 16  # bytes of data that go with their header in one call of the system

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
END = struct.Struct("<4s4H2LH")


class ZipWriter:
    """An archive that is being written.

    Args:
        write: takes bytes, and writes all of them or raises.
        name: the folder that all records lie in.
        with_checksums: False leaves the checksums 0, which readers take for "not known".
    """

    def __init__(self, write: Callable[[Any], Any], name: str, with_checksums: bool = True) -> None:
        self._write = write
        self._name = name
        self._with_checksums = with_checksums
        self._at = 0
        self._directory: list[bytes] = []
        self._seen: dict[str, int] = {}

    def record(self, name: str, data: Any, skip: Callable[[int], Any] | None = None) -> None:
        """Adds a record. With ``skip``, its bytes are left out: the function moves on by as many."""
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else memoryview(b"")  # which cannot be cast
        size, start = len(view), self._at
        path = f"{self._name}/{name}".encode()
        flags = _UTF8 | (_HAS_DESCRIPTOR if size else 0)
        header = _local_header(path, flags, size, start)
        if size <= _SMALL and skip is None:
            checksum = zlib.crc32(view) if self._with_checksums else 0
            self._put(b"".join((header, view, _descriptor(checksum, size, start))))
        else:
            self._put(header)
            checksum = self._data(view) if skip is None else self._gap(size, skip)
            self._put(_descriptor(checksum, size, start))
        self._seen[name] = checksum
        self._directory.append(_central_header(path, flags, checksum, size, start))

    def finish(self) -> None:
        """Writes PyTorch's last two records and the directory."""
        self.record("version", b"3\n")
        names = zlib.crc32("".join(self._seen).encode())
        contents = zlib.crc32(struct.pack(f"<{len(self._seen)}L", *self._seen.values()))
        self.record(".data/serialization_id", f"{names:020d}{contents:020d}".encode())
        start, count = self._at, len(self._directory)
        directory = b"".join(self._directory)
        end = start + len(directory)
        self._put(directory)
        self._put(
            END_64.pack(b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, len(directory), start)
            + LOCATOR_64.pack(b"PK\x06\x07", 0, end, 1)
            + END.pack(
                b"PK\x05\x06",
                0,
                0,
                min(count, 0xFFFF),
                min(count, 0xFFFF),
                min(len(directory), _LARGE),
                min(start, _LARGE),
                0,
            )
        )

    def _gap(self, size: int, skip: Callable[[int], Any]) -> int:
        skip(size)
        self._at += size
        return 0

    def _data(self, view: memoryview) -> int:
        """Writes the bytes of a record; their checksum, computed piece by piece while they are cached."""
        checksum = 0
        for at in range(0, len(view), _PIECE):
            piece = view[at : at + _PIECE]
            self._put(piece)
            if self._with_checksums:
                checksum = crc32(piece, checksum)
        return checksum

    def _put(self, data: Any) -> None:
        self._write(data)
        self._at += len(data)


def _descriptor(checksum: int, size: int, start: int) -> bytes:
    """What stands behind the data of a record; nothing behind an empty one."""
    if not size:
        return b""
    wide = size >= _LARGE or start >= _LARGE
    return struct.pack("<4sLQQ" if wide else "<4sLLL", b"PK\x07\x08", checksum, size, size)


def _local_header(path: bytes, flags: int, size: int, start: int) -> bytes:
    """The header before the data, filled up so that the data is aligned."""
    wide = _wide_fields(size, start)
    before = start + LOCAL.size + len(path) + len(wide) + 4
    filler = -before % ALIGNMENT
    extra = wide + struct.pack("<2sH", b"FB", filler) + b"Z" * filler
    return LOCAL.pack(b"PK\x03\x04", 0, flags, 0, 0, 0, 0, 0, 0, len(path), len(extra)) + path + extra


def _central_header(path: bytes, flags: int, checksum: int, size: int, start: int) -> bytes:
    wide = _wide_fields(size, start)
    fixed = CENTRAL.pack(
        b"PK\x01\x02",
        0,
        0,
        flags,
        0,
        0,
        0,
        checksum,
        min(size, _LARGE),
        min(size, _LARGE),
        len(path),
        len(wide),
        0,
        0,
        0,
        0,
        min(start, _LARGE),
    )
    return fixed + path + wide


def _wide_fields(size: int, start: int) -> bytes:
    """The extra field with what does not fit into 32 bits; nothing where all does."""
    fields = ([size, size] if size >= _LARGE else []) + ([start] if start >= _LARGE else [])
    return struct.pack(f"<2H{len(fields)}Q", 1, 8 * len(fields), *fields) if fields else b""


def whole(write: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A ``write`` that goes on until all is written: a raw file may take a part only."""

    def write_all(data: Any) -> None:
        taken = write(data)
        if taken is None or taken == len(data) or not isinstance(taken, int):
            return
        view = memoryview(data).cast("B")[taken:]
        while len(view):
            taken = write(view)
            if not taken:
                raise CheckpointError(f"the file took no more data: {len(view)} bytes are left")
            view = view[taken:]

    return write_all
