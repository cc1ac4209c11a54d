"""Functions that choose elements, by conditions or by indices, and those that look them up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.meta import refusal
from distrt.core.meta.array import MetaArray, made, require_fit
from distrt.core.meta.twins import laid_as, twin
from distrt.core.meta.ufuncs import require_together

__all__ = ["RULES"]


def _where(condition: Any, *values: Any) -> MetaArray:
    if not values:
        raise refusal.no_data("which elements are not zero")
    given = (condition, *values)
    require_together("where", given)
    shape = np.broadcast_shapes(*(each.shape for each in given if isinstance(each, MetaArray)))
    return laid_as(np.asarray(np.where(*map(twin, given))), shape)


def _take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    if not isinstance(a, MetaArray):
        a = made(a.shape, a.dtype)
    wanted = np.shape(indices)
    if out is not None:
        return out
    if axis is None:
        return made(wanted, a.dtype)
    axis = int(np.lib.array_utils.normalize_axis_index(axis, a.ndim))
    return made((*a.shape[:axis], *wanted, *a.shape[axis + 1 :]), a.dtype)


def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> MetaArray:
    if axis is None:
        return made(indices.shape, arr.dtype)
    axis = int(np.lib.array_utils.normalize_axis_index(axis, arr.ndim))
    others = np.broadcast_shapes(
        *((*each.shape[:axis], 1, *each.shape[axis + 1 :]) for each in (arr, indices))
    )
    return made((*others[:axis], indices.shape[axis], *others[axis + 1 :]), arr.dtype)


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if not isinstance(dst, MetaArray):
        raise refusal.no_copy()
    require_fit(src, dst.shape)


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> MetaArray:
    return made(np.shape(v), np.intp)


def _bincount(x: Any, weights: Any = None, minlength: int = 0) -> MetaArray:
    if not minlength and x.size:
        raise refusal.no_data("the largest element, which is the size of the result")
    # Callers say how many there are at most.
    return made(minlength, np.intp if weights is None else np.float64)


def _histogram(
    a: Any, bins: Any = 10, *args: Any, weights: Any = None, **named: Any
) -> tuple[MetaArray, MetaArray]:
    count = bins if isinstance(bins, int) else len(bins) - 1
    return made(count, np.intp if weights is None else weights.dtype), made(count + 1, np.float64)


def _unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[MetaArray, ...]:
    return tuple(made(indices.shape, np.intp) for _ in shape)


def _sized_by_data(what: str) -> Callable[..., Any]:
    def rule(*args: Any, **named: Any) -> Any:
        raise refusal.no_data(what)

    return rule


RULES: dict[str, Callable[..., Any]] = {
    "array_equal": _sized_by_data("whether elements are equal"),
    "bincount": _bincount,
    "copyto": _copyto,
    "flatnonzero": _sized_by_data("which elements are not zero"),
    "histogram": _histogram,
    "isin": lambda element, *rest, **named: made(element.shape, np.bool_),
    "nonzero": _sized_by_data("which elements are not zero"),
    "put_along_axis": lambda arr, indices, values, axis: None,
    "searchsorted": _searchsorted,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "unique": _sized_by_data("which elements there are"),
    "unravel_index": _unravel_index,
    "where": _where,
}
