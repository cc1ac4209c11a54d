"""Functions that show the same elements under other sizes, join them, or repeat them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray, made, view_of
from distrt.core.meta.twins import laid_as, twin
from distrt.core.meta.ufuncs import require_together

__all__ = ["RULES"]


def _viewing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a function that gives views: what it makes of the ghost."""

    def rule(array: MetaArray, *args: Any, **kwargs: Any) -> Any:
        found = function(array._ghost, *args, **kwargs)
        if isinstance(found, list | tuple):
            return type(found)(view_of(array, each) for each in found)
        return view_of(array, found)

    return rule


def _reshape(array: MetaArray, shape: Any, order: str = "C", **named: Any) -> MetaArray:
    return array.reshape(shape, **named)


def _broadcast_arrays(*arrays: Any, subok: bool = False) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*map(np.shape, arrays))
    given = [
        each if isinstance(each, MetaArray) else made(np.shape(each), np.asarray(each).dtype)
        for each in arrays
    ]
    return tuple(RULES["broadcast_to"](each, shape) for each in given)


def _as_strided(array: MetaArray, shape: Any, strides: Any, **named: Any) -> MetaArray:
    return view_of(array, np.lib.stride_tricks.as_strided(array._ghost, shape, strides))


# Joining


def _concatenate(arrays: Any, axis: int | None = 0, out: Any = None, **named: Any) -> MetaArray:
    parts = list(arrays)
    require_together("concatenate", parts)
    if axis is None:
        parts, axis = [each.reshape(-1) for each in parts], 0
    first = parts[0]
    if any(each.ndim != first.ndim for each in parts):
        raise ValueError(
            "all the input array dimensions must match exactly: expected arrays of the same number of dimensions"
        )
    axis = int(np.lib.array_utils.normalize_axis_index(axis, first.ndim))
    rests = {each.shape[:axis] + each.shape[axis + 1 :] for each in parts}
    if len(rests) > 1:
        raise ValueError(
            "all the input array dimensions except for the concatenation axis must match exactly"
        )
    shape = list(first.shape)
    shape[axis] = sum(each.shape[axis] for each in parts)
    if out is not None:
        return out  # type: ignore[no-any-return]
    return laid_as(np.concatenate(twin(parts), axis, **named), tuple(shape))


def _stack(arrays: Any, axis: int = 0, out: Any = None, **named: Any) -> MetaArray:
    parts = list(arrays)
    require_together("stack", parts)
    if len({each.shape for each in parts}) != 1:
        raise ValueError("all input arrays must have the same shape")
    small = np.stack(twin(parts), axis)
    axis = int(np.lib.array_utils.normalize_axis_index(axis, small.ndim))
    return laid_as(small, (*parts[0].shape[:axis], len(parts), *parts[0].shape[axis:]))


def _append(array: Any, values: Any, axis: int | None = None) -> MetaArray:
    values = values if isinstance(values, MetaArray) else made(np.shape(values), np.asarray(values).dtype)
    return _concatenate(
        (array.reshape(-1), values.reshape(-1)) if axis is None else (array, values), axis or 0
    )


def _tile(array: Any, reps: Any) -> MetaArray:
    times = tuple(reps) if isinstance(reps, list | tuple) else (reps,)
    shape = (1,) * (len(times) - array.ndim) + array.shape
    times = (1,) * (len(shape) - len(times)) + times
    return made(tuple(size * by for size, by in zip(shape, times, strict=True)), array.dtype)


def _repeat(array: Any, repeats: Any, axis: int | None = None) -> MetaArray:
    if axis is None:
        array, axis = array.reshape(-1), 0
    axis = int(np.lib.array_utils.normalize_axis_index(axis, array.ndim))
    shape = list(array.shape)
    if isinstance(repeats, int | np.integer):
        shape[axis] *= int(repeats)
    else:
        if isinstance(repeats, MetaArray):
            repeats.item()
        given = np.broadcast_to(np.asarray(repeats), (shape[axis],))
        shape[axis] = int(given.sum())
    return made(shape, array.dtype)


def _pad(array: Any, pad_width: Any, mode: str = "constant", **named: Any) -> MetaArray:
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    return made(tuple(size + sum(each) for size, each in zip(array.shape, widths, strict=True)), array.dtype)


def _roll(array: Any, shift: Any, axis: Any = None) -> MetaArray:
    return laid_as(np.empty_like(twin(array)), array.shape)


def _same(array: Any, *args: Any, **named: Any) -> MetaArray:
    """Of the same sizes, in row-major order."""
    return made(array.shape, array.dtype)


def _diff(array: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> MetaArray:
    shape = list(array.shape)
    more = sum(
        1 if not np.ndim(each) else np.shape(each)[axis] for each in (prepend, append) if each is not None
    )
    shape[axis] = max(shape[axis] + more - n, 0)
    return made(shape, array.dtype)


def _tril(array: Any, k: int = 0) -> MetaArray:
    return made(array.shape if array.ndim > 1 else (array.size, array.size), array.dtype)


RULES: dict[str, Callable[..., Any]] = {
    **{
        name: _viewing(getattr(np, name))
        for name in (
            "atleast_1d broadcast_to diagonal expand_dims flip moveaxis split squeeze swapaxes transpose"
        ).split()
    },
    "append": _append,
    "broadcast_arrays": _broadcast_arrays,
    "concatenate": _concatenate,
    "diff": _diff,
    "lib.stride_tricks.as_strided": _as_strided,
    "may_share_memory": lambda a, b, *rest: _memory(a) is _memory(b),
    "pad": _pad,
    "ravel": lambda a, order="C": a.reshape(-1),
    "repeat": _repeat,
    "reshape": _reshape,
    "roll": _roll,
    "stack": _stack,
    "tile": _tile,
    "tril": _tril,
    "triu": _tril,
}


def _memory(array: Any) -> Any:
    base = getattr(array, "base", None)
    return array if base is None else base
