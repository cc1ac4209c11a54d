"""Functions that reduce dims, run along one, or sort it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.meta.array import MetaArray, made
from distrt.core.meta.twins import laid_as, twin
from distrt.core.meta.ufuncs import reduced_shape

__all__ = ["RULES"]


def _reducing(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def rule(
        a: MetaArray, axis: Any = None, *args: Any, keepdims: Any = False, out: Any = None, **named: Any
    ) -> Any:
        named.pop("where", None)
        keep = {} if keepdims is False else {"keepdims": keepdims}
        small = np.asarray(function(twin(a), axis, *args, **keep, **named))
        return laid_as(small, reduced_shape(a.shape, axis, keepdims)) if out is None else out

    return rule


def _running(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def rule(a: MetaArray, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        small = function(twin(a), axis, dtype)
        return laid_as(small, (a.size,) if axis is None else a.shape) if out is None else out

    return rule


def _alike(name: str) -> Callable[..., Any]:
    """The rule of a function whose result has the sizes of its first argument."""
    function = getattr(np, name)

    def rule(a: MetaArray, *args: Any, out: Any = None, **named: Any) -> Any:
        small = function(twin(a), *map(twin, args), **{key: twin(value) for key, value in named.items()})
        return laid_as(np.asarray(small), a.shape) if out is None else out

    return rule


def _sorted(a: MetaArray, axis: Any = -1, **named: Any) -> MetaArray:
    return laid_as(np.sort(twin(a), axis), (a.size,) if axis is None else a.shape)


def _order(a: MetaArray, axis: Any = -1, **named: Any) -> MetaArray:
    small = np.argsort(twin(a) if a.dtype.kind != "V" else np.empty(twin(a).shape, np.float32), axis)
    return laid_as(small, (a.size,) if axis is None else a.shape)


def _lexsort(keys: Any, axis: int = -1) -> MetaArray:
    shape = keys.shape[1:] if isinstance(keys, MetaArray) else keys[0].shape
    return made(shape, np.intp)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **named: Any) -> Any:
    low, high = named.pop("min", a_min), named.pop("max", a_max)
    shape = np.broadcast_shapes(*(np.shape(each) for each in (a, low, high) if each is not None))
    return (
        laid_as(np.asarray(np.clip(twin(a), twin(low), twin(high), **named)), shape) if out is None else out
    )


RULES: dict[str, Callable[..., Any]] = {
    **{
        name: _reducing(name)
        for name in "all any argmax argmin count_nonzero max mean min prod std sum var".split()
    },
    **{name: _running(name) for name in ("cumprod", "cumsum")},
    **{name: _alike(name) for name in "angle i0 isneginf isposinf round sinc".split()},
    "argpartition": lambda a, kth, axis=-1, **named: _order(a, axis),
    "argsort": _order,
    "clip": _clip,
    "lexsort": _lexsort,
    "sort": _sorted,
}
