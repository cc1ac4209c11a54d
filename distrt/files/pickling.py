"""Pickles objects under PyTorch's names, with the memory of tensors left out of the pickle.

Python's own pickler writes everything. Two things are put in between: a tensor is written as a call that rebuilds it
from its storage, and a class or function of distrt as PyTorch's of the same name. Python cannot write a name that it
cannot import, so the pickler writes a token there, which is replaced afterwards: a random one,
which no data looks like.
"""

from __future__ import annotations

import functools
import io
import pickle
import pickletools
import re
import secrets
import types
from collections import OrderedDict
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, memory_of, place_of, row_of
from distrt.core.autograd.node import RUNS_LAST
from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import CheckpointError
from distrt.core.gpu.places import device_of
from distrt.core.process.users_code import warn
from distrt.core.sparse.array import is_sparse
from distrt.core.storage.copying import attributes_of
from distrt.core.storage.storage import TypedStorage, UntypedStorage
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.formats import layout, memory_format
from distrt.core.tensors.size import Size
from distrt.files import rebuilding
from distrt.files.names import UNTYPED, StorageType, storage_type_of, written

_PLAIN = frozenset((str, int, float, bool, type(None), dict, list, tuple, OrderedDict, bytes, complex, set))
_NAMED = (type, types.FunctionType, dt.dtype, memory_format, StorageType)


class Pickled:
    """What one object became: the pickle, and the memory that it refers to.

    Attributes:
        data: the pickle.
        rows: the memory of each storage by its key, in the order in which they were met.
    """

    def __init__(self, value: Any, module: Any, protocol: int, legacy: bool = False) -> None:
        self.rows: dict[str, Array] = {}
        self._kinds: dict[str, StorageType] = {}
        self._keys: dict[tuple[int, int], str] = {}
        self._legacy = legacy
        self._token = f"distrt-{secrets.token_hex(16)}-"
        self._names: list[bytes] = []
        self._kept: list[Any] = []  # alive until the end: the pickler knows objects by their ids
        buffer = io.BytesIO()
        _pickler_of(module)(self, buffer, protocol).dump(value)
        self.data = self._named(buffer.getvalue(), protocol)
        self._kept.clear()

    def persistent_id(self, value: Any) -> Any:
        """What the pickle says in place of an object: a storage, or a token for a name. None for all others."""
        if type(value) in _PLAIN:
            return None
        if isinstance(value, TypedStorage | UntypedStorage):
            kind = storage_type_of(value.dtype) if isinstance(value, TypedStorage) else UNTYPED
            return self._storage(value._row, kind)
        if isinstance(value, _Row):
            return self._storage(value.row, value.kind)
        if isinstance(value, _NAMED):
            name = written(value)
            if name is not None:
                self._names.append("c{}\n{}\n".format(*name).encode())
                return f"{self._token}{len(self._names) - 1:08d}"
        return None

    def reduced(self, value: Any) -> Any:
        """The call that makes an object again: for tensors, devices, sizes and layouts; all others as Python does."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, device):
            return device, (value.type,) if value.index is None else (value.type, value.index)
        if isinstance(value, Size):
            return Size, (tuple(value),)
        if isinstance(value, layout):
            return rebuilding.layout_named, (repr(value),)
        return NotImplemented

    def _tensor(self, tensor: Any) -> Any:
        from distrt.nn.parameter import Parameter

        described = getattr(tensor, "_described", None)
        if described is not None:  # a rank's part of one
            arguments = described()
            self._kept.append(arguments)
            return rebuilding.part, arguments
        usual: Any = Tensor.__reduce_ex__
        if type(tensor).__reduce_ex__ is not usual:  # a subclass with a way of its own
            return tensor.__reduce_ex__(2)
        state = attributes_of(tensor)
        if type(tensor) is Parameter:
            plain = tensor.detach()
            self._kept.append(plain)
            if state:
                return rebuilding.parameter_with_state, (plain, tensor.requires_grad, OrderedDict(), state)
            return rebuilding.parameter, (plain, tensor.requires_grad, OrderedDict())
        _warn_of_hooks(tensor)
        function, arguments = self._plain_tensor(tensor)
        if type(tensor) is Tensor and not state:
            return function, arguments
        return rebuilding.from_type, (function, type(tensor), arguments, state)

    def _plain_tensor(self, tensor: Any) -> Any:
        if tensor.is_meta:
            sizes = tuple(tensor._array.shape)
            return rebuilding.meta_tensor, (tensor.dtype, sizes, tensor.stride(), tensor.requires_grad)
        if is_sparse(tensor._array):
            return self._sparse_tensor(tensor)
        array, itemsize = tensor._array, tensor._array.itemsize
        row, kind = row_of_memory(array)
        offset, steps = place_of(array).offset, array.strides
        if not array.size:
            offset, steps = 0, _packed(array.shape, itemsize)
        if offset % itemsize or any(step % itemsize or step < 0 for step in steps):
            array = np.ascontiguousarray(array)
            row, offset, steps = array.reshape(-1), 0, array.strides
        storage = _Row(row, kind)
        self._kept.append(storage)
        sizes, steps = tuple(array.shape), tuple(step // itemsize for step in steps)
        place: tuple[Any, ...] = (
            storage,
            offset // itemsize,
            sizes,
            steps,
            tensor.requires_grad,
            OrderedDict(),
        )
        if kind is UNTYPED:
            return rebuilding.tensor_v3, (*place, dt.of(array))
        return rebuilding.tensor_v2, place

    def _sparse_tensor(self, tensor: Any) -> Any:
        array = tensor._array
        parts = tuple(map(wrap, array.parts()))
        self._kept.append(parts)
        data: tuple[Any, ...] = (*parts, Size(array.shape))
        return rebuilding.sparse_tensor, (
            array.layout,
            (*data, array.is_coalesced) if tensor.is_sparse else data,
        )

    def _storage(self, row: Array, kind: StorageType) -> Any:
        memory, place_of_it = row.view(np.uint8), str(device_of(row))
        count = len(memory) // kind.dtype.itemsize
        # Every empty storage is one of its own, as in PyTorch.
        place: tuple[int, int] = (address_of(memory), count) if count else (0, -1 - len(self._keys))
        if place not in self._keys:
            key = str(place[0]) if self._legacy and count else str(len(self._keys))
            self._keys[place] = key
            self.rows[key], self._kinds[key] = memory, kind
        key = self._keys[place]
        if self._kinds[key] is not kind:
            raise CheckpointError(
                "Cannot save multiple tensors or storages that view the same data as different types"
            )
        return ("storage", kind, key, place_of_it, count, *([None] if self._legacy else []))

    def itemsize(self, key: str) -> int:
        """Bytes per element of a storage."""
        return int(self._kinds[key].dtype.itemsize)

    def _named(self, data: bytes, protocol: int) -> bytes:
        """The pickle with names in place of the tokens."""
        if protocol >= 4:
            data = _without_frames(data)
            token = re.escape(b"\x8c" + bytes([len(self._token) + 8]) + self._token.encode())
            found = re.compile(token + rb"(\d{8})(\x94)Q", re.DOTALL)
        else:
            head = b"X" + (len(self._token) + 8).to_bytes(4, "little")
            found = re.compile(re.escape(head + self._token.encode()) + rb"(\d{8})(?:q.|r....)()Q", re.DOTALL)
        data = found.sub(lambda match: self._names[int(match[1])] + match[2], data)
        if self._token.encode() in data:
            raise pickle.PicklingError(
                f"pickle protocol {protocol} cannot write the names of a checkpoint: use 2"
            )
        return data


class _Row:
    """The memory under a tensor, on its way into the file."""

    def __init__(self, row: Array, kind: StorageType) -> None:
        self.row, self.kind = row, kind


def _warn_of_hooks(tensor: Any) -> None:
    """Warns of the hooks on a tensor's gradient, which no file holds."""
    if tensor._edge is None:
        return
    node, number = tensor._edge
    for key, hook in (node.hooks or {}).get(number, {}).items():
        if key != RUNS_LAST and not hasattr(hook, "__torch_unserializable__"):
            warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can decorate the "
                "function with @torch.utils.hooks.unserializable_hook to suppress this warning"
            )


def row_of_memory(array: Array) -> tuple[Array, StorageType]:
    """All of the memory that an array lies in, and the class of storages that PyTorch has for it."""
    kind = storage_type_of(dt.of(array))
    memory = memory_of(array)
    if memory.nbytes % array.itemsize and memory.flags.c_contiguous:
        return memory.reshape(-1).view(np.uint8)[: memory.nbytes // array.itemsize * array.itemsize], kind
    return row_of(array), kind


def _packed(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of an empty array in row-major order, as PyTorch counts them: an empty dim like one of 1."""
    steps, step = [], itemsize
    for size in reversed(shape):
        steps.append(step)
        step *= max(size, 1)
    return tuple(reversed(steps))


def _without_frames(data: bytes) -> bytes:
    """A pickle of protocol 4 or 5 without frames, which readers do not need and which would have other lengths."""
    pieces: list[bytes] = []
    last = 0
    for code, _, position in pickletools.genops(data):
        if code.name == "FRAME" and position is not None:
            pieces.append(data[last:position])
            last = position + 9
    return b"".join([*pieces, data[last:]])


@functools.cache
def _pickler_of(module: Any) -> Any:
    """The pickler of a module such as ``pickle`` that asks a ``Pickled`` first."""

    class Pickler(module.Pickler):  # type: ignore[misc]
        def __init__(self, pickled: Pickled, file: Any, protocol: int) -> None:
            super().__init__(file, protocol)
            self.persistent_id = (
                pickled.persistent_id
            )  # asked for every object: methods here would be one call more
            self.reducer_override = pickled.reduced

    return Pickler
