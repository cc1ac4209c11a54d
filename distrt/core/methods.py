"""Binds the operations to ``Tensor``: methods, operators, conversions, indexing and in-place forms.

Imported once by ``distrt/__init__`` before any tensor is handed out. An op that is a method under its own name is one
entry of ``METHODS``; what takes sizes as separate arguments or changes its tensor is written out below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core import creation, ops
from distrt.core import dtype as dt
from distrt.core.arrays import FAULTS, explain
from distrt.core.autograd.node import AccumulateGrad
from distrt.core.device import device as device_type
from distrt.core.device import require_available
from distrt.core.errors import AutogradError, DtypeError, ShapeError
from distrt.core.modes import modes
from distrt.core.ops.dims import varargs
from distrt.core.ops.keys import check_key, plain_key
from distrt.core.promotion import result_dtype
from distrt.core.random import Generator, numpy_generator
from distrt.core.tensor import Tensor, wrap

METHODS = (
    "abs add all amax amin any argmax argmin bmm ceil chunk clamp clone cos div dot eq exp expand_as flatten floor "
    "floor_divide ge gt isfinite isnan le log logical_and logical_not logical_or lt matmul max maximum "
    "mean min minimum "
    ""
    "mm mul ne neg norm pow reciprocal relu remainder round rsqrt sigmoid sign sin split sqrt square "
    "squeeze std sub sum "
    "tanh true_divide transpose unbind unsqueeze var"
).split()

OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": ops.add,
    "__radd__": ops.add,
    "__sub__": ops.sub,
    "__mul__": ops.mul,
    "__rmul__": ops.mul,
    "__truediv__": ops.true_divide,
    "__floordiv__": ops.floor_divide,
    "__mod__": ops.remainder,
    "__pow__": ops.pow,
    "__matmul__": ops.matmul,
    "__eq__": ops.eq,
    "__ne__": ops.ne,
    "__lt__": ops.lt,
    "__le__": ops.le,
    "__gt__": ops.gt,
    "__ge__": ops.ge,
}
REFLECTED: dict[str, Callable[..., Any]] = {
    "__rsub__": ops.sub,
    "__rtruediv__": ops.true_divide,
    "__rfloordiv__": ops.floor_divide,
    "__rmod__": ops.remainder,
    "__rpow__": ops.pow,
    "__rmatmul__": ops.matmul,
}


_USUAL_OPERANDS = frozenset((Tensor, float, int))


def _binary(function: Callable[..., Any], reflected: bool = False) -> Callable[[Any, Any], Any]:
    """An operator that lets Python try the other side where the other operand is no number and no tensor."""

    def operator(self: Tensor, other: Any) -> Any:
        if other.__class__ in _USUAL_OPERANDS:
            return function(other, self) if reflected else function(self, other)
        if not isinstance(other, Tensor | int | float | complex | np.ndarray | np.generic):
            return NotImplemented
        if isinstance(other, np.ndarray):
            other = wrap(other)
        return function(other, self) if reflected else function(self, other)

    return operator


# Sizes as separate arguments


def _reshape(self: Tensor, *shape: Any) -> Tensor:
    return ops.reshape(self, varargs(shape))  # type: ignore[no-any-return]


def _view(self: Tensor, *shape: Any) -> Tensor:
    return ops.view(self, varargs(shape))  # type: ignore[no-any-return]


def _permute(self: Tensor, *dims: Any) -> Tensor:
    return ops.permute(self, varargs(dims))  # type: ignore[no-any-return]


def _expand(self: Tensor, *sizes: Any) -> Tensor:
    return ops.expand(self, varargs(sizes))  # type: ignore[no-any-return]


def _view_as(self: Tensor, other: Tensor) -> Tensor:
    return ops.view(self, tuple(other.shape))  # type: ignore[no-any-return]


def _t(self: Tensor) -> Tensor:
    if self.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return self if self.ndim < 2 else ops.transpose(self, 0, 1)


def _reverse_dims(self: Tensor) -> Tensor:
    return ops.permute(self, tuple(reversed(range(self.ndim))))  # type: ignore[no-any-return]


def _contiguous(self: Tensor) -> Tensor:
    return self if self.is_contiguous() else ops.clone(self)


# Conversion


def _cast(wanted: dt.dtype) -> Callable[[Tensor], Tensor]:
    def cast(self: Tensor) -> Tensor:
        return self if self._array.dtype == wanted.numpy else ops.to_dtype(self, wanted.numpy)

    cast.__doc__ = f"This tensor as {wanted}; itself where it is that already."
    return cast


def _to(
    self: Tensor,
    *target: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Tensor:
    """This tensor with another dtype or device (or those of another tensor); itself where nothing changes."""
    for each in target:
        if isinstance(each, dt.dtype):
            dtype = each
        elif isinstance(each, Tensor):
            dtype = each.dtype
        elif isinstance(each, str | int | device_type) and not isinstance(each, bool):
            device = each
    require_available(device)
    wanted = self._array.dtype if dtype is None else dt.to_numpy(dtype)
    if wanted == self._array.dtype:
        return ops.clone(self) if copy else self
    return ops.to_dtype(self, wanted)  # type: ignore[no-any-return]


def _type_as(self: Tensor, other: Tensor) -> Tensor:
    return _to(self, other.dtype)


def _cpu(self: Tensor) -> Tensor:
    return self


def _cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    return _to(self, device="cuda" if device is None else device)


# Indexing


def _get_item(self: Tensor, key: Any) -> Tensor:
    return ops.index(self, key)  # type: ignore[no-any-return]


def _set_item(self: Tensor, key: Any, value: Any) -> None:
    key = plain_key(key)
    check_key(key, self.shape)
    if isinstance(value, np.ndarray):
        value = wrap(value)
    if _records(self, value):
        _rebase(self, ops.index_put(_before_change(self, "copy_"), value, key))
        return
    given = value._array if isinstance(value, Tensor) else value
    if isinstance(given, str | bytes) or given is None:
        raise TypeError(f"can't assign a {type(given).__name__} to a tensor of {self.dtype}")
    try:
        self._array[key] = given
    except FAULTS as fault:
        raise explain(fault, "index_put_", (self._array, given)) from fault
    self._counter[0] += 1


# In-place forms: computed out of place where the change is recorded, written into the memory, and the tensor moved to
# its new place in the graph.


def _records(self: Tensor, *others: Any) -> bool:
    return modes.grad and (
        self._edge is not None
        or any(isinstance(other, Tensor) and other._edge is not None for other in others)
    )


def _before_change(self: Tensor, name: str) -> Tensor:
    """The tensor as it is before a recorded in-place change: its place in the graph, with a copy of its values.

    Raises:
        AutogradError: for a leaf that requires grad, and for a view of a tensor in a graph.
    """
    if self._edge is not None and type(self._edge[0]) is AccumulateGrad:
        raise AutogradError("a leaf Variable that requires grad is being used in an in-place operation.")
    if self._base is not None:
        raise AutogradError(
            f"{name}: an in-place change of a view is not recorded by this version of distrt: change the tensor "
            "itself, or use "
            "the out-of-place operation"
        )
    return wrap(self._array.copy(), self._edge)


def _rebase(self: Tensor, result: Tensor) -> Tensor:
    if result._array.shape != self._array.shape:
        raise ShapeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    self._array[...] = result._array
    self._counter[0] += 1
    self._edge = result._edge
    return self


def _in_place(function: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if _records(self, *args):
            return _rebase(self, function(_before_change(self, name), *args, **kwargs))
        plain = [arg._array if isinstance(arg, Tensor) else arg for arg in args]
        computed = result_dtype(
            self._array, *[p for p in plain if isinstance(p, np.ndarray | bool | int | float | complex)]
        )
        if dt.category_of(computed) > dt.category_of(self._array.dtype):
            raise DtypeError(
                f"result type {dt.of(np.empty(0, computed))} can't be cast to the desired output type {self.dtype}"
            )
        try:
            result = function(self._array, *plain, **kwargs)
        except FAULTS as fault:
            raise explain(fault, name, (self._array, *plain)) from fault
        if np.shape(result) != self._array.shape:
            raise ShapeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(np.shape(result))}"
            )
        self._array[...] = result
        self._counter[0] += 1
        return self

    change.__name__ = name
    change.__doc__ = f"In-place form of ``{name.rstrip('_')}``; returns this tensor."
    return change


def _copy(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Overwrites the values with those of ``src``, broadcast and converted."""
    if _records(self, src):
        kept = _before_change(self, "copy_")
        return _rebase(self, ops.expand(ops.to_dtype(src, kept._array.dtype), tuple(self.shape)))
    try:
        self._array[...] = src._array
    except FAULTS as fault:
        raise explain(fault, "copy_", (self._array, src._array)) from fault
    self._counter[0] += 1
    return self


def _fill(self: Tensor, value: Any) -> Tensor:
    """Overwrites every element with ``value``."""
    given = creation.full(tuple(self.shape), value, dtype=self.dtype)
    if _records(self):
        _before_change(self, "fill_")
        return _rebase(self, given)
    self._array[...] = given._array
    self._counter[0] += 1
    return self


def _zero(self: Tensor) -> Tensor:
    """Overwrites every element with 0."""
    return _fill(self, 0)


def _uniform(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrites every element with a number drawn uniformly from [from_, to)."""
    drawn = numpy_generator(generator).random(tuple(self.shape), np.float64)
    return _copy(self, wrap(np.asarray(drawn * (to - from_) + from_).astype(self._array.dtype)))


def _normal(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrites every element with a number drawn from the normal distribution."""
    drawn = numpy_generator(generator).standard_normal(tuple(self.shape))
    return _copy(self, wrap(np.asarray(drawn * std + mean).astype(self._array.dtype)))


WRITTEN_OUT: dict[str, Any] = {
    "__getitem__": _get_item,
    "__neg__": ops.neg,
    "__abs__": ops.abs,
    "__invert__": ops.logical_not,
    "__setitem__": _set_item,
    "contiguous": _contiguous,
    "copy_": _copy,
    "cpu": _cpu,
    "cuda": _cuda,
    "expand": _expand,
    "fill_": _fill,
    "normal_": _normal,
    "permute": _permute,
    "reshape": _reshape,
    "t": _t,
    "to": _to,
    "type_as": _type_as,
    "uniform_": _uniform,
    "view": _view,
    "view_as": _view_as,
    "zero_": _zero,
}

IN_PLACE = "abs add ceil clamp div exp floor log mul neg pow reciprocal relu round rsqrt sigmoid sqrt sub tanh".split()

CASTS = {
    "bfloat16": dt.bfloat16,
    "bool": dt.bool_,
    "byte": dt.uint8,
    "double": dt.float64,
    "float": dt.float32,
    "half": dt.float16,
    "int": dt.int32,
    "long": dt.int64,
    "short": dt.int16,
}


def bind() -> None:
    """Puts every method on ``Tensor``."""
    for name in METHODS:
        setattr(Tensor, name, getattr(ops, name))
    for name, function in OPERATORS.items():
        setattr(Tensor, name, _binary(function))
    for name, function in REFLECTED.items():
        setattr(Tensor, name, _binary(function, reflected=True))
    for name, wanted in CASTS.items():
        setattr(Tensor, name, _cast(wanted))
    for name, function in WRITTEN_OUT.items():
        setattr(Tensor, name, function)
    for name in IN_PLACE:
        setattr(Tensor, name + "_", _in_place(getattr(ops, name), name + "_"))
    for name, plain in (
        ("__iadd__", "add_"),
        ("__isub__", "sub_"),
        ("__imul__", "mul_"),
        ("__itruediv__", "div_"),
    ):
        setattr(Tensor, name, getattr(Tensor, plain))
    Tensor.T = property(_reverse_dims)  # type: ignore[attr-defined]
    Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]  # so that `array * tensor` is a tensor
    Tensor.__hash__ = object.__hash__  # type: ignore[assignment, method-assign]  # __eq__ compares elements


bind()
