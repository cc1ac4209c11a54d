"""Reads the state in a folder: whole tensors or parts of them, whoever has written which part.

`SavedState` is what all readers have in common, `Saved` reads what `writing` writes.
"""

from __future__ import annotations

import abc
import io
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from distrt.checkpoint.manifest import Entry, Manifest, Piece, read_manifest
from distrt.checkpoint.tree import decoded, nested
from distrt.core.arrays import Array
from distrt.core.errors import CheckpointError
from distrt.core.tensor import wrap
from distrt.files.checksum import crc32
from distrt.files.faults import quoted
from distrt.files.loading import load as load_file
from distrt.files.safetensors import safe_open

__all__ = ["Region", "Saved", "SavedState"]

#: A part of a tensor: offsets and sizes.
Region = tuple[tuple[int, ...], tuple[int, ...]]


class SavedState(abc.ABC):
    """A complete checkpoint in a folder.

    Args:
        folder: where it is.
        manifest: what it holds.
    """

    def __init__(self, folder: str, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @property
    def names(self) -> list[str]:
        """The names of all leaves."""
        return list(self.manifest.entries)

    def entry(self, name: str) -> Entry:
        """What the manifest says of a leaf.

        Raises:
            CheckpointError: where there is no such leaf.
        """
        if name not in self.manifest.entries:
            raise CheckpointError(f"{self.folder} does not have {quoted(name)}")
        return self.manifest.entries[name]

    def verify(self, name: str, region: Region | None = None) -> None:
        """Compares what a leaf (a part of it) is read from with its checksums.

        Raises:
            CheckpointError: naming the leaf and its file.
        """
        entry = self.entry(name)
        needed = entry.pieces if region is None or not entry.is_tensor else _pieces_in(entry, region)
        for piece in needed:
            self._verify_piece(name, entry, piece)

    def array(self, name: str, region: Region | None = None) -> Array:
        """The elements of a tensor, or of a part of it, not compared with their checksums: see ``verify``.

        What lies in one piece may be a view of the file; writing to it does not change the file.
        """
        entry = self.entry(name)
        if entry.dtype is None:
            raise CheckpointError(f"{quoted(name)} in {self.folder} is no tensor")
        offsets, sizes = region or ((0,) * len(entry.shape), entry.shape)
        for piece in entry.pieces:
            if (piece.offsets, piece.sizes) == (offsets, sizes):
                return self._elements(name, entry, piece)
        parts = {
            piece: self._elements(name, entry, piece) for piece in _pieces_in(entry, (offsets, sizes))
        }  # all of them exist before memory for the whole is asked for
        made: Array = np.zeros(sizes, entry.dtype.numpy)
        for piece, part in parts.items():
            common = _overlap(piece, (offsets, sizes))
            assert common is not None, "these pieces have something in common with the region"
            made[_within(common, offsets)] = part[_within(common, piece.offsets)]
        return made

    def value(self, name: str) -> Any:
        """A leaf that is no tensor, not compared with its checksum; objects are built as by ``distrt.load``."""
        entry = self.entry(name)
        if not entry.is_object:
            return decoded(entry.value)
        return load_file(self._object(name, entry), weights_only=False)

    def state(self, names: Iterable[str] | None = None) -> dict[Any, Any]:
        """The leaves of these names, or all, as the nested dicts and lists that were saved; tensors are whole."""
        found = {}
        for name in self.names if names is None else names:
            entry = self.entry(name)
            leaf = wrap(self.array(name)) if entry.is_tensor else self.value(name)
            found[name] = (entry.path, leaf)
        return nested(found)

    @abc.abstractmethod
    def _verify_piece(self, name: str, entry: Entry, piece: Piece) -> None:
        """Raises CheckpointError where the bytes of a piece are not those that were written."""

    @abc.abstractmethod
    def _elements(self, name: str, entry: Entry, piece: Piece) -> Array:
        """The elements of a piece of a tensor."""

    @abc.abstractmethod
    def _object(self, name: str, entry: Entry) -> Any:
        """A file, as ``save`` writes it, with a leaf that is an object."""


class Saved(SavedState):
    """A complete checkpoint of distrt. Files are mapped: what is not asked for is not read.

    Args:
        folder: where it is.

    Raises:
        CheckpointError: where there is none, or a file of it is missing or has another size.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder, read_manifest(folder))
        self._open: dict[str, safe_open] = {}
        for name, size in self.manifest.files.items():
            path = os.path.join(folder, name)
            try:
                found = os.stat(path).st_size
            except OSError as fault:
                raise CheckpointError(f"{path} is missing: {fault.strerror}") from fault
            if found != size:
                raise CheckpointError(f"{path} has {found} bytes, the manifest says {size}")

    def _verify_piece(self, name: str, entry: Entry, piece: Piece) -> None:
        row = self._bytes(name, entry, piece)
        if crc32(row.data) != piece.checksum:
            path = os.path.join(self.folder, piece.file)
            raise CheckpointError(
                f"{path} is damaged: the bytes of {quoted(name)} have another checksum than the manifest says"
            )

    def _elements(self, name: str, entry: Entry, piece: Piece) -> Array:
        assert entry.dtype is not None, "it is a tensor"
        row = self._bytes(name, entry, piece)
        return row.view(entry.dtype.numpy).reshape(piece.sizes)

    def _object(self, name: str, entry: Entry) -> Any:
        return io.BytesIO(self._bytes(name, entry, entry.pieces[0]).tobytes())

    def _bytes(self, name: str, entry: Entry, piece: Piece) -> Array:
        path = os.path.join(self.folder, piece.file)
        try:
            if piece.file not in self._open:
                self._open[piece.file] = safe_open(path)
            found = self._open[piece.file].get_tensor(piece.key)
        except (OSError, CheckpointError) as fault:
            raise CheckpointError(f"{path} is damaged: {fault}") from fault
        row: Array = found._array.reshape(-1).view(np.uint8)
        itemsize = 1 if entry.dtype is None else entry.dtype.itemsize
        if len(row) != math.prod(piece.sizes) * itemsize:
            raise CheckpointError(f"{path} is damaged: {quoted(name)} has {len(row)} bytes there")
        return row


def _pieces_in(entry: Entry, region: Region) -> Iterator[Piece]:
    """The pieces that have something in common with a region."""
    return (piece for piece in entry.pieces if _overlap(piece, region) is not None)


def _overlap(piece: Piece, region: Region) -> list[tuple[int, int]] | None:
    """Begin and end in each dim of what a piece and a region have in common; None where that is nothing."""
    common = [
        (max(mine, theirs), min(mine + size, theirs + other))
        for mine, size, theirs, other in zip(piece.offsets, piece.sizes, *region, strict=True)
    ]
    return None if any(begin >= end for begin, end in common) else common


def _within(common: list[tuple[int, int]], offsets: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(begin - at, end - at) for (begin, end), at in zip(common, offsets, strict=True))
