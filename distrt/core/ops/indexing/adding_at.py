"""Adding values up at places that may be named more than once, faster than ``np.add.at`` does.

``np.add.at`` takes one element at a time; only where one row of numbers indexes one row of elements is it fast. So rows
are sorted by their numbers and added a turn at a time, and short ones are indexed element by element in one row.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_array, is_on_gpu, row_major
from distrt.core.kernels import on_gpu
from distrt.core.ops.indexing import atomic
from distrt.core.ops.indexing.keys import as_tuple, key_beside
from distrt.core.ops.pointwise.half import wide

#: Fewer values than this are added by ``np.add.at``, whose start is the quickest.
_MANY = 1024

#: Rows of so many elements are worth sorting by their numbers.
_LONG = 32

#: Numbers with at most so many rows are served together, one row of each at a time; the others one by one.
_FEW = 8


def add_at(target: Array, key: Any, values: Any) -> None:
    """Adds ``values`` to ``target[key]``, every time that an element is named.

    Raises:
        IndexError: for an index out of range.
        ValueError: for values of a shape that does not fit.
    """
    if not isinstance(target, np.ndarray):
        _add_on_gpu(target, key_beside(as_tuple(key), target), values)
    elif not _is_quick(target, key, values):
        np.add.at(target, key, values)


def _add_on_gpu(target: Array, key: Any, values: Any) -> None:
    """In an order that is always the same, where a kernel does that; else by atomic additions, as they come."""
    own = target if not is_on_gpu(target) or target.flags.c_contiguous else row_major(target)
    if not _is_sorted(own, key, values):
        atomic.add(target, key, values)
    elif own is not target:
        target[...] = own


def _is_sorted(target: Array, key: tuple[Any, ...], values: Any) -> bool:
    """Adds the values by a kernel, where there is one."""
    arrays = [part for part in key if not isinstance(part, slice)]
    found = _side_by_side(target, key, arrays) if on_gpu.adding.suits(target, *arrays) else None
    if found is None:
        return False
    before, named, behind = found
    first = len(before)
    places = arrays[0] if len(arrays) == 1 else _one_number(arrays, target.shape[first:], _counted)
    given = np.broadcast_to(np.asarray(values, target.dtype, like=target), (*before, *named, *behind))
    on_gpu.adding.add_rows(target, places, given, outer=math.prod(before), wraps=True)
    return True


def _side_by_side(
    target: Array, parts: Any, arrays: list[Array]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """The sizes before, at and behind what arrays of numbers index, where they stand together and no slice picks."""
    first = next((n for n, part in enumerate(parts) if is_array(part)), 0)
    between = parts[first : first + len(arrays)]
    others = (*parts[:first], *parts[first + len(arrays) :])
    if (
        not arrays
        or any(not is_array(part) or part.dtype == np.bool_ for part in between)
        or any(not isinstance(part, slice) or part != slice(None) for part in others)
        or target.dtype.kind == "b"
        or len(parts) > target.ndim
    ):
        return None
    try:
        named = np.broadcast_shapes(*[each.shape for each in arrays])
    except ValueError:  # NumPy's indexing says so with an IndexError
        return None
    return target.shape[:first], named, target.shape[first + len(arrays) :]


def _is_quick(target: Array, key: Any, values: Any) -> bool:
    """Adds the values, where there is a quick way."""
    if type(target) is not np.ndarray or not isinstance(values, np.ndarray) or values.dtype != target.dtype:
        return False
    parts = key if isinstance(key, tuple) else (key,)
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == 1 and arrays[0].dtype == np.bool_:  # a mask names nothing twice
        target[key] += values
        return True
    found = _side_by_side(target, parts, arrays)
    if found is None:
        return False
    before, named, behind = found
    first = len(before)
    width = math.prod(before) * math.prod(behind)
    if width * math.prod(named) < _MANY:
        return False
    given = np.broadcast_to(values, (*before, *named, *behind))
    if width >= _LONG and len(arrays) == 1:
        _add_slices(target, first, _wrapped(arrays[0], target.shape[first]).reshape(-1), given)
        return True
    if first or not target.flags.c_contiguous or target.dtype.itemsize == 2:
        return False
    places = _one_number(arrays, target.shape).reshape(-1, 1) * width + np.arange(width)
    np.add.at(target.reshape(-1), places.reshape(-1), given.reshape(-1))
    return True


def _wrapped(index: Array, size: int) -> Array:
    """The index, counted from the front.

    Raises:
        IndexError: for one out of range.
    """
    lowest = index.min()
    if lowest < -size or index.max() >= size:
        raise IndexError(f"an index is out of bounds for size {size}")
    return index if lowest >= 0 else np.where(index < 0, index + size, index)


def _counted(index: Array, size: int) -> Array:
    """As ``_wrapped``, without a look at what is out of range, which a GPU would be waited for."""
    return np.where(index < 0, index + size, index)


def _one_number(arrays: list[Array], shape: tuple[int, ...], counted: Any = _wrapped) -> Array:
    """The number of each place that the arrays name in the dims in front."""
    total: Any = 0
    for index, size in zip(arrays, shape, strict=False):
        total = total * size + counted(index, size).astype(np.int64, copy=False)
    return total


def _add_slices(target: Array, dim: int, index: Array, values: Array) -> None:
    """Adds up the slices with each number first, and then to the target's; half precision is rounded once.

    Shape of index: (n).
    """
    front = np.moveaxis(target, dim, 0)
    at_end = values.ndim - target.ndim + dim + 1
    rows = values.reshape(*values.shape[:dim], index.size, *values.shape[at_end:])
    rows = wide(np.moveaxis(rows, dim, 0).reshape(index.size, -1))
    numbers, places = np.unique(index, return_inverse=True)
    sums = np.zeros((numbers.size, rows.shape[1]), rows.dtype, like=rows)
    add_rows(sums, places, rows, False)
    front[numbers] = wide(front[numbers]) + sums.reshape(numbers.size, *front.shape[1:])


def add_rows(sums: Array, places: Array, rows: Array, mean: bool) -> None:
    """Puts the sum (or mean) of the rows with each number into ``sums``, which is zero; there is a row at least.

    Shape: (numbers, features), (n), (n, features).
    """
    if not isinstance(rows, np.ndarray):
        if on_gpu.adding.suits(sums, places):
            on_gpu.adding.add_rows(sums, places, rows.astype(sums.dtype, copy=False), mean)
            return
        atomic.add(sums, places, rows)
        if mean:
            sums /= np.maximum(np.bincount(places, minlength=len(sums)), 1)[:, None].astype(sums.real.dtype)
        return
    rows = row_major(rows)  # or each ``take`` below would copy them all
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(starts, append=places.size)
    numbers = ordered[starts]
    for n in np.flatnonzero(counts > _FEW):
        rows.take(order[starts[n] : starts[n] + counts[n]], 0).sum(0, out=sums[numbers[n]])
    few = counts <= _FEW
    still, first = counts[few], starts[few]
    sums[ordered[first]] = rows.take(order[first], 0)
    for turn in range(1, int(still.max(initial=1))):
        more = still > turn
        still, first = still[more], first[more]
        sums[ordered[first]] += rows.take(order[first + turn], 0)
    if mean:
        sums[numbers] /= counts[:, None].astype(sums.real.dtype)
