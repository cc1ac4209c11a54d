"""One file as a table of keys that several processes change: the log behind ``FileStore``.

Changes are appended under the file's lock, each with its length and checksum, and every process reads on from where
it was. Nothing in the file is ever unpickled or executed, and what a process that was killed left half written is not
read. Standard library only.
"""

import contextlib
import fcntl
import os
import stat
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from distrt.comm.stores.table import Table
from distrt.core.errors import DistStoreError

__all__ = ["FileLog"]

_MAGIC = b"distrt-file-store/1\n"
# A mark, the checksum of the rest, the key's length, the value's + 1 (0: deleted).
_RECORD = struct.Struct("<IIII")
_MARK = 0x44465331
_MAX_BYTES = 1 << 30  # of a key or a value
_LONGEST_PAUSE_S = 0.02

_Found = TypeVar("_Found")


class FileLog:
    """The file at ``path``, made at the first change, and what this process has read of it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.table = Table()
        self._offset = 0
        self._identity: tuple[int, int] | None = None  # of the file, once it was opened

    def change(self, change: Callable[[Table], _Found], timeout_s: float) -> _Found:
        """Apply ``change`` to the newest state, while no other process reads or writes, and append what it changed.

        Raises:
            DistStoreError: the lock does not become free within ``timeout_s``; the file is gone, damaged or not ours.
        """
        with self._locked(timeout_s) as descriptor:
            self._read_on(descriptor)
            before = dict(self.table.values)
            found = change(self.table)
            records = _difference(before, self.table.values)
            if records:
                self._write(descriptor, records)
        return found

    def has_grown(self) -> bool:
        """Whether there is something in the file that this process has not read."""
        try:
            return os.stat(self.path).st_size != self._offset
        except OSError as error:
            raise self._error(f"the file is gone ({error.strerror}); was it deleted?") from error

    @contextlib.contextmanager
    def _locked(self, timeout_s: float) -> Iterator[int]:
        deadline = time.monotonic() + timeout_s
        while True:
            descriptor = self._open()
            try:
                self._lock(descriptor, deadline)
                status = os.fstat(descriptor)
                identity = (status.st_dev, status.st_ino)
                if self._identity not in (None, identity):
                    raise self._error("the file was replaced by another while it was in use")
                if _is_at(descriptor, self.path):
                    self._identity = identity
                    yield descriptor
                    return
            finally:
                os.close(descriptor)  # and with it the lock
            # The last user of an earlier store deleted the file between our opening and our locking it.

    def _open(self) -> int:
        # A named pipe must not hold us, and is refused then.
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_CREAT if self._identity is None else 0)
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise self._error(f"cannot open the file: {error.strerror}") from error
        try:
            self._require_own(os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _require_own(self, status: os.stat_result) -> None:
        """Refuse what a stranger has laid out: in /tmp, say, anybody may be the first."""
        if not stat.S_ISREG(status.st_mode):
            raise self._error("it is not a regular file")
        # Both, since on some mounts everything belongs to one user, or may be written by all.
        if status.st_mode & stat.S_IWOTH and status.st_uid not in (0, os.geteuid()):
            raise self._error(
                f"the file belongs to another user ({status.st_uid}), and everybody may write to it; "
                f"choose a path in a folder of your own"
            )

    def _lock(self, descriptor: int, deadline: float) -> None:
        pause_s = 0.0005
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._error("another process holds the file's lock") from None
            except OSError as error:
                raise self._error(f"cannot lock the file: {error.strerror}") from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _read_on(self, descriptor: int) -> None:
        if not self._offset:
            head = os.pread(descriptor, len(_MAGIC), 0)
            if not _MAGIC.startswith(head):
                raise self._error(f"the file is not distrt's (it begins with {head!r}); choose another path")
            os.pwrite(descriptor, _MAGIC, 0)
            self._offset = len(_MAGIC)
        used = 0
        for end, key, value in self._records(_read_all(descriptor, self._offset)):
            used = end
            if value is None:
                self.table.values.pop(key, None)
            else:
                self.table.values[key] = value
        self._offset += used

    def _records(self, data: bytes) -> Iterator[tuple[int, str, bytes | None]]:
        """Yield (end, key, value or None) of every whole record; a torn one can only be the last."""
        start = 0
        while start + _RECORD.size <= len(data):
            mark, checksum, key_size, value_size = _RECORD.unpack_from(data, start)
            if mark != _MARK or key_size > _MAX_BYTES or value_size > _MAX_BYTES:
                raise self._error("the file is damaged; delete it")
            body = start + _RECORD.size
            end = body + key_size + max(0, value_size - 1)
            if end > len(data) or zlib.crc32(data[start + 8 : end]) != checksum:
                return
            yield (
                end,
                data[body : body + key_size].decode(),
                data[body + key_size : end] if value_size else None,
            )
            start = end

    def _write(self, descriptor: int, records: bytes) -> None:
        os.ftruncate(descriptor, self._offset)  # what a process left that was killed while it wrote
        written = 0
        while written < len(records):
            written += os.pwrite(descriptor, records[written:], self._offset + written)
        self._offset += written

    def _error(self, what: str) -> DistStoreError:
        return DistStoreError(f"FileStore {self.path}: {what}")


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _read_all(descriptor: int, offset: int) -> bytes:
    pieces = []
    while piece := os.pread(descriptor, 1 << 20, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def _difference(before: dict[str, bytes], after: dict[str, bytes]) -> bytes:
    records = [_record(key, None) for key in before if key not in after]
    records += [_record(key, value) for key, value in after.items() if before.get(key) != value]
    return b"".join(records)


def _record(key: str, value: bytes | None) -> bytes:
    name = key.encode()
    sizes = struct.pack("<II", len(name), 0 if value is None else len(value) + 1)
    body = sizes + name + (value or b"")
    return struct.pack("<II", _MARK, zlib.crc32(body)) + body
