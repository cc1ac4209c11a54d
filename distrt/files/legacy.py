"""PyTorch's format before 1.6: three small pickles, the object, the keys of its storages, and their bytes.

The magic number, the version and the byte order come first. A storage is its number of elements in eight bytes, and its
elements. Several objects may follow one another in one file.
"""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.errors import CheckpointError
from distrt.core.storage.storage import TypedStorage, UntypedStorage
from distrt.files.allowed import Rule
from distrt.files.building import ObjectBuilder
from distrt.files.faults import UnpicklingError, damaged, quoted
from distrt.files.locations import placed
from distrt.files.names import StorageType
from distrt.files.pickling import Pickled
from distrt.files.settings import of_thread
from distrt.files.unpickling import Unpickler
from distrt.files.zip_reader import read_exactly, room_for

__all__ = ["read", "write"]

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_COUNT = struct.Struct("<q")


def write(pickled: Pickled, write: Callable[[Any], Any], protocol: int) -> None:
    """Writes an object in this format."""
    about = {
        "protocol_version": _VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for each in (_MAGIC, _VERSION, about):
        write(pickle.dumps(each, protocol))
    write(pickled.data)
    keys = sorted(pickled.rows)
    write(pickle.dumps(keys, protocol))
    for key in keys:
        row = pickled.rows[key]
        write(_COUNT.pack(row.nbytes // pickled.itemsize(key)))
        write(memoryview(row))


def read(file: Any, rule: Rule, restore: Callable[[UntypedStorage, str], Any], encoding: str) -> Any:
    """Reads the object that begins where the file stands; afterwards the file stands behind it.

    Raises:
        CheckpointError: for a file that is damaged, or asks for what it must not have.
    """
    start = file.tell()
    size = file.seek(0, 2) - start
    file.seek(start)
    source = _Storages(size, restore)
    builder = ObjectBuilder(rule, source, size)
    reader = Unpickler(file, builder, size, encoding)
    if reader.load() != _MAGIC:
        raise CheckpointError(
            "Invalid magic number; corrupt file? It begins with a pickle that torch.save did not write: pickle.load "
            "reads such a file, and runs what it says"
        )
    version = reader.load()
    if version != _VERSION:
        raise CheckpointError(f"Invalid protocol version: {quoted(version)}")
    about = reader.load()
    if isinstance(about, dict) and about.get("little_endian") is False:
        raise CheckpointError(
            "the file was written by a big-endian machine; only newer formats can be converted"
        )
    begin = file.tell()
    found = reader.load()
    source.fill(file, reader.load())
    if builder.has_copied:  # from storages that were not filled yet: once more
        end = file.tell()
        file.seek(begin)
        found = Unpickler(file, ObjectBuilder(rule, source, size), size, encoding).load()
        file.seek(end)
    return found


class _Storages:
    """The storages of a file, which are made while the object is read and filled afterwards."""

    def __init__(self, size: int, restore: Callable[[UntypedStorage, str], Any]) -> None:
        self._left, self._restore = size, restore
        self._roots: dict[str, TypedStorage] = {}
        self._views: dict[str, TypedStorage] = {}

    def storage(
        self, kind: StorageType, key: str, location: str, count: int, rest: tuple[Any, ...]
    ) -> TypedStorage:
        """The storage of a key, or the part of it that ``rest`` names."""
        if key not in self._roots:
            size = count * kind.dtype.itemsize
            self._left -= size
            if self._left < 0:
                raise UnpicklingError(f"storage {quoted(key)} of {size} bytes does not fit into the file")
            memory = np.zeros(size, np.uint8) if of_thread.skips_data else room_for(size)
            untyped = placed(UntypedStorage._of(memory), location, self._restore)
            self._roots[key] = TypedStorage._of(untyped._row.view(kind.dtype.numpy))
        root = self._roots[key]
        if root.dtype is not kind.dtype:
            raise UnpicklingError(f"storage {quoted(key)} is used as {kind.dtype} and as {root.dtype}")
        view = rest[0] if rest else None
        return root if view is None else self._part(root, *view)

    def _part(self, root: TypedStorage, key: Any, offset: Any, count: Any) -> TypedStorage:
        if not all(type(each) is int and each >= 0 for each in (offset, count)) or offset + count > len(root):
            raise UnpicklingError(f"the part {quoted((offset, count))} of a storage is out of its bounds")
        name = f"{key}"
        if name not in self._views:
            self._views[name] = TypedStorage._of(root._row[offset : offset + count])
        return self._views[name]

    def fill(self, file: Any, keys: Any) -> None:
        """Reads the bytes of all storages, in the order of their keys."""
        names = [_text(key) for key in keys] if isinstance(keys, list) else []
        if not isinstance(keys, list) or len(set(names)) != len(names):
            raise damaged("the file: it does not list its storages")
        for key in names:
            if key not in self._roots:
                raise damaged(f"the file: storage {quoted(key)} does not belong to the object")
            row = self._roots[key]._row
            if of_thread.skips_data:
                continue
            count = bytearray(_COUNT.size)
            read_exactly(file, memoryview(count))
            if _COUNT.unpack(count)[0] != len(row):
                raise damaged(f"the file: storage {quoted(key)} has another length than its tensors need")
            read_exactly(file, memoryview(row.view(np.uint8)))
        missing = set(self._roots) - set(names)
        if missing:
            raise damaged(f"the file: storages {quoted(sorted(missing))} are missing")


def _text(key: Any) -> str:
    """The key of a storage: pickles of Python 2 have bytes there."""
    return key.decode("ascii", "replace") if isinstance(key, bytes) else str(key)
