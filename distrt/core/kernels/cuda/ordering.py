"""Orders on GPUs, without a wait: by digits, the least significant first. So they are stable, and can be in graphs.

CuPy's sorting waits for the GPU, which cannot be captured; beyond some millions of elements it is the faster one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.gpu.capturing import capturing
from distrt.core.kernels.cuda.launching import I_TYPES, MOST_BLOCKS, kernel

__all__ = ["argsort", "key_type", "sorted_numbers", "suits"]

_THREADS = 256
_TILE = 2048  # numbers that a block sorts at once, as in code/ordering.cu
_DIGIT_BITS = 8

# More elements are CuPy's to sort, outside of graphs.
_MANY = 1 << 22

_UNSIGNED = {1: "unsigned char", 2: "unsigned short", 4: "u32", 8: "u64"}
_KINDS = {"b": 0, "u": 0, "i": 1, "f": 2, "V": 2}


def suits(array: Array) -> bool:
    """Whether values are ordered here: numbers that are no complex ones, fewer than 4 billion."""
    most = _MANY if capturing.now is None else 1 << 32
    return is_on_gpu(array) and array.dtype.kind in _KINDS and 0 < array.size < most


def argsort(array: Array, axis: int, descends: bool = False) -> Array:
    """Where each element of the sorted array comes from; equal ones stay in their order, and nan is the largest.

    Shape: any with a dim -> same, int64.
    """
    rows = row_major(np.moveaxis(array, axis, -1))
    count, length = np.int64(rows.size), np.int64(rows.shape[-1])
    bits, row_bits = 8 * rows.itemsize, int(rows.size // length - 1).bit_length()
    is_joint = bits + row_bits <= 64
    name, kind = ("u32", np.uint32) if bits + row_bits <= 32 else ("u64", np.uint64)
    types = {"I": _UNSIGNED[rows.itemsize], "K": name}
    keys = np.empty(rows.size, kind, like=rows)
    grid, block = (min(-(-rows.size // _THREADS), MOST_BLOCKS),), (_THREADS,)
    kind_of_values, joins = np.int32(_KINDS[rows.dtype.kind]), np.int32(is_joint and row_bits > 0)
    given = (rows, keys, count, length, kind_of_values, _infinity(rows.dtype), np.int32(descends), joins)
    kernel("ordering", "keys_of_values", **types)(grid, block, given)
    keys, order = _by_digits(keys, bits + row_bits * is_joint, None)
    if not is_joint:
        kernel("ordering", "keys_of_rows", **types)(grid, block, (order, keys, count, length))
        keys, order = _by_digits(keys, row_bits, order)
    places = np.empty(rows.shape, np.int64, like=rows)
    kernel("ordering", "places_in_rows", **types)(grid, block, (order, places, count, length))
    return np.moveaxis(places, -1, axis)


def _infinity(dtype: Any) -> Any:
    if dtype.kind not in "fV":
        return np.uint64(0)
    return np.uint64(np.array(np.inf, dtype).view(f"u{dtype.itemsize}"))


def key_type(size: int) -> tuple[str, Any]:
    """What numbers up to ``size`` are, as kernels call it, and NumPy."""
    return ("u32", np.uint32) if size < (1 << 32) - 1 else ("u64", np.uint64)


def sorted_numbers(places: Array, size: int, wraps: bool) -> tuple[Array, Array]:
    """The numbers in order, as keys, and where each of them stood; equal ones in the order in which they stood.

    Args:
        places: whole numbers; those out of range are behind all others.
        size: what they are below.
        wraps: negative ones count from the back.
    """
    places, count = row_major(places), np.int64(places.size)
    name, kind = key_type(size)
    keys = np.empty(places.size, kind, like=places)
    numbers = (count, np.int64(size), np.int32(wraps))
    grid = (min(-(-places.size // _TILE) * 8, MOST_BLOCKS),)
    kernel("ordering", "keys_of", I=I_TYPES[places.dtype], K=name)(
        grid, (_THREADS,), (places, keys, *numbers)
    )
    return _by_digits(keys, size.bit_length(), None)


def _by_digits(keys: Array, bits: int, order: Array | None) -> tuple[Array, Array]:
    """The keys in order, and the positions that came with them; without positions, where each key stood."""
    types = {"I": "i64", "K": "u32" if keys.itemsize == 4 else "u64"}
    count, blocks, block = np.int64(keys.size), -(-keys.size // _TILE), (_THREADS,)
    spare, counts = np.empty_like(keys), np.empty(256 * blocks, np.uint32, like=keys)
    free = [np.empty(keys.size, np.uint32, like=keys) for _ in range(2)]
    for turn in range(max(1, -(-bits // _DIGIT_BITS))):
        shift = np.int32(turn * _DIGIT_BITS)
        kernel("ordering", "count_digits", **types)((blocks,), block, (keys, counts, count, shift))
        kernel("ordering", "sum_before", **types)((1,), (1024,), (counts, np.int64(counts.size)))
        moved = free[turn % 2]
        given = (keys, order, counts, spare, moved, count, shift)
        kernel("ordering", "place_digits", **types)((blocks,), block, given)
        keys, spare, order = spare, keys, moved
    assert order is not None, "there is a turn at least"
    return keys, order
