"""Which dtype an operation computes in: PyTorch's rules, which are not NumPy's.

Source: https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc. A tensor with dims outranks a 0-d
tensor, which outranks a Python number; a lower rank changes the dtype only when its category (bool, integer,
floating, complex) is higher.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core.arrays import Array
from distrt.core.errors import DtypeError

_FLOATING = dt.FLOATING_NUMPY
_DEFAULT_FLOAT = dt.float32.numpy
_SCALARS = {bool: dt.bool_.numpy, int: dt.int64.numpy, float: _DEFAULT_FLOAT, complex: dt.complex64.numpy}


def result_dtype(*values: Any) -> np.dtype[Any]:
    """The NumPy dtype that an operation on arrays and Python numbers computes in."""
    ranks: list[np.dtype[Any] | None] = [None, None, None]  # with dims, 0-d, Python numbers
    for value in values:
        rank, found = _rank(value)
        known = ranks[rank]
        ranks[rank] = found if known is None else promote_types(known, found)
    result: np.dtype[Any] | None = None
    for lower in ranks:
        if lower is not None:
            result = lower if result is None else _across_ranks(result, lower)
    if result is None:
        raise TypeError("an operation needs at least one tensor or number")
    return result


def _rank(value: Any) -> tuple[int, np.dtype[Any]]:
    if isinstance(value, np.generic):  # NumPy's own scalars count as Python numbers, as in PyTorch
        value = value.item()
    if hasattr(value, "dtype"):
        return (0 if value.ndim else 1), value.dtype
    found = _SCALARS.get(type(value))
    if found is None:
        found = next((d for t, d in _SCALARS.items() if isinstance(value, t)), None)
    if found is None:
        raise TypeError(f"expected a tensor or a number, got {type(value).__name__}: {value!r}")
    return 2, found


@functools.cache
def promote_types(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """What two tensors of the same rank compute in."""
    if a == b:
        return a
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
    """``value`` as an array of ``dtype``; the same array where nothing changes."""
    if hasattr(value, "dtype"):
        return value if value.dtype == dtype else value.astype(dtype)
    return np.array(value, dtype)


def promote(*values: Any) -> tuple[Array, ...]:
    """Arrays and Python numbers, all as arrays of the one dtype that they promote to."""
    dtype = result_dtype(*values)
    return tuple([convert(value, dtype) for value in values])


def promote_float(*values: Any) -> tuple[Array, ...]:
    """As :func:`promote`, and integers become the default floating dtype."""
    dtype = result_dtype(*values)
    if dtype not in _FLOATING:
        dtype = _DEFAULT_FLOAT
    return tuple([convert(value, dtype) for value in values])


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
RULES = {"promote": promote, "float": promote_float, "same": require_same, "keep": keep}
