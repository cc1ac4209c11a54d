"""Checkpoints as ``torch.distributed.checkpoint.save`` writes them: ``.metadata`` and ``__{rank}_{number}.distcp``.

``.metadata`` is a pickle (`distcp_metadata`); the other files are ``torch.save``'s archives, one after the other. They
are read like every other file: nothing is executed, and nothing is believed that the files do not bear out.

Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any

from distrt.checkpoint.distcp_metadata import NAME, Record, StorageInfo, pickled, read_metadata
from distrt.checkpoint.manifest import Entry, Piece
from distrt.checkpoint.metadata import MetadataIndex, metadata_of
from distrt.checkpoint.reading import SavedState
from distrt.core.arrays import Array
from distrt.core.errors import CheckpointError
from distrt.core.tensor import Tensor, wrap
from distrt.files.atomic import sync_folder, write_atomically
from distrt.files.faults import quoted
from distrt.files.loading import load as load_file
from distrt.files.saving import save as save_file
from distrt.files.zip_reader import ZipReader

__all__ = ["SavedByPyTorch", "write_as_pytorch"]


class SavedByPyTorch(SavedState):
    """A checkpoint of PyTorch's. The checksums are those that its archives have; ``.metadata`` has none.

    Args:
        folder: where it is.

    Raises:
        CheckpointError: where there is none, it makes no sense, or a file of it is missing or too short.
    """

    def __init__(self, folder: str) -> None:
        manifest = read_metadata(folder)
        super().__init__(folder, manifest)
        ends: dict[str, int] = {}
        for entry in manifest.entries.values():
            for piece in entry.pieces:
                record = _record(piece)
                ends[piece.file] = max(ends.get(piece.file, 0), record.begin + record.length)
        for name, end in ends.items():
            manifest.files[name] = _size_of(os.path.join(folder, name), end)

    def _verify_piece(self, name: str, entry: Entry, piece: Piece) -> None:
        if entry.is_tensor:
            self._elements(name, entry, piece)  # reading compares
            return
        try:
            archive = ZipReader(self._stretch(_record(piece)))
            for each in archive.records:
                archive.read(each)
        except (OSError, CheckpointError) as fault:
            raise self._damaged(name, piece, fault) from fault

    def _elements(self, name: str, entry: Entry, piece: Piece) -> Array:
        try:
            found = load_file(self._stretch(_record(piece)), weights_only=True)
        except (OSError, RuntimeError, EOFError) as fault:
            raise self._damaged(name, piece, fault) from fault
        if not isinstance(found, Tensor):
            raise self._damaged(name, piece, f"it has a {type(found).__name__}")
        if found.dtype is not entry.dtype or tuple(found.shape) != piece.sizes:
            what = f"{found.dtype} {list(found.shape)} and not {entry.dtype} {list(piece.sizes)}"
            raise self._damaged(name, piece, f"it has {what}")
        return found._array

    def _object(self, name: str, entry: Entry) -> Any:
        return self._stretch(_record(entry.pieces[0]))

    def _stretch(self, record: Record) -> _Stretch:
        return _Stretch(os.path.join(self.folder, record.file), record.begin, record.length)

    def _damaged(self, name: str, piece: Piece, what: object) -> CheckpointError:
        path = os.path.join(self.folder, piece.file)
        return CheckpointError(f"{path} is damaged in {quoted(name)}: {what}")


class _Stretch(io.RawIOBase):
    """A part of a file as a file.

    Args:
        path: of the file.
        begin: where the part begins.
        length: its bytes.
    """

    def __init__(self, path: str, begin: int, length: int) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - it is closed with this one
        self._begin, self._length, self._at = begin, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(self._length - self._at, 0)]
        count = os.preadv(self._file.fileno(), [view], self._begin + self._at)
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def write_as_pytorch(saved: SavedState, folder: str) -> None:
    """Writes a checkpoint as PyTorch would: one file of archives, then ``.metadata``, both brought to the disk.

    Raises:
        CheckpointError: where there is a checkpoint already, or it cannot be written.
    """
    if os.path.exists(os.path.join(folder, NAME)):
        raise CheckpointError(f"{folder} has a checkpoint of PyTorch's already")
    os.makedirs(folder, exist_ok=True)
    file_name = "__0_0.distcp"
    described = metadata_of(saved.manifest, folder)
    described.storage_data = places = {}

    def fill(file: Any) -> None:
        for name in described.state_dict_metadata:
            entry = saved.entry(name)
            if not entry.is_tensor:
                places[MetadataIndex(name)] = _archive(saved.value(name), file, file_name)
                continue
            for index, piece in enumerate(entry.pieces):
                part = wrap(saved.array(name, (piece.offsets, piece.sizes)))
                place = MetadataIndex(name, piece.offsets, index)
                places[place] = _archive(part, file, file_name)

    write_atomically(os.path.join(folder, file_name), fill, sync=True)
    write_atomically(os.path.join(folder, NAME), lambda file: file.write(pickled(described)), sync=True)
    sync_folder(folder)


def _archive(value: Any, file: Any, file_name: str) -> StorageInfo:
    begin = file.tell()
    save_file(value, file)
    return StorageInfo(file_name, begin, file.tell() - begin)


def _record(piece: Piece) -> Record:
    assert isinstance(piece, Record), "the metadata of PyTorch's checkpoints has no others"
    return piece


def _size_of(path: str, needed: int) -> int:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as fault:
        raise CheckpointError(f"{path} is missing: {fault}") from fault
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"{path} is no file")
    if found.st_size < needed:
        raise CheckpointError(f"{path} has {found.st_size} bytes, {NAME} says {needed} or more")
    return found.st_size
