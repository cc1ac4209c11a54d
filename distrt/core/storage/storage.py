"""The memory under tensors, seen as one row: ``tensor.storage()`` and ``tensor.untyped_storage()``.

Views of one memory have the same storage; writing to it is seen by all of them.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, is_meta, row_of
from distrt.core.device import CPU, device, require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DimensionError
from distrt.core.gpu.places import device_of, is_pinned, moved
from distrt.core.storage.sharing import is_shared
from distrt.core.tensors.construct import TYPE_NAMES


class _Storage:
    """What both kinds of storage have: a row of elements."""

    _row: Array
    is_sparse = False

    @classmethod
    def _of(cls, row: Array) -> Any:
        made = object.__new__(cls)
        made._row = row
        return made

    def __len__(self) -> int:
        return len(self._row)

    size = __len__

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def nbytes(self) -> int:
        """Bytes in all."""
        return int(self._row.nbytes)

    def element_size(self) -> int:
        """Bytes per element."""
        return int(self._row.itemsize)

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return address_of(self._row) if len(self._row) else 0

    @property
    def device(self) -> device:
        """Where the memory is."""
        return device_of(self._row)

    def get_device(self) -> int:
        """The number of the GPU that the memory is on; -1 for the CPU."""
        return -1 if self.device.index is None else self.device.index

    def tolist(self) -> list[Any]:
        """The elements as a list of Python numbers."""
        return self._tensor().tolist()  # type: ignore[no-any-return]

    def is_shared(self) -> bool:
        """True where processes that were forked share the memory."""
        return is_shared(self._row)

    def is_pinned(self, device: Any = None) -> bool:
        """True where the memory is page-locked for copies to a GPU."""
        return is_pinned(self._row)

    @property
    def is_cuda(self) -> bool:
        """True for the memory of a GPU."""
        return self.device.type == "cuda"

    def cpu(self) -> Any:
        """The storage in the memory of the CPU; itself where it is there."""
        return self._of(moved(self._row, CPU)) if self.is_cuda else self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Any:
        """The storage in the memory of a GPU; itself where it is there."""
        place = require_available("cuda" if device is None else device)
        return self if place == self.device else self._of(moved(self._row, place))

    def clone(self) -> Any:
        """A copy of the memory."""
        return self._of(self._row.copy())

    __copy__ = clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        memo[id(self)] = copied = self.clone()
        return copied

    def copy_(self, source: Any, non_blocking: bool = False) -> Any:
        """Overwrites the elements with those of another storage of the same size; returns this one."""
        self._row[...] = source._row
        return self

    def fill_(self, value: Any) -> Any:
        """Overwrites every element; returns this storage."""
        self._row[...] = value
        return self

    def _lines(self) -> str:
        return "..." if is_meta(self._row) else " " + "\n ".join(str(value) for value in self.tolist())

    def _tensor(self) -> Any:
        from distrt.core.tensor import wrap

        return wrap(self._row)

    def _position(self, index: Any) -> int:
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(f"can't index a {type(self).__name__} with {type(index).__name__}") from None
        if not -len(self._row) <= position < len(self._row):
            raise DimensionError(f"index {position} out of range for storage of size {len(self._row)}")
        return position

    def __setitem__(self, index: Any, value: Any) -> None:
        where = index if isinstance(index, slice) else self._position(index)
        self._row[where] = getattr(value, "_row", value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.data_ptr() == other.data_ptr()

    def __hash__(self) -> int:
        return hash(self.data_ptr())


class TypedStorage(_Storage):
    """The memory under a tensor, as elements of its dtype."""

    @classmethod
    def _around(cls, array: Array) -> TypedStorage:
        return cls._of(row_of(array))  # type: ignore[no-any-return]

    @property
    def dtype(self) -> dt.dtype:
        """The element type."""
        return dt.of(self._row)

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage._of(self._row.view(np.uint8))  # type: ignore[no-any-return]

    def type(self, dtype: Any = None) -> Any:
        """The name of this type of storage; with a dtype, the elements converted to it."""
        if dtype is None:
            return "torch." + TYPE_NAMES[self.dtype].replace("Tensor", "Storage")
        return self._of(self._tensor().to(dtype)._array)

    def pickle_storage_type(self) -> str:
        """The name that checkpoints use."""
        return TYPE_NAMES[self.dtype].replace("Tensor", "Storage")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._tensor()[self._position(index)].item()

    def __repr__(self) -> str:
        place = f"dtype={self.dtype}, device={self.device}"
        return f"{self._lines()}\n[torch.storage.TypedStorage({place}) of size {len(self)}]"

    def _cast(self, wanted: dt.dtype) -> TypedStorage:
        return self._of(self._row.astype(wanted.numpy))  # type: ignore[no-any-return]


class UntypedStorage(_Storage):
    """The memory under a tensor, as bytes."""

    @classmethod
    def _around(cls, array: Array) -> UntypedStorage:
        return cls._of(row_of(array).view(np.uint8))  # type: ignore[no-any-return]

    @classmethod
    def from_file(
        cls, filename: str | os.PathLike[str], shared: bool = False, nbytes: int = 0
    ) -> UntypedStorage:
        """The bytes of a file, read as they are used.

        Args:
            filename: where it is.
            shared: whether changes go into the file, which is made, and made long enough, where it is not.
            nbytes: how many bytes.

        Raises:
            OSError: the file is not there.
            RuntimeError: it has fewer bytes.
        """
        if shared:
            with open(filename, "ab") as file:
                file.truncate(max(nbytes, file.tell()))
        elif nbytes > (size := os.path.getsize(filename)):
            raise RuntimeError(f"{os.fspath(filename)} has {size} bytes, fewer than nbytes={nbytes}")
        if not nbytes:
            return cls._of(np.empty(0, np.uint8))  # type: ignore[no-any-return]
        mapped = np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(nbytes,))
        return cls._of(mapped.view(np.ndarray))  # type: ignore[no-any-return]

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(self._row[index])
        return int(self._row[self._position(index)])

    def __repr__(self) -> str:
        return f"{self._lines()}\n[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"


def _cast_to(wanted: dt.dtype) -> Any:
    def cast(self: TypedStorage) -> TypedStorage:
        return self._cast(wanted)

    cast.__doc__ = f"The elements as {wanted}."
    return cast


for _name, _wanted in dt.CASTS.items():
    if not _wanted.is_complex:
        setattr(TypedStorage, _name, _cast_to(_wanted))


def is_storage(obj: Any) -> bool:
    """True for a storage, typed or not."""
    return isinstance(obj, _Storage)
