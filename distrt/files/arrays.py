"""NumPy's values in files: arrays, single numbers and dtypes, each made of arguments that were looked at.

``CALLS`` has what a file may call, by the function that NumPy writes down, and ``set_state`` what follows such a call.
No dtype is given a state of the file's: NumPy makes it of checked parts.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from distrt.files.faults import UnpicklingError, quoted
from distrt.files.rebuilding import Budget

__all__ = ["CALLS", "FROM_BUFFER", "RECONSTRUCT", "SCALAR", "set_state"]

SCALAR: Any = np.float64(0).__reduce__()[0]  # numpy._core.multiarray.scalar
RECONSTRUCT: Any = np.empty(0).__reduce__()[0]  # numpy._core.multiarray._reconstruct
FROM_BUFFER: Any = np.empty(0).__reduce_ex__(5)[0]  # numpy._core.numeric._frombuffer

_MOST_FIELDS = 1000
_REFERENCE_BYTES = 8
_ALIGNED = 0x80  # NPY_ALIGNED_STRUCT


def set_state(value: Any, state: Any, budget: Budget) -> bool:
    """Gives an array or a dtype its state; False where it is neither."""
    if isinstance(value, np.dtype):
        _set_dtype(value, state)
    elif type(value) is np.ndarray:
        _fill_array(value, state, budget)
    else:
        return False
    return True


def _dtype(budget: Budget, kind: Any, align: Any = False, copy: Any = True) -> Any:
    if not isinstance(kind, str) or not re.fullmatch(r"[<>=|]?([biufcSUV]\d{1,4}|[mM]8|O8)", kind):
        raise UnpicklingError(f"NumPy arrays of dtype {quoted(kind)} are not read from files")
    return np.dtype(kind, False, True)  # a copy, whose state can be set


def _scalar(budget: Budget, dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes) or dtype.hasobject:
        raise UnpicklingError(f"a NumPy number needs a dtype and bytes, got {quoted(dtype)}")
    return np.frombuffer(data, dtype, 1)[0]


def _array(budget: Budget, kind: Any, shape: Any, code: Any) -> Any:
    if kind is not np.ndarray or shape != (0,):
        raise UnpicklingError(f"arrays of class {quoted(kind)} are not read from files")
    return np.empty(0, np.int8)


def _array_from_buffer(
    budget: Budget, data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None
) -> Any:
    """As protocol 5 has arrays, in the memory of their bytes; ``axes``: how the dims of ``shape`` are permuted."""
    if type(data) not in (bytes, bytearray):
        raise UnpicklingError(f"an array needs bytes, got {quoted(data)}")
    _check_array(shape, dtype, len(data))
    if order not in ("C", "F") and not (order == "K" and _permutes(axes, len(shape))):
        raise UnpicklingError(f"an array has the order {quoted((order, axes))}")
    flat = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
    if order == "K":
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order=order)


def _permutes(axes: Any, dims: int) -> bool:
    return (
        isinstance(axes, tuple | list)
        and all(type(each) is int for each in axes)
        and sorted(axes) == list(range(dims))
    )


#: What a file may call -> what is called in its place, with a budget before the arguments.
CALLS: dict[Any, Any] = {
    np.dtype: _dtype,
    SCALAR: _scalar,
    RECONSTRUCT: _array,
    FROM_BUFFER: _array_from_buffer,
}


# -- states


def _set_dtype(dtype: Any, state: Any) -> None:
    """Gives a dtype its byte order, the unit of its times, its fields, or what its elements are arrays of."""
    if type(state) is not tuple or len(state) < 8 or state[1] not in ("<", ">", "|", "="):
        raise UnpicklingError(f"a dtype has the state {quoted(state)}")
    order, (part, names, fields) = state[1], state[2:5]
    if part is not None:
        made = _array_dtype(part)
    elif names is not None or fields is not None:
        made = _record_dtype(names, fields, dtype.itemsize, state[7])
    else:
        made = _with_unit(dtype, state[8]) if dtype.kind in "mM" and len(state) > 8 else dtype
        made = made.newbyteorder(order) if order in "<>" else made
    if made.itemsize != dtype.itemsize or (made.hasobject and dtype.kind != "O"):
        raise UnpicklingError(f"a dtype of {dtype.itemsize} bytes has the state {quoted(state)}")
    if made != dtype or made.byteorder != dtype.byteorder:
        dtype.__setstate__(made.__reduce__()[2])


def _with_unit(dtype: Any, described: Any) -> Any:
    """A dtype of times, in its unit: ``(metadata, (b"D", 1, 1, 1))``, where the numbers say how many of what part."""
    unit: Any = described[1] if type(described) is tuple and len(described) == 2 else None
    is_one = type(unit) is tuple and len(unit) == 4 and re.fullmatch(rb"\w{1,8}", unit[0])
    if not is_one or not all(type(each) is int and 0 < each < 1 << 31 for each in unit[1:]):
        raise UnpicklingError(f"a dtype of times has the unit {quoted(described)}")
    name = unit[0].decode()
    text: Any = f"{dtype.kind}8" if name == "generic" else f"{dtype.kind}8[{unit[1]}{name}]"
    try:
        return np.dtype(text)
    except TypeError as error:
        raise UnpicklingError(f"a dtype of times has the unit {quoted(described)}") from error


def _record_dtype(names: Any, fields: Any, length: int, flags: Any) -> Any:
    if type(names) is not tuple or type(fields) is not dict or not 0 < len(names) <= _MOST_FIELDS:
        raise UnpicklingError(f"a record has the fields {quoted((names, fields))}")
    parts: list[Any] = [fields.get(name) if type(name) is str else None for name in names]
    for part in parts:
        is_one = type(part) is tuple and len(part) in (2, 3) and isinstance(part[0], np.dtype)
        if not is_one or type(part[1]) is not int or not 0 <= part[1] <= length - part[0].itemsize:
            raise UnpicklingError(f"a record of {length} bytes has the field {quoted(part)}")
    formats, offsets = [part[0] for part in parts], [part[1] for part in parts]
    described: Any = {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": length}
    try:
        return np.dtype(described, align=type(flags) is int and bool(flags & _ALIGNED))
    except (TypeError, ValueError) as error:
        raise UnpicklingError(f"a record has the fields {quoted((names, fields))}") from error


def _array_dtype(part: Any) -> Any:
    if type(part) is tuple and len(part) == 2 and isinstance(part[0], np.dtype):
        base, shape = part
        is_shape = type(shape) is tuple and len(shape) <= 64 and all(type(n) is int and n >= 0 for n in shape)
        if is_shape and math.prod(shape) * base.itemsize < 1 << 30:
            return np.dtype((base, shape))
    raise UnpicklingError(f"the elements of an array are {quoted(part)}")


def _fill_array(array: Any, state: Any, budget: Budget) -> None:
    _, shape, dtype, in_columns, data = state
    if type(data) is str:  # the bytes of Python 2, decoded as Latin 1
        data = data.encode("latin1")
    if type(data) is list and isinstance(dtype, np.dtype) and dtype.kind == "O":
        _check_shape(shape, dtype, len(data) * dtype.itemsize)
        budget.spend(len(data) * _REFERENCE_BYTES)
    elif type(data) is bytes:
        _check_array(shape, dtype, len(data))
        budget.spend(len(data))
    else:
        raise UnpicklingError(f"an array of dtype {quoted(dtype)} has {quoted(type(data))} as its data")
    array.__setstate__((1, shape, dtype, bool(in_columns), data))


def _check_array(shape: Any, dtype: Any, length: int) -> None:
    """Raises UnpicklingError where so many bytes are no array of numbers, text or records of this shape."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise UnpicklingError("the bytes of a file are no Python objects")
    _check_shape(shape, dtype, length)


def _check_shape(shape: Any, dtype: Any, length: int) -> None:
    if type(shape) is not tuple or not all(type(each) is int and each >= 0 for each in shape):
        raise UnpicklingError(f"an array has the shape {quoted(shape)}")
    if length != math.prod(shape) * dtype.itemsize or len(shape) > 64:
        raise UnpicklingError(f"an array of shape {quoted(shape)} has {length} bytes")
