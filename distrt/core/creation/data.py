"""Tensors of what is there already: numbers, nested lists, arrays, buffers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_array, is_on_gpu
from distrt.core.creation.factory import Device, finish
from distrt.core.device import CPU
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.promotion import promote_types
from distrt.core.errors import DataError, DtypeError, NumberError
from distrt.core.gpu.places import device_of, taken_in
from distrt.core.process.users_code import warn
from distrt.core.storage.storage import is_storage
from distrt.core.tensor import Tensor, wrap

__all__ = ["as_tensor", "asarray", "from_numpy", "frombuffer", "tensor"]

_DESCRIPTION = "__cuda_array_interface__"  # by which libraries describe what they have on GPUs to one another

_SAID_NEGATIVE = (
    "At least one stride in the given array is negative, and tensors with negative strides are not currently "
    "supported. (You can probably work around this by making a copy of your array.)"
)


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Device = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of ``data``: a number, nested lists, an array, or a tensor.

    Python integers give int64, floats the default dtype, bools bool; an array keeps its dtype.

    Raises:
        DataError: for lists of different lengths, for text, or an array with negative steps.
        TypeError: for what is no number, and for lists that end at different depths.
        DtypeError: for what is no number, or has no place in the dtype.
    """
    if isinstance(data, Tensor):
        warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor)."
        )
        data = data._whole()
        array = data._array.astype(data._array.dtype if dtype is None else dt.to_numpy(dtype))
    else:
        given = taken_in(data) if hasattr(data, _DESCRIPTION) else data
        array = copied(given, None if dtype is None else dt.to_numpy(dtype))
    if device is None and is_on_gpu(array):
        device = device_of(array)  # data on a GPU stay there
    return finish(array, device, requires_grad, pin_memory=pin_memory)


def copied(data: Any, wanted: np.dtype[Any] | None) -> Array:
    """``data`` as a fresh array, of the dtype wanted or of the one that PyTorch infers for it."""
    if not isinstance(data, np.ndarray) and is_array(data):
        return data.astype(data.dtype if wanted is None else wanted)
    if isinstance(data, np.ndarray):
        _require_fit(data)
        return np.array(data, wanted, order="K") if wanted is None else data.astype(wanted, order="K")
    if isinstance(data, str | bytes):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    shape = _shape_of(data)
    values: list[Any] = []
    try:
        _collect(data, len(shape), shape, 0, values)
    except NumberError as fault:
        if wanted is None and (odd := fault.args[1:]):  # PyTorch looks for a dtype first
            _kind_of(odd[0])
        raise NumberError(fault.args[0]) from None
    kind = wanted or _inferred(values)
    return _filled(values, kind).reshape(shape)


def _is_sequence(data: Any) -> bool:
    if isinstance(data, Tensor):
        return False  # PyTorch reads a tensor in a list as one number
    if isinstance(data, np.ndarray):
        return data.ndim > 0
    return (isinstance(data, Sequence) or hasattr(data, "__array_interface__")) and not isinstance(
        data, str | bytes | np.generic
    )


def _shape_of(data: Any) -> tuple[int, ...]:
    """The shape that the first elements promise."""
    shape: list[int] = []
    while _is_sequence(data):
        shape.append(len(data))
        if not len(data):
            break
        data = data[0]
    return tuple(shape)


def _collect(data: Any, depth: int, shape: tuple[int, ...], dim: int, values: list[Any]) -> None:
    """Appends the numbers of nested sequences, in order.

    Raises:
        DataError: where the lists have different lengths.
        NumberError: where they have different depths; with what is no list.
    """
    if dim == depth:
        values.append(_number(data))
        return
    if not _is_sequence(data):
        raise NumberError(f"not a sequence of length {shape[dim]} at dim {dim}: {type(data).__name__}", data)
    if len(data) != shape[dim]:
        raise DataError(f"expected sequence of length {shape[dim]} at dim {dim} (got {len(data)})")
    if dim == depth - 1 and set(map(type, data)) <= _PLAIN:
        values.extend(data)
        return
    if isinstance(data, np.ndarray):
        values.extend(data.reshape(-1))
        return
    for each in data:
        _collect(each, depth, shape, dim + 1, values)


_PLAIN = frozenset((bool, int, float, complex))


def _number(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value._array.size != 1:
            raise DataError("only one element tensors can be converted to Python scalars")
        value._warn_of_lost_gradient()
        return value._whole()._array.reshape(())[()]
    if isinstance(value, np.ndarray):
        return value[()]
    if _is_sequence(value):
        raise NumberError(f"must be a number, not {type(value).__name__}")
    return value


def _inferred(values: list[Any]) -> np.dtype[Any]:
    """The dtype of the widest kind among the numbers; of a list without any, the default one."""
    if not values:
        return dt.default.numpy
    if isinstance(values[0], str):  # taken for a list of letters, as in PyTorch
        raise DataError("too many dimensions 'str'")
    kinds: list[np.dtype[Any]] = []
    for kind in dict.fromkeys(map(type, values)):
        if kind is float:
            kinds.append(dt.default.numpy)
        elif kind is int:
            kinds.append(dt.int64.numpy)
        elif kind is bool:
            kinds.append(dt.bool_.numpy)
        elif kind is complex:
            kinds.append(dt.default.complex)
        else:
            kinds += dict.fromkeys(_kind_of(value) for value in values if type(value) is kind)
    return functools.reduce(promote_types, kinds)


def _kind_of(value: Any) -> np.dtype[Any]:
    found = getattr(value, "dtype", None)
    if isinstance(value, str | bytes):
        raise TypeError(f"new(): invalid data type '{type(value).__name__}'")
    if isinstance(found, np.dtype):
        dt.of(value)
        return found
    for kind, numpy_kind in ((bool, dt.bool_.numpy), (int, dt.int64.numpy), (float, dt.default.numpy)):
        if isinstance(value, kind):
            return numpy_kind
    if hasattr(value, "__index__"):
        return dt.int64.numpy
    if hasattr(value, "__float__"):
        return dt.default.numpy
    if isinstance(value, list | tuple):
        raise NumberError(f"must be a number, not {type(value).__name__}")
    raise DtypeError(f"Could not infer dtype of {type(value).__name__}")


def _filled(values: list[Any], kind: np.dtype[Any]) -> Array:
    if not _PLAIN.issuperset(map(type, values)):
        _require_numbers(values, kind)
    if kind.kind in "iu":
        return _integers(values, kind)
    try:
        if kind.kind == "c":
            return np.array([complex(each) for each in values], np.complex128).astype(kind)
        if kind.kind == "b":
            return np.array([bool(each) for each in values], np.bool_)
        if any(isinstance(each, complex) for each in values):
            raise NumberError("must be real number, not complex")
        return np.array(values, np.float64).astype(kind)
    except OverflowError:
        raise DtypeError(f"value cannot be converted to type {kind} without overflow") from None
    except ValueError:
        raise DataError("too many dimensions 'str'") from None


def _require_numbers(values: list[Any], kind: np.dtype[Any]) -> None:
    """Raises for text and None, which NumPy would read as numbers and NaN, and for other things."""
    if isinstance(values[0], str):
        raise DataError("too many dimensions 'str'")
    method, wanted = ("__int__", "an integer") if kind.kind in "iub" else ("__float__", "real number")
    for each in values:
        is_number = isinstance(each, complex) or hasattr(each, method) or hasattr(each, "__index__")
        if isinstance(each, str | bytes) or not is_number:  # NumPy's text has these methods
            raise NumberError(f"must be {wanted}, not {type(each).__name__}")


def _integers(values: list[Any], kind: np.dtype[Any]) -> Array:
    """Fractions are cut off; what has no place in the dtype is refused, but small negatives wrap in unsigned ones."""
    bounds = np.iinfo(kind)
    low = -int(bounds.max) if kind.kind == "u" else int(bounds.min)
    try:
        whole = [int(each) for each in values]
    except (OverflowError, ValueError) as fault:
        raise DtypeError(f"value cannot be converted to type {kind} without overflow") from fault
    except TypeError:
        raise NumberError("must be an integer, not complex") from None
    if whole and (min(whole) < low or max(whole) > bounds.max):
        if kind == np.int64:
            raise DataError("Overflow when unpacking long long")
        raise DtypeError(f"value cannot be converted to type {kind} without overflow")
    return np.array([each % (int(bounds.max) + 1) for each in whole] if kind.kind == "u" else whole, kind)


# Shared memory


def _require_fit(array: Array) -> None:
    """Raises for an array that a tensor cannot be: PyTorch's classes and words."""
    if not array.dtype.isnative:
        raise DataError(
            "given array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported."
        )
    try:
        dt.of(array)
    except TypeError:
        raise TypeError(
            f"can't convert an array of type {array.dtype.type.__name__}. The only supported types are: "
            + ", ".join(str(each).removeprefix("torch.") for each in dt.ALL)
        ) from None
    if any(step < 0 for step in array.strides):
        raise DataError(_SAID_NEGATIVE)
    if any(step % array.itemsize for step in array.strides):
        raise DataError(
            "the strides of the given array are not a multiple of the element byte size. Copy it to reallocate the "
            "memory."
        )


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor of the array's own memory: a change on either side is seen on the other.

    Raises:
        TypeError: for what is no array, or of a dtype that tensors do not have.
        DataError: for an array with negative steps, or of another byte order.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    _require_fit(ndarray)
    if not ndarray.flags.writeable:
        _warn_read_only("NumPy array")
    return finish(ndarray, CPU, False)


def _warn_read_only(what: str) -> None:
    warn(
        f"The given {what} is not writable, and PyTorch does not support non-writable tensors. This means writing to "
        "this tensor will result in undefined behavior. You may want to copy the array to protect its data or make it "
        "writable before converting it to a tensor."
    )


def as_tensor(data: Any, dtype: Any = None, device: Device = None) -> Tensor:
    """``data`` as a tensor, sharing memory where dtype and device allow."""
    if isinstance(data, Tensor):
        return data if dtype is None and device is None else data.to(device=device, dtype=dtype)
    shared = _shared(data)
    if shared is None:
        return tensor(data, dtype=dtype, device=device)
    return shared if dtype is None and device is None else shared.to(device=device, dtype=dtype)


def _shared(data: Any) -> Tensor | None:
    """A tensor of the memory of an array: NumPy's, or any library's on a GPU. None for all else."""
    if isinstance(data, np.ndarray):
        return from_numpy(data)
    if not hasattr(data, _DESCRIPTION):
        return None
    array = taken_in(data)
    _require_fit(array)
    return wrap(array)


_STAYS = (
    "torch.asarray: unspecified requires_grad now defaults to obj.requires_grad instead of False. Pass "
    "requires_grad=False explicitly to get the old behavior and silence this warning."
)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Device = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """``obj`` as a tensor: ``copy=None`` shares memory where it can, True never, False always or raises.

    A tensor stays in its graph, with a warning where ``requires_grad`` does not say so: False takes it out.

    Raises:
        DataError: where ``copy=False`` cannot be kept.
    """
    found = _aliased(obj, dtype)
    if found is None:
        if copy is False:
            raise DataError("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=dtype, device=device, requires_grad=bool(requires_grad))
    wanted = found._array.dtype if dtype is None else dt.to_numpy(dtype)
    if copy is False and wanted != found._array.dtype:
        raise DataError(f"can't alias tensor with dtype '{found.dtype}' into dtype '{dtype}'.")
    if copy and wanted == found._array.dtype and device is None:
        found = found.clone()
    elif copy:
        found = found.to(dtype=dt.known(wanted), device=device, copy=True)
    elif wanted != found._array.dtype or device is not None:
        found = found.to(dtype=dt.known(wanted), device=device)
    if requires_grad is None and found.requires_grad:
        warn(_STAYS)
    if requires_grad is False and found.requires_grad:
        return found.detach()
    return found.requires_grad_() if requires_grad and not found.requires_grad else found


def _aliased(obj: Any, dtype: Any) -> Tensor | None:
    if isinstance(obj, Tensor):
        return obj
    if (shared := _shared(obj)) is not None:
        return shared
    if isinstance(obj, bytes | bytearray | memoryview):
        return frombuffer(obj, dtype=dt.default.floating if dtype is None else dtype)
    if is_storage(obj):
        return wrap(obj.untyped()._row.view(dt.to_numpy(dt.int64 if dtype is None else dtype)))
    return None


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor of the memory of a Python buffer.

    Args:
        buffer: bytes, a bytearray, or anything else with the buffer protocol.
        dtype: how its bytes are read.
        count: how many elements; -1 for all.
        offset: bytes to leave out in front.
        requires_grad: whether operations on it are recorded.

    Raises:
        DataError: for a buffer that is too small, or not a whole number of elements.
    """
    try:
        view = memoryview(buffer)
    except TypeError:
        raise DataError("object does not implement Python buffer protocol.") from None
    kind, length = dt.to_numpy(dtype), view.nbytes
    if not length or not count:
        raise DataError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise DataError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1"
        )
    if count < 0 and (length - offset) % kind.itemsize:
        raise DataError(
            f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a multiple of element size "
            f"({kind.itemsize})"
        )
    if offset + count * kind.itemsize > length:
        raise DataError(
            f"requested buffer length ({count} * {kind.itemsize} bytes) after offset ({offset} bytes) must not be "
            f"greater than actual buffer length ({length} bytes)"
        )
    if view.readonly:
        _warn_read_only("buffer")
    read = np.frombuffer(buffer, np.uint8)[offset:]
    size = (length - offset) // kind.itemsize if count < 0 else count
    return finish(read[: size * kind.itemsize].view(kind), None, requires_grad)


def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Device = None,
    requires_grad: bool = False,
    **options: Any,
) -> Tensor:
    """A copy of ``data`` in this tensor's dtype."""
    place = self.device if device is None else device
    return tensor(data, dtype=dtype or self.dtype, device=place, requires_grad=requires_grad)


METHODS: dict[str, Any] = {"new_tensor": new_tensor}
