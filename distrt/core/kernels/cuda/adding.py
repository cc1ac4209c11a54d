"""Adding rows up by number on GPUs, without a wait and always in the same order: sorted by number, a run at a time.

Atomic additions would take the rows in whichever order they come, and floats would differ from run to run. CuPy's
sorting may wait for the GPU, which cannot be captured in a graph, so that numbers are sorted here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, I_TYPES, MOST_BLOCKS, aligned, kernel
from distrt.core.kernels.cuda.ordering import key_type, sorted_numbers
from distrt.core.kernels.cuda.rows import computed

__all__ = ["add_rows", "suits"]

_THREADS = 256

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
    keys, order = sorted_numbers(places, size, wraps)
    table, stretch = np.zeros(1, _SHAPE), _STRETCH if count < _MANY else _LONG_STRETCH
    table[0] = (count, size, outer, inner, stretch, mean, padding)
    stretches = -(-count // stretch)
    vector = aligned(inner, _MOST_AT_ONCE // (1 + (sums.itemsize == 8)), sums, rows)
    waiting = np.empty((2, stretches * outer * inner), computed(rows), like=rows)
    chosen: dict[str, Any] = {"T": C_TYPES[rows.dtype], "K": key_type(size)[0], "VECTOR": vector}
    grid = (min(MOST_BLOCKS * 16, -(-stretches * outer * inner // (vector * _THREADS))),)
    begun, more = waiting
    given = (rows, keys, order, sums, begun, more, table)
    kernel("adding", "add_stretches", **chosen)(grid, (_THREADS,), given)
    if stretches > 1:
        kernel("adding", "join_stretches", **chosen)(grid, (_THREADS,), (keys, sums, begun, more, table))
