"""Adding rows up by number on GPUs, without a wait and always in the same order: sorted by number, a run at a time.

Atomic additions would take the rows in whichever order they come, and floats would differ from run to run. CuPy's
sorting may wait for the GPU, which cannot be captured in a graph, so that numbers are sorted here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, I_TYPES, MOST_BLOCKS, aligned, kernel
from distrt.core.kernels.cuda.rows import computed

__all__ = ["add_rows", "suits"]

_THREADS = 256
_TILE = 2048  # numbers that a block sorts at once, as in code/ordering.cu
_DIGIT_BITS = 8

# Rows of a thread; the second where there are many, so that one number's share in a long list is joined quickly.
_STRETCH, _LONG_STRETCH, _MANY = 32, 256, 1 << 17

_MOST_AT_ONCE = 4  # columns of a thread; half as many of double precision

_SHAPE = np.dtype(
    [
        *((name, np.int64) for name in ("count", "size", "outer", "inner")),
        ("stretch", np.int32),
        ("is_mean", np.int32),
        ("padding", np.int64),
    ],
    align=True,
)


def suits(sums: Array, *places: Array) -> bool:
    """Whether rows can be added here: to floats or complex numbers, without gaps, by fewer than 4 billion numbers."""
    return (
        is_on_gpu(sums)
        and (sums.dtype in C_TYPES or sums.dtype.kind == "c")
        and sums.flags.c_contiguous
        and all(is_on_gpu(each) and each.dtype in I_TYPES and each.size < 1 << 32 for each in places)
    )


def add_rows(
    sums: Array,
    places: Array,
    rows: Array,
    mean: bool = False,
    padding: int = -1,
    outer: int = 1,
    wraps: bool = False,
) -> None:
    """Adds each row to the sum with its number, or its share in their mean. Numbers that are out of range are left out.

    Shape: (outer, numbers, inner), (n), (outer, n, inner), each in any other shape of the same order.

    Args:
        sums: what is changed.
        places: the number of each row.
        rows: the rows.
        mean: divide by how many rows a number has.
        padding: the number whose rows do not count; -1 for none.
        outer: see above.
        wraps: negative numbers count from the back.
    """
    if not rows.size or not sums.size:
        return
    if sums.dtype.kind == "c":
        part = sums.real.dtype
        sums, rows = sums.reshape(-1).view(part), row_major(rows).reshape(-1).view(part)
    rows, count = row_major(rows), places.size
    inner = rows.size // (outer * count)
    size = sums.size // (outer * inner)
    keys, order = _sorted(places, size, wraps)
    table, stretch = np.zeros(1, _SHAPE), _STRETCH if count < _MANY else _LONG_STRETCH
    table[0] = (count, size, outer, inner, stretch, mean, padding)
    stretches = -(-count // stretch)
    vector = aligned(inner, _MOST_AT_ONCE // (1 + (sums.itemsize == 8)), sums, rows)
    waiting = np.empty((2, stretches * outer * inner), computed(rows), like=rows)
    chosen: dict[str, Any] = {"T": C_TYPES[rows.dtype], "K": _key_type(size)[0], "VECTOR": vector}
    grid = (min(MOST_BLOCKS * 16, -(-stretches * outer * inner // (vector * _THREADS))),)
    begun, more = waiting
    given = (rows, keys, order, sums, begun, more, table)
    kernel("adding", "add_stretches", **chosen)(grid, (_THREADS,), given)
    if stretches > 1:
        kernel("adding", "join_stretches", **chosen)(grid, (_THREADS,), (keys, sums, begun, more, table))


def _key_type(size: int) -> tuple[str, Any]:
    return ("u32", np.uint32) if size < (1 << 32) - 1 else ("u64", np.uint64)


def _sorted(places: Array, size: int, wraps: bool) -> tuple[Array, Array]:
    """The numbers in order, as keys, and where each of them stood; equal ones in the order in which they stood."""
    places, count = row_major(places), np.int64(places.size)
    name, kind = _key_type(size)
    types = {"I": I_TYPES[places.dtype], "K": name}
    keys, spare = np.empty((2, places.size), kind, like=places)
    blocks = -(-places.size // _TILE)
    counts = np.empty(256 * blocks, np.uint32, like=places)
    order, other, block = None, np.empty((2, places.size), np.uint32, like=places), (_THREADS,)
    numbers = (count, np.int64(size), np.int32(wraps))
    kernel("ordering", "keys_of", **types)((min(blocks * 8, MOST_BLOCKS),), block, (places, keys, *numbers))
    types["I"] = "i64"  # nothing else looks at the numbers themselves
    for turn in range(-(-size.bit_length() // _DIGIT_BITS)):
        shift = np.int32(turn * _DIGIT_BITS)
        kernel("ordering", "count_digits", **types)((blocks,), block, (keys, counts, count, shift))
        kernel("ordering", "sum_before", **types)((1,), (1024,), (counts, np.int64(counts.size)))
        given = (keys, order, counts, spare, other[turn % 2], count, shift)
        kernel("ordering", "place_digits", **types)((blocks,), block, given)
        keys, spare, order = spare, keys, other[turn % 2]
    return keys, order
