"""``.metadata`` of PyTorch's checkpoints: a pickle of a few classes, of which none but those named here is made."""

from __future__ import annotations

import io
import math
import os
import pathlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from distrt.checkpoint import metadata as words
from distrt.checkpoint.manifest import Entry, Manifest, Piece, completing_file
from distrt.checkpoint.metadata import BytesStorageMetadata, Metadata, MetadataIndex, TensorStorageMetadata
from distrt.checkpoint.tree import Path
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import CheckpointError
from distrt.files.allowed import Rule
from distrt.files.building import ObjectBuilder
from distrt.files.faults import SENSELESS, CallersFault, UnpicklingError, quoted
from distrt.files.pickling import Pickled
from distrt.files.unpickling import Unpickler

__all__ = ["NAME", "Record", "StorageInfo", "pickled", "read_metadata"]

NAME = ".metadata"
_MOST_BYTES = 1 << 30
_MOST_PLACES = 1 << 20


@dataclass
class StorageInfo:
    """Where PyTorch says that a part of a checkpoint lies: bytes of a file."""

    relative_path: str
    offset: int
    length: int
    transform_descriptors: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: each for name, each in vars(self).items() if each is not None}


StorageInfo.__module__ = "distrt.distributed.checkpoint.filesystem"
StorageInfo.__qualname__ = "_StorageInfo"


@dataclass(frozen=True)
class Record(Piece):
    """A piece that is an archive inside a file.

    Attributes:
        begin: where the archive begins.
        length: its bytes.
    """

    begin: int
    length: int


_HERE = {f"torch.distributed.checkpoint.metadata.{name}": getattr(words, name) for name in words.__all__}
_OLD = "torch.distributed._shard.sharded_tensor.metadata"  # where PyTorch before 2.3 had the properties

#: What ``.metadata`` may name, besides sizes, dtypes and plain containers.
_NAMES: dict[str, Any] = {
    **_HERE,
    "torch.distributed.checkpoint.metadata._MEM_FORMAT_ENCODING": words._MEM_FORMAT_ENCODING,
    f"{_OLD}.TensorProperties": words.TensorProperties,
    f"{_OLD}.MEM_FORMAT_ENCODING": words._MEM_FORMAT_ENCODING,
    "torch.distributed.checkpoint.filesystem._StorageInfo": StorageInfo,
    **{
        f"{module}.{name}": made
        for module in ("pathlib", "pathlib._local")
        for name, made in (("PosixPath", pathlib.PosixPath), ("WindowsPath", pathlib.PureWindowsPath))
    },
}


def pickled(metadata: Metadata) -> bytes:
    """The file for a description of a checkpoint."""
    return Pickled(metadata, pickle, 2).data


def read_metadata(folder: str) -> Manifest:
    """What a checkpoint of PyTorch's holds; every piece is a `Record`.

    Raises:
        CheckpointError: where there is none, or it makes no sense.
    """
    path = os.path.join(folder, NAME)
    data = completing_file(folder, NAME, _MOST_BYTES)
    try:
        return _manifest_of(_unpickled(data))
    except CheckpointError as fault:
        raise CheckpointError(f"{path} is damaged: {fault}") from fault
    except CallersFault as carrier:
        raise CheckpointError(f"{path} is damaged: {quoted(str(carrier.fault))}") from carrier.fault
    except SENSELESS as fault:
        raise CheckpointError(f"{path} is damaged: it makes no sense: {quoted(str(fault))}") from fault


class _NoStorages:
    """The memory of tensors, of which there are none here."""

    def storage(self, *identity: Any) -> Any:
        raise UnpicklingError("there is no place for tensors in it")


def _unpickled(data: bytes) -> Metadata:
    file = io.BytesIO(data)
    builder = ObjectBuilder(Rule(True, own=_NAMES), _NoStorages(), len(data))
    found = Unpickler(file, builder, len(data)).load()
    if not isinstance(found, Metadata):
        raise CheckpointError(f"it holds a {type(found).__name__}")
    if file.tell() != len(data):
        raise CheckpointError(f"{len(data) - file.tell()} bytes are left over")
    return found


def _manifest_of(metadata: Metadata) -> Manifest:
    ways = metadata.planner_data or {}
    places: dict[MetadataIndex, StorageInfo] = metadata.storage_data
    entries = {}
    for name, each in metadata.state_dict_metadata.items():
        path = _path(name, ways.get(name, (name,)))
        if isinstance(each, TensorStorageMetadata):
            entries[name] = _tensor(name, path, each, places)
        elif isinstance(each, BytesStorageMetadata):
            entries[name] = Entry(path, pieces=(_record(name, (), (), places[MetadataIndex(name)]),))
        else:
            raise CheckpointError(f"it has {quoted(each)} for {quoted(name)}")
    manifest = Manifest(entries, {}, {"written_by": "PyTorch"})
    manifest.require_whole()
    _require_apart(entries)
    return manifest


def _tensor(
    name: str, path: Path, said: TensorStorageMetadata, places: dict[MetadataIndex, StorageInfo]
) -> Entry:
    dtype = said.properties.dtype
    if not isinstance(dtype, dt.dtype):
        raise CheckpointError(f"tensor {quoted(name)} has the dtype {quoted(dtype)}")
    pieces = []
    for chunk in said.chunks:
        offsets, sizes = _sizes(name, chunk.offsets), _sizes(name, chunk.sizes)
        place = MetadataIndex(name, offsets)
        if place not in places:
            raise CheckpointError(f"it does not say where {quoted(name)} from {offsets} on lies")
        record = _record(name, offsets, sizes, places[place])
        if math.prod(sizes) * dtype.itemsize > record.length:
            raise CheckpointError(f"{record.length} bytes are too few for the {sizes} of {quoted(name)}")
        pieces.append(record)
    return Entry(path, dtype, _sizes(name, said.size), tuple(pieces))


def _record(name: str, offsets: tuple[int, ...], sizes: tuple[int, ...], info: StorageInfo) -> Record:
    file, begin, length = info.relative_path, info.offset, info.length
    if not isinstance(file, str) or os.path.basename(file) != file or file in ("", ".", "..") or "\0" in file:
        raise CheckpointError(f"it names the file {quoted(file)}")
    if info.transform_descriptors:
        raise CheckpointError(
            f"{quoted(name)} went through {quoted(info.transform_descriptors)}, which is not read: save without"
        )
    begin, length = _sizes(name, (begin, length))
    return Record(offsets, sizes, file, "", 0, begin, length)


def _sizes(name: str, said: Any) -> tuple[int, ...]:
    if not isinstance(said, tuple | list) or not all(
        type(each) is int and 0 <= each < 2**63 for each in said
    ):
        raise CheckpointError(f"sizes of {quoted(name)}: {quoted(said)}")
    return tuple(said)


def _path(name: Any, said: Any) -> Path:
    """PyTorch's way to a leaf: strings are keys, numbers are places in lists."""
    if not isinstance(name, str) or not isinstance(said, tuple) or not said:
        raise CheckpointError(f"{quoted(name)} has a path that is none: {quoted(said)}")
    for key in said:
        if not isinstance(key, str) and not (type(key) is int and 0 <= key < _MOST_PLACES):
            raise CheckpointError(f"{quoted(name)} has a path that is none: {quoted(said)}")
    return said


def _require_apart(entries: dict[str, Entry]) -> None:
    """No two pieces share bytes, so that a small file is no large state."""
    last: tuple[str, int] = ("", 0)
    for record in sorted(_records(entries), key=lambda record: (record.file, record.begin)):
        if record.file == last[0] and record.begin < last[1]:
            raise CheckpointError(f"two parts lie at {record.begin} of {quoted(record.file)}")
        last = record.file, record.begin + record.length


def _records(entries: dict[str, Entry]) -> Iterator[Record]:
    for entry in entries.values():
        for piece in entry.pieces:
            if isinstance(piece, Record):
                yield piece
