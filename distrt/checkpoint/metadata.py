"""What a checkpoint holds, in PyTorch's words: ``Metadata`` and its parts.

Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from distrt.checkpoint.manifest import Manifest
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.rules import get_default_dtype
from distrt.core.tensors import formats
from distrt.core.tensors.size import Size
from distrt.files.faults import quoted

__all__ = [
    "BytesStorageMetadata",
    "ChunkStorageMetadata",
    "Metadata",
    "MetadataIndex",
    "StorageMeta",
    "TensorProperties",
    "TensorStorageMetadata",
    "metadata_of",
]


@dataclass
class ChunkStorageMetadata:
    """A part of a tensor."""

    offsets: Size
    sizes: Size


class _MEM_FORMAT_ENCODING(Enum):  # noqa: N801 - PyTorch's own spelling, which its files have
    TORCH_CONTIGUOUS_FORMAT = 0
    TORCH_CHANNELS_LAST = 1
    TORCH_PRESERVE_FORMAT = 2


_FORMATS = {
    _MEM_FORMAT_ENCODING.TORCH_CONTIGUOUS_FORMAT: formats.contiguous_format,
    _MEM_FORMAT_ENCODING.TORCH_CHANNELS_LAST: formats.channels_last,
    _MEM_FORMAT_ENCODING.TORCH_PRESERVE_FORMAT: formats.preserve_format,
}


@dataclass
class TensorProperties:
    """What a tensor is besides its sizes. PyTorch pickles it as a tuple, in which the memory format is an enum."""

    dtype: dt.dtype = field(default_factory=get_default_dtype)
    layout: Any = formats.strided
    requires_grad: bool = False
    memory_format: Any = formats.contiguous_format
    pin_memory: bool = False

    def __getstate__(self) -> tuple[Any, ...]:
        encoding = next(key for key, each in _FORMATS.items() if each is self.memory_format)
        return self.dtype, self.layout, self.requires_grad, encoding, self.pin_memory

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype, self.layout, self.requires_grad, encoding, self.pin_memory = state
        self.memory_format = _FORMATS[encoding]


@dataclass
class TensorStorageMetadata:
    """A tensor in a checkpoint."""

    properties: TensorProperties
    size: Size
    chunks: list[ChunkStorageMetadata]


@dataclass
class BytesStorageMetadata:
    """Anything else in a checkpoint."""


@dataclass
class StorageMeta:
    """Where a checkpoint is."""

    checkpoint_id: str | os.PathLike[str] | None = None
    save_id: str | None = None
    load_id: str | None = None
    modules: list[str] = field(default_factory=list)


@dataclass
class Metadata:
    """What a checkpoint holds, by name.

    Attributes:
        state_dict_metadata: tensors and values by name.
        planner_data: the way to each in the nested state.
        storage_data: the file of each part.
        storage_meta: where it is.
        version: of the format.
    """

    state_dict_metadata: dict[str, TensorStorageMetadata | BytesStorageMetadata]
    planner_data: Any = None
    storage_data: Any = None
    storage_meta: StorageMeta | None = None
    version: str | None = None


@dataclass(frozen=True)
class MetadataIndex:
    """A part of a checkpoint: a name, and where a piece begins in a tensor."""

    fqn: str
    offset: Size | None = None
    index: int | None = field(hash=False, compare=False, default=None)

    def __init__(self, fqn: str, offset: Sequence[int] | None = None, index: int | None = None) -> None:
        object.__setattr__(self, "fqn", fqn)
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "offset", None if offset is None else Size(offset))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes the attributes over; those that are hashed must be what they are said to be, lest that take long."""
        fqn, offset = state["fqn"], state.get("offset")
        fits = offset is None or (isinstance(offset, tuple) and all(map(_is_size, offset)))
        if not isinstance(fqn, str) or not fits:
            raise ValueError(f"a part of a checkpoint cannot be {quoted(state)}")
        self.__init__(fqn, offset, state.get("index"))  # type: ignore[misc]


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


for _class in (
    ChunkStorageMetadata,
    _MEM_FORMAT_ENCODING,
    TensorProperties,
    TensorStorageMetadata,
    BytesStorageMetadata,
    StorageMeta,
    Metadata,
    MetadataIndex,
):
    _class.__module__ = "distrt.distributed.checkpoint.metadata"


def metadata_of(manifest: Manifest, folder: str | os.PathLike[str]) -> Metadata:
    """A manifest in PyTorch's words."""
    held: dict[str, TensorStorageMetadata | BytesStorageMetadata] = {}
    ways: dict[str, tuple[Any, ...]] = {}
    files: dict[MetadataIndex, str] = {}
    for name, entry in manifest.entries.items():
        if entry.value == {"dict": []}:  # PyTorch does not see an empty dict
            continue
        ways[name] = tuple(str(key[0]) if isinstance(key, tuple) else key for key in entry.path)
        if entry.dtype is None:
            held[name] = BytesStorageMetadata()
            files |= {MetadataIndex(name): piece.file for piece in entry.pieces}
            continue
        chunks = [ChunkStorageMetadata(Size(each.offsets), Size(each.sizes)) for each in entry.pieces]
        held[name] = TensorStorageMetadata(TensorProperties(entry.dtype), Size(entry.shape), chunks)
        for index, piece in enumerate(entry.pieces):
            files[MetadataIndex(name, piece.offsets, index)] = piece.file
    about = StorageMeta(folder, manifest.about.get("attempt"))
    return Metadata(held, ways, files, about, "1.0.0")
