"""Reads zip archives as PyTorch writes them: records that are not compressed, all in one folder.

Every number in the file is checked before it is used: records lie inside the file, one after the other, and headers
agree with the directory. So what is read in all is never more than the file.

Source: APPNOTE.TXT 6.3.10 (PKWARE).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array
from distrt.files.checksum import crc32
from distrt.files.faults import damaged, quoted
from distrt.files.zip_writer import CENTRAL, END, END_64, LOCAL, LOCATOR_64

_LARGE = 0xFFFFFFFF
_PIECE = 4 << 20
_COMMENT_AND_END = 0xFFFF + END.size


class Record(NamedTuple):
    """Where a record lies in its file, and the checksum of its data; 0 where nobody computed it."""

    start: int
    data: int
    size: int
    checksum: int


class ZipReader:
    """The records of an archive by their names, without the folder.

    Args:
        file: can read and seek; the archive goes from where it stands to its end.

    Raises:
        CheckpointError: for an archive that is damaged, or not of the kind that PyTorch writes.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._base = file.tell()
        self._size: int = file.seek(0, 2) - self._base
        self.records = self._checked(*self._directory())

    def has(self, name: str) -> bool:
        """True where there is such a record."""
        return name in self.records

    def find(self, name: str) -> Record:
        """The record of a name."""
        if name not in self.records:
            raise damaged(f"the archive: failed locating file {quoted(name)}: file not found")
        return self.records[name]

    def offset(self, name: str) -> int:
        """Where the data of a record begins, counted from the start of the file."""
        return int(self._base) + self.find(name).data

    def read(self, name: str) -> bytes:
        """The bytes of a record, compared with their checksum."""
        record = self.find(name)
        data = self._at(record.data, record.size)
        self._compare(name, record, crc32(data))
        return data

    def read_into(self, name: str, memory: Array) -> None:
        """Fills memory of the record's size, and compares it with the checksum.

        Another thread goes through one piece of a large record while the next one is read.
        """
        record = self.find(name)
        self._file.seek(self._base + record.data)
        view = memoryview(memory)
        if record.size <= _PIECE or not record.checksum:
            read_exactly(self._file, view)
            self._compare(name, record, crc32(view) if record.checksum else 0)
            return
        checksum: Future[int] | None = None
        with ThreadPoolExecutor(1, "distrt-checksum") as helper:
            for at in range(0, record.size, _PIECE):
                piece = view[at : at + _PIECE]
                read_exactly(self._file, piece)
                checksum = helper.submit(crc32, piece, checksum.result() if checksum else 0)
        self._compare(name, record, checksum.result() if checksum else 0)

    def _compare(self, name: str, record: Record, checksum: int) -> None:
        if record.checksum and checksum != record.checksum:
            raise damaged(
                f"file {name}: its checksum is {checksum:08x}, the archive says {record.checksum:08x}"
            )

    def _at(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > self._size:
            raise damaged(
                f"zip archive: {size} bytes at {offset} are beyond the end of a file of {self._size} bytes"
            )
        self._file.seek(self._base + offset)
        memory = bytearray(size)
        read_exactly(self._file, memoryview(memory))
        return bytes(memory)

    def _directory(self) -> tuple[list[tuple[str, Record, int]], int]:
        """(name, record, flags) for each entry of the directory, in its order; and where the directory begins."""
        count, size, start, end = self._end()
        if start + size != end or count * CENTRAL.size > size:
            raise damaged("zip archive: its directory does not fit into the file")
        raw = self._at(start, size)
        entries, at = [], 0
        for _ in range(count):
            if at + CENTRAL.size > size:
                raise damaged("zip archive: its directory is cut off")
            fields = CENTRAL.unpack_from(raw, at)
            signature, _, _, flags, method, _, _, checksum, packed, plain, *lengths = fields[:13]
            name_length, extra_length, comment_length = lengths
            begin = at + CENTRAL.size
            at = begin + name_length + extra_length + comment_length
            if signature != b"PK\x01\x02" or at > size:
                raise damaged("zip archive: its directory is corrupt")
            name = raw[begin : begin + name_length]
            extra = raw[begin + name_length : begin + name_length + extra_length]
            plain, packed, offset = _widened([plain, packed, fields[16]], extra)
            if method != 0 or plain != packed or flags & 0x1:
                raise damaged(
                    f"file {quoted(name)}: it is compressed or encrypted, which torch.save never does"
                )
            entries.append((_text(name), Record(offset, -1, plain, checksum), flags))
        if at != size:
            raise damaged("zip archive: its directory has another length than it says")
        return entries, start

    def _end(self) -> tuple[int, int, int, int]:
        """(number of entries, size and start of the directory, where it must end)."""
        tail_at = max(0, self._size - _COMMENT_AND_END)
        tail = self._at(tail_at, self._size - tail_at)
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or found + END.size > len(tail):
            raise damaged("zip archive: failed finding central directory")
        _, disk, _, here, count, size, start, comment = END.unpack_from(tail, found)
        at = tail_at + found
        if disk or here != count or at + END.size + comment != self._size:
            raise damaged("zip archive: failed finding central directory")
        if at >= LOCATOR_64.size:
            locator = LOCATOR_64.unpack(self._at(at - LOCATOR_64.size, LOCATOR_64.size))
            if locator[0] == b"PK\x06\x07":
                wide = END_64.unpack(self._at(locator[2], END_64.size))
                _same(wide[6:], (here, count, size, start), (0xFFFF, 0xFFFF, _LARGE, _LARGE))
                is_next = locator[2] + END_64.size + LOCATOR_64.size == at
                if wide[0] != b"PK\x06\x06" or wide[4] or wide[5] or not is_next:
                    raise damaged("zip archive: its 64-bit directory is corrupt")
                return wide[7], wide[8], wide[9], locator[2]
            if locator[0][:2] == b"PK" or max(size, start) >= _LARGE:
                raise damaged("zip archive: its 64-bit directory is corrupt")
        return count, size, start, at

    def _checked(self, entries: list[tuple[str, Record, int]], end: int) -> dict[str, Record]:
        """The records, each compared with the header before its data; none may reach into another."""
        if not entries:
            raise damaged("zip archive: it is empty")
        folder = entries[0][0].partition("/")[0] + "/"
        located, last = {}, 0
        for name, record, flags in sorted(entries, key=lambda entry: entry[1].start):
            if not name.startswith(folder) or name in located:
                raise damaged(f"file {quoted(name)}: it is twice in the archive, or in another folder")
            data = self._data_of(name, record, flags)
            if record.start < last or data + record.size > end:
                raise damaged(f"file {quoted(name)}: it overlaps with another part of the archive")
            last = data + record.size
            located[name] = record._replace(data=data)
        return {name[len(folder) :]: record for name, record in located.items()}

    def _data_of(self, name: str, record: Record, flags: int) -> int:
        """Where the data begins: after a header that must agree with the directory."""
        header = LOCAL.unpack(self._at(record.start, LOCAL.size))
        signature, _, local_flags, method, _, _, checksum, packed, plain, name_length, extra_length = header
        said = self._at(record.start + LOCAL.size, name_length)
        follows = bool(flags & 0x8)  # sizes and checksum stand behind the data
        agree = (signature, local_flags, method, said) == (b"PK\x03\x04", flags, 0, name.encode())
        sizes = {(0, 0), (_LARGE, _LARGE)} if follows else {(record.size, record.size), (_LARGE, _LARGE)}
        agree &= (packed, plain) in sizes and checksum in ({0} if follows else {record.checksum})
        data = int(record.start + LOCAL.size + name_length + extra_length)
        if follows and agree:
            agree = self._described(data + record.size, record)
        if not agree:
            raise damaged(f"file {quoted(name)}: its header contradicts the directory")
        return data

    def _described(self, at: int, record: Record) -> bool:
        """True where the description behind the data says what the directory says."""
        wide = record.size >= _LARGE or record.start >= _LARGE
        shape = struct.Struct("<4sLQQ" if wide else "<4sLLL")
        expected = (b"PK\x07\x08", record.checksum, record.size, record.size)
        return shape.unpack(self._at(at, shape.size)) == expected


def _widened(fields: list[int], extra: bytes) -> list[int]:
    """Plain size, packed size and offset; what does not fit into 32 bits stands in the extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            needed = [position for position, value in enumerate(fields) if value == _LARGE]
            if length < 8 * len(needed) or at + 4 + length > len(extra):
                raise damaged("zip archive: a 64-bit size is missing")
            for number, position in enumerate(needed):
                fields[position] = struct.unpack_from("<Q", extra, at + 4 + 8 * number)[0]
            break
        at += 4 + length
    return fields


def _same(wide: tuple[int, ...], narrow: tuple[int, ...], limits: tuple[int, ...]) -> None:
    for full, short, limit in zip(wide, narrow, limits, strict=True):
        if min(full, limit) != short:
            raise damaged("zip archive: its two directories contradict one another")


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise damaged(f"zip archive: the file name {quoted(name)} is no text") from None


def read_exactly(file: Any, view: memoryview) -> None:
    """Fills a view from a file, whatever pieces it comes in.

    Raises:
        CheckpointError: where the file ends too early.
    """
    read_into, done = getattr(file, "readinto", None), 0
    while done < len(view):
        if read_into is not None:
            count = read_into(view[done:])
        else:
            data = file.read(len(view) - done)
            count = len(data)
            view[done : done + count] = data
        if not count:
            raise damaged(f"the file: it ends {len(view) - done} bytes too early")
        done += count


def room_for(size: int) -> Array:
    """Uninitialised memory for that many bytes, which are known to be in the file."""
    with _small_pages():
        return np.empty(size, np.uint8)


@contextlib.contextmanager
def _small_pages() -> Iterator[None]:
    """NumPy asks for huge pages, which the kernel may have to put together first.

    Memory that is filled once from a file was there in half the time in small ones, where this was measured.
    """
    switch = getattr(np._core.multiarray, "_set_madvise_hugepage", None)  # type: ignore[attr-defined]
    before = switch(False) if switch else None
    try:
        yield
    finally:
        if switch:
            switch(before)
