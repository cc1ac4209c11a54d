"""What operations say of their dtypes: half precision computes in float32 and rounds once; some kinds are refused."""

from __future__ import annotations

from typing import Any, NoReturn

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError, NoKernelError
from distrt.core.kernels.casting import cast
from distrt.core.kernels.casting import wide as wide
from distrt.core.ops.pointwise.type_names import scalar_type


def readable(array: Array) -> Array:
    """As ``wide``, but for bfloat16, which kernels read as it is."""
    return array if array.dtype == dt.bfloat16.numpy else wide(array)


def rounded(array: Array, dtype: Any) -> Array:
    """The array itself, or a copy in another dtype."""
    return array if array.dtype is dtype or array.dtype == dtype else cast(array, dtype)


def floating(operation: str, input: Array) -> Array:
    """The array as ``wide`` gives it.

    Raises:
        NoKernelError: for integers, bools and complex numbers, in PyTorch's words.
    """
    if input.dtype.kind in "biuc":
        raise NoKernelError(f"\"{operation}\" not implemented for '{scalar_type(input)}'")
    return wide(input)


def refuse(operation: str, value: Any, kinds: str) -> None:
    """Raises NoKernelError for an array of one of NumPy's ``kinds`` (bfloat16 is of kind "V").

    Raises:
        NoKernelError: as PyTorch does where it has no kernel.
    """
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype.kind in kinds:
        raise NoKernelError(f'"{operation}" not implemented for {dtype}')


def no_derivative(operation: str) -> NoReturn:
    """The rule of an operation that PyTorch records but cannot differentiate.

    Raises:
        AutogradError: always.
    """
    raise AutogradError(f"derivative for aten::{operation} is not implemented")
