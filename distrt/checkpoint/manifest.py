"""``manifest.json``: what a checkpoint holds, where its bytes are, and their checksums. Who has it has all.

Two lines of JSON: the size and the checksum of the second one, and the entries. It is written last.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass, field, replace
from typing import Any

from distrt.checkpoint.disk import content_of
from distrt.checkpoint.tree import Path, path_as_json, path_from_json, text_of
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import CheckpointError
from distrt.files.checksum import crc32
from distrt.files.faults import SENSELESS, quoted

__all__ = ["NAME", "Entry", "Manifest", "Piece", "completing_file", "read_manifest"]

NAME = "manifest.json"
_FORMAT = "distrt-checkpoint"
_VERSION = 1
_MOST_BYTES = 1 << 30
_FILE_NAME = re.compile(r"[0-9a-f]{8}-\d{4,6}\.safetensors")
_DTYPES = {str(each): each for each in dt.PUBLIC_NAMES.values()}


@dataclass(frozen=True)
class Piece:
    """A part of a tensor: where it is in the tensor, and where its bytes are.

    Attributes:
        offsets: where it begins, in each dim.
        sizes: its own sizes.
        file: in which file of the checkpoint.
        key: under which name there.
        checksum: of its bytes.
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    key: str
    checksum: int


@dataclass(frozen=True)
class Entry:
    """One leaf of a state: a tensor (``dtype`` and ``pieces``), a saved object (``pieces`` alone), or a plain value."""

    path: Path
    dtype: dt.dtype | None = None
    shape: tuple[int, ...] = ()
    pieces: tuple[Piece, ...] = ()
    value: Any = None

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor."""
        return self.dtype is not None

    @property
    def is_object(self) -> bool:
        """Whether it is an object as ``distrt.save`` writes it."""
        return self.dtype is None and bool(self.pieces)


@dataclass
class Manifest:
    """What a checkpoint holds.

    Attributes:
        entries: the leaves by name.
        files: the size of each file.
        about: what its writer noted: step, world_size, version.
    """

    entries: dict[str, Entry]
    files: dict[str, int]
    about: dict[str, Any] = field(default_factory=dict)

    def add(self, other: Manifest) -> None:
        """Takes in what another rank has written."""
        for name, entry in other.entries.items():
            mine = self.entries.get(name)
            self.entries[name] = (
                entry if mine is None else replace(mine, pieces=(*mine.pieces, *entry.pieces))
            )
        self.files |= other.files

    def require_whole(self) -> None:
        """Raises CheckpointError where a part of a tensor is missing."""
        for name, entry in self.entries.items():
            if entry.is_tensor:
                _require_cover(name, entry)

    def to_bytes(self) -> bytes:
        """The file."""
        entries = {name: _described(each) for name, each in self.entries.items()}
        body = text_of({"about": self.about, "files": self.files, "entries": entries}) + b"\n"
        head = {"format": _FORMAT, "version": _VERSION, "size": len(body), "crc32": crc32(body)}
        return text_of(head) + b"\n" + body

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """The manifest in a file.

        Raises:
            CheckpointError: for one that is damaged or newer.
        """
        first, _, body = data.partition(b"\n")
        try:
            head = json.loads(first)
            if not isinstance(head, dict) or head.get("format") != _FORMAT:
                raise CheckpointError("it is no manifest of distrt")
            if head.get("version") != _VERSION:
                raise CheckpointError(
                    f"it has version {quoted(head.get('version'))}, this distrt reads {_VERSION}"
                )
            if head.get("size") != len(body) or head.get("crc32") != crc32(body):
                raise CheckpointError("its checksum is another one")
            said = json.loads(body)
            entries = {name: _entry(name, each) for name, each in said["entries"].items()}
            files = {str(name): int(size) for name, size in said["files"].items()}
            about = dict(said["about"])
        except CheckpointError:
            raise
        except SENSELESS as fault:
            raise CheckpointError(f"it makes no sense: {quoted(str(fault))}") from fault
        for name in files:
            if not _FILE_NAME.fullmatch(name):
                raise CheckpointError(f"it names the file {quoted(name)}")
        for each in entries.values():
            if any(piece.file not in files for piece in each.pieces):
                raise CheckpointError(f"it names a file that it does not list, for {quoted(each.path)}")
        return cls(entries, files, about)


def completing_file(folder: str, name: str, most_bytes: int) -> bytes:
    """The file without which a checkpoint is not there.

    Raises:
        CheckpointError: where it is not there, or is longer than it can be.
    """
    try:
        return content_of(os.path.join(folder, name), most_bytes)
    except OSError as fault:
        raise CheckpointError(
            f"there is no complete checkpoint in {folder}: {fault.strerror}: {name}"
        ) from fault


def read_manifest(folder: str) -> Manifest:
    """The manifest of a checkpoint.

    Raises:
        CheckpointError: where there is none, or it is damaged.
    """
    path = os.path.join(folder, NAME)
    data = completing_file(folder, NAME, _MOST_BYTES)
    try:
        found = Manifest.from_bytes(data)
        found.require_whole()
        return found
    except CheckpointError as fault:
        raise CheckpointError(f"{path} is damaged: {fault}") from fault


def _described(entry: Entry) -> dict[str, Any]:
    said: dict[str, Any] = {"path": path_as_json(entry.path)}
    if entry.is_tensor:
        said |= {"dtype": str(entry.dtype), "shape": list(entry.shape)}
    if entry.pieces:
        said["pieces"] = [
            [list(each.offsets), list(each.sizes), each.file, each.key, each.checksum]
            for each in entry.pieces
        ]
    else:
        said["value"] = entry.value
    return said


def _entry(name: str, said: dict[str, Any]) -> Entry:
    path = path_from_json(said["path"])
    if "pieces" not in said:
        return Entry(path, value=said["value"])
    pieces = tuple(
        Piece(_sizes(name, offsets), _sizes(name, sizes), str(file), str(key), int(checksum))
        for offsets, sizes, file, key, checksum in said["pieces"]
    )
    if "dtype" not in said:
        return Entry(path, pieces=pieces)
    if said["dtype"] not in _DTYPES:
        raise CheckpointError(f"tensor {quoted(name)} has the dtype {quoted(said['dtype'])}")
    return Entry(path, _DTYPES[said["dtype"]], _sizes(name, said["shape"]), pieces)


def _sizes(name: str, said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or not all(type(each) is int and 0 <= each < 2**63 for each in said):
        raise CheckpointError(f"sizes of {quoted(name)}: {quoted(said)}")
    return tuple(said)


def _require_cover(name: str, entry: Entry) -> None:
    """The pieces of a tensor lie inside it, and are as many elements as it has."""
    elements = 0
    for piece in entry.pieces:
        if len(piece.sizes) != len(entry.shape) or len(piece.offsets) != len(entry.shape):
            raise CheckpointError(f"a piece of tensor {quoted(name)} has other dims")
        ends = (begin + size for begin, size in zip(piece.offsets, piece.sizes, strict=True))
        if any(end > size for end, size in zip(ends, entry.shape, strict=True)):
            raise CheckpointError(f"a piece of tensor {quoted(name)} lies outside of it")
        elements += math.prod(piece.sizes)
    if elements != math.prod(entry.shape):
        raise CheckpointError(f"tensor {quoted(name)} has {elements} of {math.prod(entry.shape)} elements")
