"""What every function that makes tensors takes: device, layout, requires_grad, pin_memory, out, memory_format."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from distrt.core.arrays import Array, number_in
from distrt.core.definitions.out import write_out
from distrt.core.device import device as device_type
from distrt.core.device import require_available
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.gpu.library import device_count
from distrt.core.gpu.places import at, moved, prototype
from distrt.core.modes import modes, used
from distrt.core.ops.shapes.dims import sizes_of
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors import formats
from distrt.core.tensors.versions import INFERENCE

Device = str | int | device_type | None


def finish(
    array: Any, device: Device, requires_grad: bool, like: Tensor | None = None, pin_memory: bool = False
) -> Tensor:
    """A tensor of a fresh array, made after another one if there is one. Without a GPU nothing is pinned."""
    if device is None and like is not None:
        made = like._alike(array)
    else:
        array = moved(array, require_available(device))
        made = wrap(array) if like is None else like._alike(array)
    if pin_memory and device_count():
        made = made.pin_memory()
    if modes.inference:
        made._counter = INFERENCE
    if not requires_grad:
        return made
    if made.dtype.category < 2:
        raise DtypeError("Only Tensors of floating point and complex dtype can require gradients")
    return made.requires_grad_()


def factory(function: Callable[..., Array]) -> Callable[..., Tensor]:
    """Makes of a function that returns an array one that returns a tensor and takes what all of them take."""
    name = function.__name__
    is_like = name.endswith("_like")

    @functools.wraps(function)
    def make(
        *args: Any,
        out: Tensor | None = None,
        layout: Any = None,
        device: Device = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        **kwargs: Any,
    ) -> Tensor:
        like = None if not is_like else args[0] if args else kwargs["input"]
        is_sparse_like = used.sparse and getattr(like, "layout", formats.strided) is not formats.strided
        if is_sparse_like or (layout is not None and layout is not formats.strided):
            from distrt.core.sparse.creation import in_layout

            return in_layout(name, args, kwargs, layout, like, device, requires_grad)
        if out is not None and kwargs.get("dtype") is None and "dtype" in _names(function):
            kwargs["dtype"] = out.dtype
        if "beside" in _names(function) and not (is_like and device is None):
            kwargs["beside"] = prototype(require_available(device))
        if used.gpu:
            with _where(kwargs.get("beside"), like):
                array = _made(function, args, kwargs, memory_format)
        else:
            array = _made(function, args, kwargs, memory_format)
        made = finish(array, device, requires_grad, like, pin_memory)
        return made if out is None else write_out(name, made, out)

    vars(make)["__signature__"] = _signature(function)
    return make


def _made(function: Callable[..., Array], args: Any, kwargs: dict[str, Any], memory_format: Any) -> Array:
    array = function(*args, **kwargs)
    if memory_format is None or memory_format is formats.preserve_format:
        return array
    return formats.arranged(array, memory_format)


def _where(beside: Array | None, like: Any) -> AbstractContextManager[Any]:
    """A block in which the GPU on which the tensor is to be is the current one: CuPy makes arrays there."""
    array = getattr(like, "_array", None) if beside is None else beside
    return nullcontext() if array is None else at(array)


@functools.cache
def _names(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """The function's own parameters but ``beside``, which says where to make the array; then what is common to all."""
    own = inspect.signature(function)
    own = own.replace(parameters=[each for each in own.parameters.values() if each.name != "beside"])
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in (
            ("out", None),
            ("layout", None),
            ("device", None),
            ("requires_grad", False),
            ("pin_memory", False),
            ("memory_format", None),
        )
        if name not in own.parameters
    ]
    return own.replace(parameters=[*own.parameters.values(), *added], return_annotation="Tensor")


def shape_of(name: str, sizes: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """The shape from separate sizes, a sequence of them, or ``size=``.

    Raises:
        TypeError: for none, or sizes that are no integers.
        ShapeError: for a negative one.
    """
    if size is not None:
        sizes = (*sizes, size)
    if not sizes:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
    if any(isinstance(each, bool) for each in given):
        raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not bool")
    if len(sizes) == 1 and isinstance(sizes[0], Tensor) and not sizes[0].ndim:
        sizes = (int(sizes[0]),)
    return sizes_of(sizes)


def sequence_of(name: str, size: Any) -> tuple[int, ...]:
    """The shape from a sequence of sizes; an integer is none.

    Raises:
        TypeError: for an integer.
        ShapeError: for a negative size.
    """
    if isinstance(size, int):
        raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not int")
    shape = sizes_of((tuple(size),))
    return shape


def number_of(name: str, value: Any, argument: str | None = None) -> Any:
    """A number, from a number or a 0-d tensor; as a named argument no tensor that requires a gradient.

    Raises:
        ShapeError: for a tensor with dims.
        TypeError: for anything else.
    """
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError(
                f"{name} only supports 0-dimensional start and end tensors, but got one with {value.ndim} dimension(s)."
            )
        return value.item() if argument is None else number_in(name, argument, value)
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, bool | int | float | complex):
        raise TypeError(f"{name}(): expected numbers, got {type(value).__name__}: {value!r:.60}")
    return value
