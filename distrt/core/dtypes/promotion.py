"""Which dtype an operation computes in: PyTorch's rules, which are not NumPy's.

Source: https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc. A tensor with dims outranks a 0-d
tensor, which outranks a Python number; a lower rank changes the dtype only when its category (bool, integer,
floating, complex) is higher.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_array
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError
from distrt.core.gpu.places import at
from distrt.core.modes import used

_FLOATING = dt.FLOATING_NUMPY
_F32, _HALVES = dt.float32.numpy, frozenset((dt.float16.numpy, dt.bfloat16.numpy))
_UNSIGNED = frozenset(each.numpy for each in dt.UNSIGNED)


def result_dtype(*values: Any) -> np.dtype[Any]:
    """The NumPy dtype that an operation on arrays and Python numbers computes in."""
    ranks: list[np.dtype[Any] | None] = [None, None, None]  # with dims, 0-d, Python numbers
    has_array = any(is_array(value) for value in values)
    for value in values:
        rank, found = _rank(value, has_array)
        known = ranks[rank]
        ranks[rank] = found if known is None else promote_types(known, found)
    result: np.dtype[Any] | None = None
    for lower in ranks:
        if lower is not None:
            result = lower if result is None else _across_ranks(result, lower)
    if result is None:
        raise TypeError("an operation needs at least one tensor or number")
    return result


def _rank(value: Any, beside_array: bool) -> tuple[int, np.dtype[Any]]:
    if beside_array and isinstance(value, np.generic):
        # A user's NumPy scalar counts as a Python number, as in PyTorch. Where there is no array, it is what NumPy made
        # of a 0-d array, inside a derivative rule.
        value = value.item()
    if hasattr(value, "dtype"):
        return (0 if value.ndim else 1), value.dtype
    return 2, scalar_dtype(value)


def scalar_dtype(value: Any) -> np.dtype[Any]:
    """The dtype that a Python number stands for."""
    if isinstance(value, bool):
        return dt.bool_.numpy
    if isinstance(value, int):
        return dt.int64.numpy
    if isinstance(value, float):
        return dt.default.numpy
    if isinstance(value, complex):
        return dt.default.complex
    raise TypeError(f"expected a tensor or a number, got {type(value).__name__}: {value!r}")


@functools.cache
def promote_types(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """What two tensors of the same rank compute in.

    Raises:
        DtypeError: for uint16, uint32 and uint64 beside what is not floating.
    """
    if a == b:
        return a
    if (a in _UNSIGNED or b in _UNSIGNED) and 2 not in (dt.category_of(a), dt.category_of(b)):
        raise DtypeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {a} and {b}"
        )
    ca, cb = dt.category_of(a), dt.category_of(b)
    if ca == cb or {ca, cb} == {2, 3}:
        if ca == cb == 2 and {a, b} == {dt.float16.numpy, dt.bfloat16.numpy}:
            return dt.float32.numpy
        if ca == cb and dt.bfloat16.numpy in (a, b):
            return b if a == dt.bfloat16.numpy else a
        if {ca, cb} == {2, 3}:
            wide = dt.float64.numpy in (a, b) or dt.complex128.numpy in (a, b)
            return dt.complex128.numpy if wide else dt.complex64.numpy
        return np.promote_types(a, b)
    return a if ca > cb else b


@functools.cache
def _across_ranks(higher: np.dtype[Any], lower: np.dtype[Any]) -> np.dtype[Any]:
    ch, cl = dt.category_of(higher), dt.category_of(lower)
    if ch >= cl:
        return higher
    if ch == 2:  # a floating tensor meets a complex number: its own precision, made complex
        return dt.complex128.numpy if higher == dt.float64.numpy else dt.complex64.numpy
    return lower


def convert(value: Any, dtype: np.dtype[Any]) -> Any:
    """``value`` as an array of ``dtype``; the same array where nothing changes. A Python int wraps, as in PyTorch."""
    if hasattr(value, "dtype"):
        if value.dtype == dtype:
            return value
        if used.gpu:
            with at(value):  # CuPy computes on the GPU that is the current one
                return value.astype(dtype)
        return value.astype(dtype)
    return np.array(value).astype(dtype)


def fitted(value: Any, dtype: np.dtype[Any]) -> Any:
    """A Python number as an array of ``dtype`` whose range it must lie in; small negatives wrap in unsigned ones.

    Raises:
        DtypeError: where it does not.
    """
    if isinstance(value, int) and dtype.kind in "iu" and not _least(dtype) <= value <= np.iinfo(dtype).max:
        raise DtypeError(f"value cannot be converted to type {dtype} without overflow: {value}")
    return convert(value, dtype)


def _least(dtype: np.dtype[Any]) -> int:
    bounds = np.iinfo(dtype)
    return -int(bounds.max) if dtype.kind == "u" else int(bounds.min)


def promote(*values: Any) -> tuple[Array, ...]:
    """Arrays and Python numbers, all as arrays of the one dtype that they promote to."""
    dtype = result_dtype(*values)
    return tuple([convert(value, dtype) for value in values])


def promote_float(*values: Any) -> tuple[Array, ...]:
    """As :func:`promote`, and integers become the default floating dtype."""
    dtype = result_dtype(*values)
    if dtype not in _FLOATING:
        dtype = dt.default.numpy
    return tuple([convert(value, dtype) for value in values])


def promote_sum(*values: Any) -> tuple[Array, ...]:
    """As :func:`promote`; float32 and half precision on GPUs stay what they are, since a kernel adds them up so."""
    return values if used.gpu and are_mixed(*values) else promote(*values)


def are_mixed(one: Any, other: Any) -> bool:
    """Whether one of two arrays on GPUs is float32, and the other is of half precision: a sum is float32."""
    kind = used.gpu_array
    if one.__class__ is not kind or other.__class__ is not kind or not one.ndim or not other.ndim:
        return False
    return (one.dtype == _F32 and other.dtype in _HALVES) or (one.dtype in _HALVES and other.dtype == _F32)


def promote_difference(*values: Any) -> tuple[Array, ...]:
    """As :func:`promote_sum`, where bools cannot be subtracted."""
    for value in values:
        if isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_:
            raise DtypeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
                "mask, use the `~` or `logical_not()` operator instead."
            )
    return promote_sum(*values)


def promote_power(input: Any, exponent: Any) -> tuple[Array, ...]:
    """As :func:`promote`; a Python int as the exponent of integers must be one that they can have."""
    if isinstance(exponent, int) and getattr(input, "dtype", np.dtype(float)).kind in "biu":
        if exponent < 0:
            raise DtypeError("Integers to negative integer powers are not allowed.")
        if input.dtype != np.bool_:
            return input, fitted(exponent, input.dtype)
    return promote(input, exponent)


def promote_quotient(input: Any, tensor1: Any, tensor2: Any) -> tuple[Array, ...]:
    """As :func:`promote`, where two integer tensors are not divided by one another."""
    if tensor1.dtype not in _FLOATING and tensor2.dtype not in _FLOATING:
        raise DtypeError(
            "Integer division with addcdiv is no longer supported: convert tensor1 or tensor2 to a floating dtype"
        )
    return promote(input, tensor1, tensor2)


def require_same(*values: Any) -> tuple[Array, ...]:
    """The arrays unchanged, if their dtypes are equal: matrix products and layers do not promote.

    Raises:
        DtypeError: where they differ.
    """
    dtypes = [value.dtype for value in values if hasattr(value, "dtype")]
    if any(dtype != dtypes[0] for dtype in dtypes):
        shown = " and ".join(dict.fromkeys(str(dtype) for dtype in dtypes))
        raise DtypeError(
            f"expected all arguments to have the same dtype, but got {shown}; convert one with .to(dtype)"
        )
    return values


def keep(*values: Any) -> tuple[Any, ...]:
    """The values as they came: indexing and shape operations take every dtype."""
    return values


#: What ``@op(dtype=...)`` may say.
RULES = {
    "difference": promote_difference,
    "float": promote_float,
    "keep": keep,
    "power": promote_power,
    "promote": promote,
    "quotient": promote_quotient,
    "same": require_same,
    "sum": promote_sum,
}
