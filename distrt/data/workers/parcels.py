"""A batch on its way from a worker to the parent: a short pickle, and arrays that lie in shared blocks.

The memory of a tensor or an array is not pickled: it is in a block already, or is copied into one. A view of a small
part of some memory travels without the rest.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from distrt.core.arrays import Array, Place, address_of, memory_of, place_in, place_of, row_of
from distrt.core.sparse.array import is_sparse
from distrt.core.storage.copying import Copying, attributes_of, rebuild
from distrt.core.storage.sharing import require_no_history
from distrt.core.tensor import Tensor
from distrt.data.workers.blocks import SHARED_FROM, Block, Blocks

__all__ = ["Parcel", "unpack"]

_WHOLE = 2  # a view goes with all of its memory up to so many times its size: no copy, and what shares it still does


class Parcel:
    """What one batch becomes.

    Attributes:
        stream: the pickle.
        blocks: the blocks that its arrays lie in, in order.
        places: the number of each, and how many bytes of it are used.
    """

    def __init__(self, batch: Any, blocks: Blocks) -> None:
        """Packs a batch.

        Raises:
            Exception: whatever pickling raises for objects that cannot travel.
        """
        self.blocks: list[Block] = []
        self.places: list[tuple[int, int]] = []
        self._room = blocks
        self._copies: dict[int, Block] = {}
        self._rows: list[Array] = []  # so that no block goes back before the parcel is sent
        file = io.BytesIO()
        _Pickler(file, pickle.HIGHEST_PROTOCOL, buffer_callback=self._stays_in_stream).dump(batch)
        self.stream = file.getvalue()

    def _stays_in_stream(self, buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < SHARED_FROM:
            return True
        source: Array = np.frombuffer(raw, np.uint8)
        address = address_of(source)
        block = self._copies.get(address) or self._room.at(address)
        if block is None:
            row = self._room.row(raw.nbytes)
            if row is None:
                return True
            row[...] = source
            self._rows.append(row)
            block = self._room.at(address_of(row))
            assert block is not None, "the row was just made in it"
            self._copies[address] = block  # for what else lies in the same memory, which the pickler holds
        self.blocks.append(block)
        self.places.append((block.number, raw.nbytes))
        return False


def unpack(stream: bytes, rows: list[Array]) -> Any:
    """The batch, its arrays lying in the rows."""
    return pickle.loads(stream, buffers=rows)


class _Pickler(pickle.Pickler):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rows: dict[int, tuple[Array, pickle.PickleBuffer]] = {}

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is np.ndarray:
            return NotImplemented if obj.dtype.hasobject else (_array, self._at(obj))
        if isinstance(obj, Tensor) and kind.__reduce_ex__ is _usual_way:
            require_no_history(obj)
            if is_sparse(obj._array):
                return NotImplemented  # its parts are arrays, which come here
            return _tensor, (kind, *self._at(obj._array), obj.requires_grad, attributes_of(obj))
        return NotImplemented

    def _at(self, array: Array) -> tuple[pickle.PickleBuffer, Place]:
        """The memory, the same for all arrays in it, and where the array lies there."""
        memory = memory_of(array)
        if memory.nbytes > _WHOLE * array.nbytes or not memory.flags.writeable:
            memory = array = array.copy("C")
        kept = self._rows.get(id(memory))
        if kept is None:
            kept = self._rows[id(memory)] = memory, pickle.PickleBuffer(row_of(memory).view(np.uint8))
        return kept[1], place_of(array)


_usual_way: Any = Copying.__reduce_ex__


def _tensor(kind: type, memory: Any, place: Place, requires_grad: bool, attributes: dict[str, Any]) -> Tensor:
    found: Tensor = rebuild(kind, _row(memory), place, requires_grad, attributes)
    return found


def _array(memory: Any, place: Place) -> Array:
    return place_in(_row(memory), place)


def _row(memory: Any) -> Array:
    """A row out of a block, or bytes that were in the stream."""
    return memory if isinstance(memory, np.ndarray) else np.frombuffer(memory, np.uint8)
