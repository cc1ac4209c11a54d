"""What an index selects: views by NumPy's own machinery, and the sizes that arrays of indices select."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.meta import refusal
from distrt.core.meta.array import MetaArray, view_of
from distrt.core.meta.twins import clamped, laid_as, twin

__all__ = ["has_masks", "selected"]


def has_masks(key: Any) -> bool:
    """Whether a key chooses elements by bools that are not there."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, MetaArray) and part.dtype == np.bool_ for part in parts)


def selected(array: MetaArray, key: Any) -> MetaArray:
    """``array[key]``: a view, or new elements where the key has arrays in it."""
    parts = [_read(part) for part in (key if isinstance(key, tuple) else (key,))]
    if not any(isinstance(part, MetaArray | np.ndarray) for part in parts):
        if not any(part is Ellipsis for part in parts):
            parts.append(Ellipsis)  # or NumPy would read the element that integers alone choose
        return view_of(array, array._ghost[tuple(parts)])
    parts = _expanded(parts, array.ndim)
    shape = _shape(array, parts)
    return laid_as(_small(array, parts), shape)


def _read(part: Any) -> Any:
    """One part of a key; lists are arrays, and bools of the host's choose by number."""
    if isinstance(part, list):
        part = np.asarray(part, None if part else np.int64)
    if isinstance(part, bool | np.bool_):
        part = np.asarray(part)
    if isinstance(part, MetaArray) and part.dtype == np.bool_:
        raise refusal.no_data("which elements a mask selects")
    if isinstance(part, MetaArray | np.ndarray) and part.dtype.kind not in "biu":
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    return part


def _expanded(parts: list[Any], ndim: int) -> list[Any]:
    """The parts with one for each dim: masks as indices, an ellipsis and what is left out as whole dims."""
    plain: list[Any] = []
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype == np.bool_:
            plain += part.nonzero()
        else:
            plain.append(part)
    used = sum(part is not None and part is not Ellipsis for part in plain)
    if used > ndim:
        raise IndexError(f"too many indices for array: array is {ndim}-dimensional, but {used} were indexed")
    rest = [slice(None)] * (ndim - used)
    for place, part in enumerate(plain):
        if part is Ellipsis:
            return [*plain[:place], *rest, *plain[place + 1 :]]
    return [*plain, *rest]


def _is_advanced(part: Any) -> bool:
    return part is not None and not isinstance(part, slice)


def _shape(array: MetaArray, parts: list[Any]) -> tuple[int, ...]:
    """The sizes: those of the indices together, and of what lies before, between and after them."""
    common = np.broadcast_shapes(*(np.shape(part) for part in parts if _is_advanced(part)))
    before: list[int] = []
    after: list[int] = []
    dim, seen, is_apart = 0, False, False
    for place, part in enumerate(parts):
        if _is_advanced(part):
            if isinstance(part, int | np.integer) and not -array.shape[dim] <= part < array.shape[dim]:
                raise IndexError(f"index {part} is out of bounds for axis {dim} with size {array.shape[dim]}")
            is_apart |= seen and not _is_advanced(parts[place - 1])
            seen, dim = True, dim + 1
            continue
        size = 1 if part is None else len(range(*part.indices(array.shape[dim])))
        (after if seen else before).append(size)
        dim += part is not None
    return (*common, *before, *after) if is_apart else (*before, *common, *after)


def _small(array: MetaArray, parts: list[Any]) -> Any:
    """The same of the twin, all of whose dims it takes whole."""
    key = tuple(
        np.zeros(clamped(np.shape(part)), np.intp)
        if _is_advanced(part)
        else None
        if part is None
        else slice(None)
        for part in parts
    )
    small = twin(array)
    if 0 in small.shape:
        small = np.empty(tuple(max(size, 1) for size in small.shape), small.dtype)
    return small[key]
