"""Sharing memory with other libraries: NumPy's protocols and DLPack. The fourth base class of ``Tensor``.

Source: https://numpy.org/doc/stable/user/basics.interoperability.html, https://dmlc.github.io/dlpack/latest/.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, memory_of, on_host, place_in, place_of, row_of
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError, DeviceError, DtypeError
from distrt.core.gpu import library
from distrt.core.sparse.array import is_sparse

_KDL_CPU, _KDL_CUDA = 1, 2
_KDL_UINT, _KDL_BFLOAT = 1, 4


class Interchange:
    """How a tensor hands its memory to other libraries."""

    _array: Array

    def numpy(self: Any, *, force: bool = False) -> Array:
        """A NumPy array of the same memory; a bfloat16 tensor gives one of ``ml_dtypes.bfloat16``.

        Raises:
            AutogradError: for a tensor that requires grad, unless ``force``.
        """
        if self._edge is not None and not force:
            raise AutogradError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        if is_sparse(self._array):
            raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")
        if self.is_meta or (self.is_cuda and not force):
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                "memory first."
            )
        return _writeable(on_host(self._array))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype, copy=copy)

    #: So that ``array * tensor`` asks the tensor, and is one.
    __array_priority__ = 1000

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """What NumPy's own functions make of a tensor is a tensor."""
        return from_array(np.asarray(array))

    @property
    def __cuda_array_interface__(self: Any) -> dict[str, Any]:
        """Where a tensor on a GPU lies: what CuPy, Numba and their like read.

        Raises:
            AttributeError: for a tensor that is not on a GPU.
        """
        if not self.is_cuda:
            raise AttributeError(
                f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {self.type()} If CUDA data is required "
                "use tensor.cuda() to copy tensor to device memory."
            )
        if self._edge is not None:
            raise RuntimeError(
                "Can't get __cuda_array_interface__ on Variable that requires grad. If gradients aren't required, use "
                "var.detach() to get Variable that doesn't require grad."
            )
        described: dict[str, Any] = self._array.__cuda_array_interface__
        return described

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        return (_KDL_CUDA, self.device.index) if self.is_cuda else (_KDL_CPU, 0)

    def __dlpack__(
        self: Any,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule of the memory.

        Raises:
            BufferError: for a tensor that requires grad, or without data; for a stream where there is none.
        """
        if self._edge is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if self.is_meta:
            raise BufferError("Cannot pack tensors on meta")
        if self.is_cuda:
            return _packed(
                self._array, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy
            )
        if stream not in (None, -1):
            raise BufferError("a tensor in the memory of the CPU has no stream: leave stream=None")
        return _packed(_writeable(self._array), max_version=max_version, dl_device=dl_device, copy=copy)


def _packed(array: Array, **asked: Any) -> Any:
    """An array's capsule. Neither NumPy nor CuPy knows bfloat16's code."""
    if array.dtype != dt.bfloat16.numpy:
        return array.__dlpack__(**asked)
    capsule = array.view(np.uint16).__dlpack__(**asked)
    _type_code(capsule).value = _KDL_BFLOAT
    return capsule


def _writeable(array: Array) -> Array:
    """Another array of the same memory: NumPy makes the arrays of expanded tensors read-only, PyTorch does not."""
    if array.flags.writeable or not memory_of(array).flags.writeable:
        return array.view()
    return place_in(row_of(array), place_of(array))


def from_array(array: Array) -> Any:
    """A tensor of this very array. Raises TypeError for an element type that tensors do not have."""
    from distrt.core.tensor import wrap

    dt.of(array)
    return wrap(array)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor of the memory of any object with ``__dlpack__``, or of a DLPack capsule.

    Raises:
        DeviceError: for memory on another device.
        DtypeError: for an element type that tensors do not have.
    """
    from distrt.core.device import require_available
    from distrt.core.gpu.places import moved, taken_in

    place = require_available(device)
    kind, number = _device_of(ext_tensor)
    if kind == _KDL_CUDA and library.find() is not None:
        array = taken_in(
            library.find().from_dlpack(ext_tensor, copy=copy)
        )  # behind what its stream has queued
        return from_array(array if device is None else moved(array, place))
    if kind != _KDL_CPU:
        raise DeviceError(f"from_dlpack: the memory is on device {(kind, number)}, which is not the CPU")
    capsule = ext_tensor if _is_capsule(ext_tensor) else _capsule_of(ext_tensor)
    return from_array(moved(_array_of(capsule, copy), place))


def _is_capsule(value: Any) -> bool:
    return type(value).__name__ == "PyCapsule"


def _device_of(ext_tensor: Any) -> tuple[int, int]:
    """The kind and the number of the device that the memory is on."""
    if _is_capsule(ext_tensor):
        return _byte_at(ext_tensor, _KIND).value, _byte_at(ext_tensor, _KIND + 4).value
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise RuntimeError(
            f"from_dlpack: expected an object with __dlpack__ or a DLPack capsule, got {type(ext_tensor).__name__}"
        )
    kind, number = ext_tensor.__dlpack_device__()
    return int(kind), number


def to_dlpack(tensor: Any) -> Any:
    """A DLPack capsule of the tensor's memory, which can be read once."""
    return tensor.__dlpack__()


def _capsule_of(producer: Any) -> Any:
    try:
        return producer.__dlpack__(max_version=(1, 0))  # the first version that says what may be written to
    except TypeError:
        return producer.__dlpack__()


class _Carrier:
    """A capsule with the methods that NumPy asks for."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **asked: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return _KDL_CPU, 0


def _array_of(capsule: Any, copy: bool | None) -> Array:
    code = _type_code(capsule)
    is_old = _name_of(capsule) == b"dltensor"
    is_bfloat16 = code.value == _KDL_BFLOAT
    if is_bfloat16:
        code.value = _KDL_UINT
    try:
        array = np.from_dlpack(_Carrier(capsule))
    except (BufferError, TypeError, ValueError) as fault:
        raise DtypeError(f"from_dlpack: this memory cannot be read as a tensor: {fault}") from None
    if is_bfloat16:
        array = array.view(dt.bfloat16.numpy)
    if copy:
        return array.copy()
    return _unlocked(array) if is_old else array


def _unlocked(array: Array) -> Array:
    """The same memory, to be written to: NumPy locks what comes in a capsule that is too old to say whether it may."""
    if not array.size:
        return array
    reach = [(size - 1) * step for size, step in zip(array.shape, array.strides, strict=True)]
    before = sum(min(each, 0) for each in reach)
    span = sum(map(abs, reach)) + array.itemsize
    memory: Any = (ctypes.c_uint8 * span).from_address(address_of(array) + before)
    memory.owner = array  # which keeps the capsule's memory alive
    return np.ndarray(array.shape, array.dtype, memory, -before, array.strides)


# Where things stand: DLTensor is {data 8, device {kind 4, number 4}, ndim 4, dtype {code 1, bits 1, lanes 2}, ...}, and
# a versioned capsule has {version 8, manager 8, deleter 8, flags 8} before it.
_STARTS = {b"dltensor": 0, b"dltensor_versioned": 32}
_KIND, _CODE = 8, 20


def _type_code(capsule: Any) -> ctypes.c_uint8:
    """The byte of a capsule that says which kind of number its elements are: NumPy does not know bfloat16's."""
    return _byte_at(capsule, _CODE)


def _byte_at(capsule: Any, offset: int) -> ctypes.c_uint8:
    """A byte of a capsule's DLTensor."""
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    name = _name_of(capsule)
    if name not in _STARTS:
        raise RuntimeError(
            "from_dlpack received an invalid capsule. A capsule can be read once only: this one was read before"
        )
    return ctypes.c_uint8.from_address(api.PyCapsule_GetPointer(capsule, name) + _STARTS[name] + offset)


def _name_of(capsule: Any) -> bytes:
    read = ctypes.pythonapi.PyCapsule_GetName
    read.restype = ctypes.c_char_p
    read.argtypes = [ctypes.py_object]
    return read(capsule)  # type: ignore[no-any-return]
