"""Ufuncs on meta arrays: sizes by broadcasting; dtype, order of dims and errors of a call on twins."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.device import device
from distrt.core.errors import DeviceError
from distrt.core.meta import refusal
from distrt.core.meta.array import MetaArray, made, require_fit
from distrt.core.meta.twins import laid_as, twin

__all__ = ["apart", "apply", "reduced_shape", "require_together"]


def apply(ufunc: Any, method: str, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """``ufunc(*inputs)``, or one of its methods."""
    if method == "at":
        return None
    require_together(ufunc.__name__, (*inputs, *named.get("out", ())))
    if method == "__call__":
        if ufunc.signature is not None:
            from distrt.core.meta.products import matmul

            return matmul(*inputs, **named) if ufunc is np.matmul else NotImplemented
        return _call(ufunc, inputs, named)
    if method == "reduce":
        return _reduce(ufunc, *inputs, **named)
    if method == "accumulate":
        return _accumulate(ufunc, *inputs, **named)
    if method == "outer":
        first, second = inputs
        return made(
            (*np.shape(first), *np.shape(second)), ufunc(twin(first).flat[:1], twin(second).flat[:1]).dtype
        )
    if method == "reduceat":
        rows, starts, *axis = inputs
        shape = list(rows.shape)
        shape[axis[0] if axis else named.get("axis", 0)] = len(starts)
        return made(shape, rows.dtype)
    return NotImplemented


def require_together(name: str, values: Any) -> None:
    """Raises DeviceError where an array with dims has its data on another device."""
    for each in values:
        if not isinstance(each, MetaArray) and getattr(each, "ndim", False) and hasattr(each, "strides"):
            raise apart(name)


def apart(name: str) -> DeviceError:
    """The error for a meta array beside one with data."""
    name = refusal.running_operation() or name
    return DeviceError(
        "Tensor on device cpu is not on the expected device meta! Expected all tensors to be on the same device, but "
        f"found at least two devices, meta and {device('cpu')}! (when checking arguments for {name})"
    )


def _call(ufunc: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    outs = named.pop("out", None)
    if len(inputs) > ufunc.nin:
        inputs, outs = inputs[: ufunc.nin], inputs[ufunc.nin :]
    where = named.pop("where", True)
    shape = np.broadcast_shapes(*(each.shape for each in (*inputs, where) if isinstance(each, MetaArray)))
    small = ufunc(*map(twin, inputs), **named)
    if outs is not None:
        for each, result in zip(outs, small if isinstance(small, tuple) else (small,), strict=True):
            _require_castable(ufunc, result, each, shape, named.get("casting", "same_kind"))
        return outs if len(outs) > 1 else outs[0]
    if isinstance(small, tuple):
        return tuple(laid_as(np.asarray(each), shape) for each in small)
    return laid_as(np.asarray(small), shape)


def _require_castable(ufunc: Any, small: Any, out: Any, shape: tuple[int, ...], casting: Any) -> None:
    if out is None:
        return
    require_fit_out(shape, out.shape)
    if not np.can_cast(small.dtype, out.dtype, casting):
        raise TypeError(
            f"Cannot cast ufunc '{ufunc.__name__}' output from {small.dtype!r} to {out.dtype!r} with casting rule "
            f"'{casting}'"
        )


def require_fit_out(shape: tuple[int, ...], out: tuple[int, ...]) -> None:
    """Raises NumPy's error for a result that has no room in ``out=``."""
    if np.broadcast_shapes(shape, out) != out:
        raise ValueError(
            f"non-broadcastable output operand with shape {out} doesn't match the broadcast shape {shape}"
        )
    require_fit(made(shape, np.bool_), out)


def reduced_shape(shape: tuple[int, ...], axis: Any, keepdims: Any) -> tuple[int, ...]:
    """The sizes that are left where dims are reduced; None is all of them."""
    gone = range(len(shape)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, len(shape))
    if keepdims is True:
        return tuple(1 if dim in gone else size for dim, size in enumerate(shape))
    return tuple(size for dim, size in enumerate(shape) if dim not in gone)


def _reduce(
    ufunc: Any,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    **named: Any,
) -> Any:
    named.pop("where", None)
    if isinstance(named.get("initial"), MetaArray):
        named["initial"] = twin(named["initial"])[()]
    small = np.asarray(ufunc.reduce(twin(array), axis, dtype, None, keepdims, **named))
    if out is not None:
        return out[0] if isinstance(out, tuple) else out
    return laid_as(small, reduced_shape(array.shape, axis, keepdims))


def _accumulate(ufunc: Any, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    if out is not None:
        return out[0] if isinstance(out, tuple) else out
    return laid_as(ufunc.accumulate(twin(array), axis, dtype), array.shape)
