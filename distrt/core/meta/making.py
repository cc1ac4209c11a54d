"""Functions that make arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray, made
from distrt.core.meta.twins import clamped, laid_as, twin

__all__ = ["RULES"]


def _new(shape: Any, dtype: Any = float, order: str = "C", **named: Any) -> MetaArray:
    return made(shape, dtype or float)


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **named: Any) -> MetaArray:
    return made(shape, np.asarray(twin(fill_value)).dtype if dtype is None else dtype)


def _like(
    prototype: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, **named: Any
) -> MetaArray:
    return laid_as(
        np.empty_like(twin(prototype), dtype, order, shape=None if shape is None else clamped(shape)),
        prototype.shape if shape is None else tuple(shape),
    )


def _full_like(prototype: Any, fill_value: Any, *args: Any, **named: Any) -> MetaArray:
    return _like(prototype, *args, **named)


def _array(
    data: Any, dtype: Any = None, *, copy: bool | None = True, order: Any = "K", **named: Any
) -> MetaArray:
    if isinstance(data, MetaArray):
        return data.astype(data.dtype if dtype is None else dtype, order, copy=copy is not False)
    if isinstance(data, list | tuple) and _has_meta(data):
        parts = [_array(each, dtype) if not isinstance(each, MetaArray) else each for each in data]
        kind = np.result_type(*(each.dtype for each in parts)) if dtype is None else dtype
        return made((len(parts), *parts[0].shape), kind)
    array = np.asarray(data, dtype)
    return laid_as(np.empty_like(array, shape=clamped(array.shape)), array.shape)


def _has_meta(data: Any) -> bool:
    return any(
        _has_meta(each) if isinstance(each, list | tuple) else isinstance(each, MetaArray) for each in data
    )


def _asarray(data: Any, dtype: Any = None, order: Any = None, **named: Any) -> MetaArray:
    named.pop("copy", None)
    return _array(data, dtype, copy=False, order=order or "K")


def _contiguous(data: Any, dtype: Any = None, **named: Any) -> MetaArray:
    array = _asarray(data, dtype)
    array = array if array.flags.c_contiguous else array.copy()
    return array if array.ndim else array.reshape(1)


def _arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None, **named: Any) -> MetaArray:
    if stop is None:
        start, stop = 0, start
    by = 1 if step is None else step
    count = max(0, math.ceil((stop - start) / by))
    return made(count, dtype or np.result_type(np.intp, start, stop, by))


def _eye(n: int, m: int | None = None, k: int = 0, dtype: Any = float, **named: Any) -> MetaArray:
    return made((n, n if m is None else m), dtype)


def _linspace(start: Any, stop: Any, num: int = 50, dtype: Any = None, **named: Any) -> MetaArray:
    return made(num, np.float64 if dtype is None else dtype)


def _result_type(*given: Any) -> Any:
    return np.result_type(*(each.dtype if isinstance(each, MetaArray) else each for each in given))


RULES: dict[str, Callable[..., Any]] = {
    "arange": _arange,
    "array": _array,
    "asarray": _asarray,
    "ascontiguousarray": _contiguous,
    "empty": _new,
    "empty_like": _like,
    "eye": _eye,
    "full": _full,
    "full_like": _full_like,
    "linspace": _linspace,
    "ones": _new,
    "ones_like": _like,
    "tri": _eye,
    "ndim": lambda a: a.ndim,
    "result_type": _result_type,
    "shape": lambda a: a.shape,
    "zeros": _new,
    "zeros_like": _like,
}
