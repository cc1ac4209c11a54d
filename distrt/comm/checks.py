"""What `ProcessGroup` asks of the arrays that it is given, and the flat ones that it makes of them.

A transport sees only flat, contiguous arrays, whatever callers hand in: arrays of any shape and strides, stacked or one
a rank. Complaints begin with the rank and the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from distrt.comm.diagnosis import Describe
from distrt.comm.reduction import AnyOp, Array, ReduceOp, as_sum
from distrt.core.arrays import is_on_gpu, is_writeable, row_major
from distrt.core.errors import DeviceError, DistributedError, ShapeError
from distrt.core.gpu.places import device_of
from distrt.core.modes import used

__all__ = ["Checks", "Finish", "assign", "flattened", "is_flat", "lengths", "premultiplied"]

Finish = Callable[[], object]


class Checks:
    """Checks for a group of ``size`` ranks. ``name`` and ``other_name`` are what callers know the arrays by.

    Args:
        size: how many ranks there are.
        describe: `ProcessGroup.label`, which complaints begin with.

    Raises (each of them):
        ShapeError: arrays that do not fit one another or the group.
        DistributedError: a rank that is none, an array that cannot be written to.
    """

    def __init__(self, size: int, describe: Describe) -> None:
        self._size = size
        self._describe = describe

    def rank(self, operation: str, name: str, rank: int, role: str = "") -> None:
        """It is a rank of the group. ``role`` is what PyTorch's complaint calls it."""
        if not 0 <= rank < self._size:
            start = f"invalid {role} rank: {rank}: " if role else ""
            text = f"{start}{name} {rank} is not a rank of a group of {self._size}"
            raise DistributedError(self._describe(text, operation))

    def one_per_rank(
        self, operation: str, name: str, arrays: Array | Sequence[Array], other_name: str, other: Array
    ) -> Sequence[Array]:
        """The arrays of all ranks, given as one array stacked of such as ``other``, or as a sequence of its dtype."""
        if isinstance(arrays, np.ndarray) or (used.gpu and is_on_gpu(arrays)):
            stacked = cast("Array", arrays)
            if stacked.shape != (self._size, *other.shape):
                text = (
                    f"{name} must have shape {(self._size, *other.shape)} "
                    f"({self._size} ranks of {other_name}'s {other.shape}), got {stacked.shape}"
                )
                raise ShapeError(self._describe(text, operation))
            return [stacked[rank, ...] for rank in range(self._size)]
        listed: Sequence[Array] = arrays
        self.as_many_as_ranks(operation, name, listed)
        for each in listed:
            self.same_dtype(operation, name, each, other_name, other)
        return listed

    def all_alike(
        self, operation: str, name: str, arrays: Array | Sequence[Array], other_name: str, other: Array
    ) -> Sequence[Array]:
        """As `one_per_rank`, each of them with the shape of ``other``."""
        found = self.one_per_rank(operation, name, arrays, other_name, other)
        for each in found:
            self.alike(operation, name, each, other_name, other)
        return found

    def as_many_as_ranks(self, operation: str, name: str, arrays: Sequence[Array]) -> None:
        """There is one for each rank."""
        if len(arrays) != self._size:
            text = f"{name} must be one array per rank ({self._size}), got {len(arrays)}"
            raise ShapeError(self._describe(text, operation))

    def alike(self, operation: str, name: str, array: Array, other_name: str, other: Array) -> None:
        """Both have one shape and one dtype."""
        if array.shape != other.shape:
            text = f"{name} must have {other_name}'s shape {other.shape}, got {array.shape}"
            raise ShapeError(self._describe(text, operation))
        self.same_dtype(operation, name, array, other_name, other)

    def same_dtype(self, operation: str, name: str, array: Array, other_name: str, other: Array) -> None:
        """Both have one dtype, and are in the memory of one device."""
        if used.gpu and is_on_gpu(array) != is_on_gpu(other):
            text = f"{name} is on {device_of(array)} and {other_name} on {device_of(other)}; they must be on one device"
            raise DeviceError(self._describe(text, operation))
        if array.dtype != other.dtype:
            text = f"{name} is {array.dtype} and {other_name} is {other.dtype}; they must agree"
            raise ShapeError(self._describe(text, operation))

    def writable(self, operation: str, array: Array) -> None:
        """It can take a result."""
        if not is_writeable(array):
            text = "the result has nowhere to go: the array is read-only"
            raise DistributedError(self._describe(text, operation))

    def writable_copy(self, operation: str, array: Array) -> Array:
        """A contiguous copy of an array that can take the result (`assign`)."""
        self.writable(operation, array)
        return array.copy(order="C")

    def outputs(self, operation: str, arrays: Sequence[Array]) -> tuple[list[Array], Finish | None]:
        """Flat arrays to write to, and what brings the results home where those are copies."""
        flats: list[Array] = []
        copies: list[tuple[Array, Array]] = []
        for array in arrays:
            if is_flat(array):
                flats.append(array.reshape(-1))
            else:
                self.writable(operation, array)
                flats.append(np.empty(array.size, array.dtype, like=array))
                copies.append((array, flats[-1]))
        if not copies:
            return flats, None

        def finish() -> None:
            for array, copy in copies:
                array[...] = copy.reshape(array.shape)

        return flats, finish


def is_flat(array: Array) -> bool:
    """Whether an array can be given to a transport as it is, to be written to."""
    flags = array.flags
    # CuPy's have no ``carray``.
    return bool(flags.c_contiguous if used.gpu and is_on_gpu(array) else flags.carray)


def flattened(array: Array) -> Array:
    """What is only read, flat and contiguous: a view where it can be."""
    flat: Array = row_major(array).reshape(-1)
    return flat


def assign(array: Array, value: Array) -> None:
    """Bring a result home."""
    array[...] = value


def lengths(arrays: Sequence[Array]) -> Sequence[object]:
    """Every rank's length, for the call's fingerprint; one number where all have the same."""
    found = [array.size for array in arrays]
    return found[:1] if found.count(found[0]) == len(found) else [tuple(found)]


def premultiplied(op: AnyOp, array: Array) -> tuple[ReduceOp, Array]:
    """A plain operation, and the array that it is done on: a copy where a factor comes first."""
    if type(op) is ReduceOp:
        return op, array
    copy = np.empty_like(array)
    return as_sum(op, array, out=copy), copy
