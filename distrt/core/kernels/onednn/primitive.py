"""Primitives: oneDNN's operations on arrays of one shape, made once and run often.

A `Primitive` is called with arrays and costs a few microseconds beyond its work. Its memory objects are its own, for
each thread others; only the addresses in them change.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from ctypes import c_int, c_int64, c_void_p
from typing import Any, Final

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.loops import address
from distrt.core.kernels.onednn.library import OneDNN, OneDNNError

__all__ = ["DATA_TYPES", "NUMPY_TYPES", "Primitive", "description_of", "dims"]

DATA_TYPES: Final = {"float32": 3, "bfloat16": 2}
NUMPY_TYPES: Final = {"float32": dt.float32.numpy, "bfloat16": dt.bfloat16.numpy}
_ANY, _SCRATCH_MD, _SCRATCH_ARGUMENT = 1, 136, 80
_LINE = 64  # bytes: what oneDNN wants scratch memory to begin at


class _Argument(ctypes.Structure):
    _fields_ = (("number", c_int), ("memory", c_void_p))


def dims(values: Sequence[int]) -> Any:
    """Sizes as oneDNN takes them."""
    return (c_int64 * 12)(*values)


def description_of(
    onednn: OneDNN, shape: Sequence[int], dtype: str, strides: Sequence[int] | None = None
) -> int:
    """A memory descriptor; without strides (in elements) oneDNN chooses the layout."""
    kind = DATA_TYPES[dtype]
    if strides is None:
        return onednn.make("dnnl_memory_desc_create_with_tag", len(shape), dims(shape), kind, _ANY)
    return onednn.make("dnnl_memory_desc_create_with_strides", len(shape), dims(shape), kind, dims(strides))


class Primitive:
    """One operation on arrays of known shapes and strides.

    Args:
        onednn: the library.
        description: a primitive descriptor, which becomes the primitive's.
        arguments: (number of the argument, which memory descriptor to query, its index), in the order of the call.
    """

    def __init__(self, onednn: OneDNN, description: int, arguments: Sequence[tuple[int, int, int]]) -> None:
        self._onednn = onednn
        self._description = description
        self._primitive = onednn.make("dnnl_primitive_create", description)
        query = onednn.dnnl_primitive_desc_query_md
        self._parts = [(number, query(description, what, index)) for number, what, index in arguments]
        scratch = query(description, _SCRATCH_MD, 0)
        self.scratch_bytes = onednn.dnnl_memory_desc_get_size(scratch)
        if self.scratch_bytes:
            self._parts.append((_SCRATCH_ARGUMENT, scratch))
        self.implementation = onednn.implementation(description)
        self._places = threading.local()
        self._put, self._execute = onednn.dnnl_memory_set_data_handle, onednn.dnnl_primitive_execute

    def layout(self, position: int) -> int:
        """The memory descriptor of one of the call's arrays."""
        return int(self._parts[position][1])

    def size(self, position: int) -> int:
        """The bytes that one of the call's arrays takes."""
        return int(self._onednn.dnnl_memory_desc_get_size(self._parts[position][1]))

    def __call__(self, *arrays: Array) -> None:
        """Runs it. The arrays must have the dtypes, shapes and strides that the primitive was made for."""
        try:
            memories, packed = self._places.value
        except AttributeError:
            memories, packed = self._places.value = self._new_places()
        put = self._put
        for memory, array in zip(memories, arrays, strict=False):
            put(memory, address(array))
        if self.scratch_bytes:
            put(memories[-1], _scratch.at_least(self.scratch_bytes))
        if self._execute(self._primitive, self._onednn.stream, len(memories), packed):
            raise OneDNNError(f"{self.implementation}: oneDNN could not run it")

    def _new_places(self) -> tuple[list[int], Any]:
        onednn = self._onednn
        memories = [
            onednn.make("dnnl_memory_create", layout, onednn.engine, None) for _, layout in self._parts
        ]
        packed = (_Argument * len(memories))(
            *[_Argument(number, memory) for (number, _), memory in zip(self._parts, memories, strict=True)]
        )
        return memories, packed


class _Scratch(threading.local):
    """Memory that primitives need while they run: one piece for each thread, as large as the largest has asked for."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)
        self._address = 0

    def at_least(self, size: int) -> int:
        """The address of so many bytes."""
        if self._bytes.size < size + _LINE:
            self._bytes = np.empty(size + _LINE, np.uint8)
            self._address = -(-address(self._bytes) // _LINE) * _LINE
        return self._address


_scratch = _Scratch()
