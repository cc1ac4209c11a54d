"""A tensor where Python expects a number, a list or a container. The second base class of ``Tensor``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import gpu
from distrt.core.arrays import Array, is_meta, is_on_gpu
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.gpu.capturing import refuse
from distrt.core.modes import modes
from distrt.core.process.users_code import warn


class PythonValues:
    """The conversions that Python's own functions ask for: ``float(x)``, ``x[i]`` of a list, ``len(x)``, ``a in x``."""

    _array: Array
    requires_grad: bool

    def item(self) -> Any:
        """The one element, as a Python number.

        Raises:
            ShapeError: where there is not exactly one.
        """
        if self._array.size != 1:
            raise ShapeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        return _plain(self._array)

    def tolist(self) -> Any:
        """The elements as nested lists, or as one number for a 0-d tensor."""
        return _plain(self._array, nested=True)

    def is_nonzero(self) -> bool:
        """``bool(tensor)``."""
        return bool(self)

    def __float__(self) -> float:
        self._warn_of_lost_gradient()
        return float(_real(self._only(), "double"))

    def __int__(self) -> int:
        return int(_real(self._only(), "int64_t"))

    def __complex__(self) -> complex:
        self._warn_of_lost_gradient()
        return complex(self._only())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            count = "no values" if self._array.size == 0 else "more than one value"
            raise ShapeError(
                f"Boolean value of Tensor with {count} is ambiguous; its shape is {list(self._array.shape)}"
            )
        return bool(_plain(self._array))

    def __index__(self) -> int:
        if self._array.size != 1 or self._array.dtype.kind not in "biu":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(_plain(self._array))

    def _warn_of_lost_gradient(self) -> None:
        # int(), bool() and item() are for looking at a value, so PyTorch says nothing there.
        if self.requires_grad and modes.grad:
            warn(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first."
            )

    def _only(self) -> Any:
        if self._array.size != 1:
            raise ValueError(
                f"only one element tensors can be converted to Python scalars; this one has {self._array.size}"
            )
        return _plain(self._array)

    # -- a container of its slices along the first dim

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self: Any) -> Any:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self: Any) -> Any:
        return self if self._array.ndim == 0 else self.flip(0)

    def __contains__(self: Any, element: Any) -> bool:
        if not isinstance(element, PythonValues | bool | int | float | complex):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        return bool((self == element)._array.any())

    def __format__(self, spec: str) -> str:
        from distrt.core.tensor import Tensor

        if self._array.ndim == 0 and type(self) is Tensor:
            return format(self.item(), spec)
        return object.__format__(self, spec)


def _plain(array: Array, nested: bool = False) -> Any:
    """The elements as Python's own numbers; NumPy cannot convert bfloat16, so that goes by way of float32."""
    if array.__class__ is not np.ndarray:
        array = _fetched(array, nested)
    if array.dtype.kind == "V":
        array = array.astype(np.float32)
    return array.tolist() if nested else array.item()


def _fetched(array: Array, nested: bool) -> Array:
    """The elements of an array that may be elsewhere than in the CPU's memory."""
    if is_meta(array):
        from distrt.core.meta.refusal import no_copy, no_item

        raise no_copy() if nested else no_item()
    if not is_on_gpu(array):
        return array
    refuse("the value of an element")
    found = array.get()
    gpu.faults.raise_found()
    return found


def _real(number: Any, kind: str) -> Any:
    """The number, if it is real.

    Raises:
        DtypeError: for a complex number with an imaginary part.
    """
    if isinstance(number, complex):
        if number.imag and not math.isnan(number.imag):
            raise DtypeError(f"value cannot be converted to type {kind} without overflow: {number}")
        return number.real
    return number
