"""What CuPy combines with elements that are named more than once, in every dtype: its ``ufunc.at`` has a few only.

And its extremes of float64 are rounded to float32 (CuPy 14.2 compares by ``fmaxf``) and pass over nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, array_module, beside
from distrt.core.ops.pointwise.half import wide

_ADDED = frozenset("ilILefd")


def add(target: Array, key: Any, values: Any) -> None:
    """``np.add.at`` for arrays on a GPU, whose ``key`` may be several arrays. Floats come in any order."""
    kind, library = target.dtype, array_module(target)
    if kind.kind == "c":
        values = np.asarray(values, kind, like=target)
        add(target.real, key, values.real)
        add(target.imag, key, values.imag)
    elif kind.char in _ADDED and kind.kind != "V":
        library.add.at(target, key, values)
    else:  # small integers and bfloat16, which is rounded once
        work = wide(target) if kind.kind == "V" else target.astype(np.int32 if kind.kind != "b" else np.int64)
        library.add.at(work, key, np.asarray(values, like=target).astype(work.dtype, copy=False))
        target[...] = work.astype(kind)


def extreme(target: Array, key: Any, values: Any, is_largest: bool) -> None:
    """``np.maximum.at``, or ``np.minimum.at``, for arrays on a GPU; nan is kept, and wins."""
    library = array_module(target)
    values = np.asarray(values, target.dtype, like=beside(target))
    if target.dtype.kind == "V":
        work = wide(target)
        extreme(work, key, wide(values), is_largest)
        target[...] = work.astype(target.dtype)
        return
    keys, given = (_ordered(each, is_largest) for each in (target, values))
    (library.maximum if is_largest else library.minimum).at(keys, key, given)
    target[...] = _from_order(keys, target.dtype)


def _ordered(array: Array, is_largest: bool) -> Array:
    """Whole numbers in the order of the elements, nan at the end that wins."""
    if array.dtype.kind != "f":
        return array.astype(np.int64 if array.dtype != np.uint64 else np.uint64)
    kind = np.dtype(f"i{array.itemsize}")
    numbers = _turned(np.ascontiguousarray(array, like=array).view(kind))
    end = np.iinfo(kind).max if is_largest else np.iinfo(kind).min
    return np.where(np.isnan(array), kind.type(end), numbers).astype(np.int64)


def _from_order(numbers: Array, kind: np.dtype[Any]) -> Array:
    if kind.kind != "f":
        return numbers.astype(kind)
    return _turned(numbers.astype(f"i{kind.itemsize}")).view(kind)  # what nan became is nan again


def _turned(bits: Array) -> Array:
    """Below zero, floats are ordered by their bits the other way round. Does the same in both directions."""
    return bits ^ ((bits >> (8 * bits.itemsize - 1)) & np.iinfo(bits.dtype).max)
