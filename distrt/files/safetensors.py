"""Safetensors files: a header of JSON, and the bytes of tensors. Names and behaviour are those of the library's.

    from distrt.files.safetensors import load_file, safe_open, save_file

    save_file(model.state_dict(), "model.safetensors")
    with safe_open("model.safetensors", framework="pt") as file:
        weight = file.get_tensor("fc.weight")

Files are mapped: what is not looked at is not read, and what is written to is copied page by page, so that the file
stays as it is. The header is checked before anything is made: tensors must fill the file without gaps or overlaps.

Source: https://huggingface.co/docs/safetensors/index#format.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, address_of
from distrt.core.device import require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import CheckpointError
from distrt.core.tensor import Tensor, wrap
from distrt.files.atomic import write_atomically
from distrt.files.faults import SENSELESS, quoted
from distrt.files.mapping import map_file
from distrt.files.zip_writer import whole

__all__ = ["load", "load_file", "load_model", "safe_open", "save", "save_file", "save_model"]

_NAMES = {
    dt.bool_: "BOOL",
    dt.uint8: "U8",
    dt.int8: "I8",
    dt.int16: "I16",
    dt.uint16: "U16",
    dt.float16: "F16",
    dt.bfloat16: "BF16",
    dt.int32: "I32",
    dt.uint32: "U32",
    dt.float32: "F32",
    dt.complex64: "C64",
    dt.float64: "F64",
    dt.int64: "I64",
    dt.uint64: "U64",
}
_DTYPES = {name: each for each, name in _NAMES.items()}
_LENGTH = struct.Struct("<Q")
_MOST_HEADER = 100_000_000
_MOST_DIMS = 64


def save_file(tensors: dict[str, Tensor], filename: Any, metadata: dict[str, str] | None = None) -> None:
    """Writes tensors to a file, which is replaced as a whole or not at all.

    Raises:
        ValueError: for what is no tensor, or one that is not contiguous.
        RuntimeError: for tensors that share memory, or a file that cannot be written.
    """
    pieces = _pieces(tensors, metadata)

    def fill(file: Any) -> None:
        write = whole(file.write)
        for piece in pieces:
            if len(piece):
                write(piece)

    write_atomically(os.fspath(filename), fill)


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The file of tensors as bytes."""
    return b"".join(_pieces(tensors, metadata))


def load_file(filename: Any, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a file, mapped.

    Raises:
        CheckpointError: for a file that is damaged.
    """
    with safe_open(filename, "pt", device) as file:
        return {name: file.get_tensor(name) for name in file.offset_keys()}


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors of a file that is given as bytes, which are copied."""
    memory = bytearray(data)
    entries, start, _ = _header(memory)
    return {name: _tensor(memory, start, entry) for name, entry in entries.items()}


def save_model(
    model: Any, filename: Any, metadata: dict[str, str] | None = None, force_contiguous: bool = True
) -> None:
    """Writes a model's state; of tied parameters one is written, and the header says which it stands for."""
    notes = dict(metadata or {})
    kept: dict[tuple[Any, ...], str] = {}
    tensors: dict[str, Tensor] = {}
    for name, each in model.state_dict().items():
        place = (each.data_ptr(), each.dtype, each.shape, each.stride())
        if each.numel() and place in kept:
            notes[name] = kept[place]
            continue
        kept[place] = name
        tensors[name] = each.contiguous() if force_contiguous else each
    save_file(tensors, filename, notes)


def load_model(
    model: Any, filename: Any, strict: bool = True, device: Any = "cpu"
) -> tuple[set[str], list[str]]:
    """Loads a model's state from a file of ``save_model``; gives the names that are missing, and those left over.

    Raises:
        RuntimeError: under ``strict``, where there are such names.
    """
    with safe_open(filename, "pt", device) as file:
        state = {name: file.get_tensor(name) for name in file.offset_keys()}
        tied = {name for name, other in (file.metadata() or {}).items() if other in state}
    missing, unexpected = model.load_state_dict(state, strict=False)
    left = set(missing) - tied
    if strict and (left or unexpected):
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(model).__name__}: missing keys {sorted(left)}, unexpected keys "
            f"{sorted(unexpected)}"
        )
    return left, list(unexpected)


class safe_open:  # noqa: N801 - the library's own spelling
    """A file whose tensors are read one by one.

    Args:
        filename: the file.
        framework: ``pt``; the tensors are distrt's. ``np`` gives NumPy's arrays.
        device: where the tensors go.

    Raises:
        CheckpointError: for a file that is damaged.
    """

    def __init__(self, filename: Any, framework: str = "pt", device: Any = "cpu") -> None:
        if framework not in ("pt", "torch", "pytorch", "np", "numpy"):
            raise CheckpointError(f"framework {quoted(framework)} is not there: use 'pt', or 'np' for arrays")
        self._place = require_available(device)
        self._as_arrays = framework in ("np", "numpy")
        path = os.fspath(filename)
        if os.path.getsize(path) < _LENGTH.size:
            raise CheckpointError("Error while deserializing header: header too small")
        self._memory: Any = map_file(path)
        self._entries, self._start, self._metadata = _header(self._memory)

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *exception: object) -> None:
        self._memory = None

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        return sorted(self._entries)

    def offset_keys(self) -> list[str]:
        """The names of the tensors, in the order of the file."""
        return list(self._entries)

    def metadata(self) -> dict[str, str] | None:
        """What the writer has noted."""
        return self._metadata

    def get_tensor(self, name: str) -> Any:
        """The tensor of a name.

        Raises:
            CheckpointError: where there is none, or the file was closed.
        """
        if self._memory is None:
            raise CheckpointError("File is closed")
        if name not in self._entries:
            raise CheckpointError(f"File does not contain tensor {name}")
        found = _tensor(self._memory, self._start, self._entries[name])
        return found.numpy() if self._as_arrays else found.to(self._place)

    def get_slice(self, name: str) -> Slice:
        """A tensor of which only parts are taken: ``file.get_slice("w")[:10]``."""
        return Slice(self.get_tensor(name), self._entries[name])


class Slice:
    """A tensor of a file, of which parts are taken."""

    def __init__(self, tensor: Any, entry: _Entry) -> None:
        self._tensor, self._entry = tensor, entry

    def get_shape(self) -> list[int]:
        """The sizes of the whole tensor."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """The format's name of the dtype."""
        return _NAMES[self._entry.dtype]

    def __getitem__(self, key: Any) -> Any:
        return self._tensor[key]


# -- writing


def _pieces(tensors: dict[str, Tensor], metadata: dict[str, str] | None) -> list[Any]:
    """Length, header, and the bytes of each tensor."""
    for name, each in tensors.items():
        if not isinstance(each, Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(each)}")
        if each.dtype not in _NAMES:
            raise CheckpointError(f"safetensors files have no dtype for {each.dtype} (of `{name}`)")
        if not each.is_contiguous():
            raise ValueError(
                f"You are trying to save a non contiguous tensor: `{name}` which is not allowed. It either means you "
                "are trying to save tensors which are reference of each other in which case it's recommended to save "
                "only the full tensors, and reslice at load time, or simply call `.contiguous()` on your tensor to "
                "pack it before saving."
            )
    _refuse_shared(tensors)
    arrays = {name: np.ascontiguousarray(each._array) for name, each in tensors.items()}
    head, names = laid_out(
        {name: (each.dtype, tuple(each.shape)) for name, each in tensors.items()}, metadata
    )
    return [head, *(arrays[name].reshape(-1).view(np.uint8).data for name in names)]


def laid_out(
    tensors: dict[str, tuple[dt.dtype, tuple[int, ...]]], metadata: dict[str, str] | None = None
) -> tuple[bytes, list[str]]:
    """The beginning of a file of such tensors, and the order in which their bytes follow it."""
    # The widest first, so that everything is aligned; in the library's order.
    order = {dtype: place for place, dtype in enumerate(reversed(_NAMES))}
    names = sorted(tensors, key=lambda name: (order[tensors[name][0]], name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        dtype, shape = tensors[name]
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return _LENGTH.pack(len(text)) + text, names


def has_name(dtype: dt.dtype) -> bool:
    """True for a dtype that the format has."""
    return dtype in _NAMES


def _refuse_shared(tensors: dict[str, Tensor]) -> None:
    """Raises RuntimeError for tensors whose memory overlaps: they would not share it after loading."""
    spans = sorted(
        (address_of(each._array), each._array.nbytes, name) for name, each in tensors.items() if each.numel()
    )
    for (first, size, name), (second, _, other) in itertools.pairwise(spans):
        if first + size > second:
            raise CheckpointError(
                "Some tensors share memory, this will lead to duplicate memory on disk and potential differences when "
                f"loading them again: {sorted((name, other))}. A potential way to correctly save your model is to use "
                "`save_model`."
            )


# -- reading


class _Entry(NamedTuple):
    dtype: dt.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def _header(memory: Any) -> tuple[dict[str, _Entry], int, dict[str, str] | None]:
    """The tensors in the order of the file, where their bytes begin, and what the writer has noted."""
    if len(memory) < _LENGTH.size:
        raise CheckpointError("Error while deserializing header: header too small")
    length = _LENGTH.unpack(memory[: _LENGTH.size])[0]
    start = _LENGTH.size + length
    if length > _MOST_HEADER:
        raise CheckpointError(f"Error while deserializing header: header too large ({length} bytes)")
    if start > len(memory):
        raise CheckpointError("Error while deserializing header: invalid header length, the file is cut off")
    try:
        text = bytes(memory[_LENGTH.size : start]).decode()
        found = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
        entries, notes = _entries(found)
    except CheckpointError:
        raise
    except SENSELESS as fault:
        raise CheckpointError(f"Error while deserializing header: {quoted(str(fault))}") from fault
    last = 0
    for name, entry in entries.items():
        if entry.begin != last:
            raise CheckpointError(
                f"Error while deserializing header: invalid offset for tensor {quoted(name)}"
            )
        last = entry.end
    if start + last != len(memory):
        raise CheckpointError("Error while deserializing header: incomplete metadata, file not fully covered")
    return entries, start, notes


def _entries(found: Any) -> tuple[dict[str, _Entry], dict[str, str] | None]:
    """The entries of a header, sorted by their place; each is checked by itself."""
    if not isinstance(found, dict):
        raise CheckpointError("Error while deserializing header: it must be an object")
    notes = found.pop("__metadata__", None)
    if notes is not None and not (
        isinstance(notes, dict) and all(isinstance(value, str) for value in notes.values())
    ):
        raise CheckpointError("Error while deserializing header: the metadata must be strings")
    entries = {name: _entry(name, each) for name, each in found.items()}
    return dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end))), notes


def _entry(name: str, said: Any) -> _Entry:
    if not isinstance(said, dict) or set(said) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"Error while deserializing header: tensor {quoted(name)} is not described")
    dtype, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise CheckpointError(
            f"tensor {quoted(name)} has the dtype {quoted(dtype)}, which distrt does not have"
        )
    for each in (shape, offsets):
        if not isinstance(each, list) or not all(type(size) is int and 0 <= size < 2**63 for size in each):
            raise CheckpointError(
                f"Error while deserializing header: sizes of tensor {quoted(name)}: {quoted(each)}"
            )
    if len(offsets) != 2 or len(shape) > _MOST_DIMS:
        raise CheckpointError(
            f"Error while deserializing header: sizes of tensor {quoted(name)}: {quoted(said)}"
        )
    begin, end = offsets
    if end - begin != math.prod(shape) * _DTYPES[dtype].itemsize:
        raise CheckpointError(
            f"Error while deserializing header: tensor {quoted(name)} of shape {quoted(shape)} has {end - begin} bytes"
        )
    if math.prod(max(size, 1) for size in shape) >= 2**60:
        raise CheckpointError(f"tensor {quoted(name)} has the shape {quoted(shape)}, which no array can have")
    return _Entry(_DTYPES[dtype], tuple(shape), begin, end)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CheckpointError("Error while deserializing header: a name is there twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise CheckpointError(f"Error while deserializing header: {quoted(text)} is no number of JSON")


def _tensor(memory: Any, start: int, entry: _Entry) -> Tensor:
    """The tensor of an entry, as a storage of its own in a buffer."""
    size = entry.end - entry.begin
    if not size:
        return wrap(np.empty(entry.shape, entry.dtype.numpy))
    row: Array = np.frombuffer(memory, np.uint8, size, start + entry.begin)
    if address_of(row) % entry.dtype.itemsize:  # written by somebody who does not align
        row = row.copy()
    return wrap(row.view(entry.dtype.numpy).reshape(entry.shape))
