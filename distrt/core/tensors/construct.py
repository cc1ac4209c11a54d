"""The old constructors, which take sizes or data: ``Tensor(2, 3)``, ``FloatTensor([1, 2])``, ``x.new(3)``.

Their element type is fixed by the class, so nothing is inferred; ``distrt.tensor`` is the usual way.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.device import require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DeviceMissing, ShapeError
from distrt.core.gpu.places import moved
from distrt.core.process.determinism import fill_uninitialized


def constructed(wanted: dt.dtype, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
    """The array that an old constructor makes: uninitialised for sizes, converted for data, shared for a tensor.

    Raises:
        TypeError: for what is neither sizes nor a sequence nor a tensor.
        ShapeError: for a negative size.
    """
    wished = kwargs.pop("device", None)
    made = _constructed(wanted, args, kwargs)  # the default device is not for these, as in PyTorch
    return made if wished is None else moved(made, require_available(wished))


def _constructed(wanted: dt.dtype, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
    if "data" in kwargs and not args:
        args = (kwargs.pop("data"),)
    if "size" in kwargs and not args:
        args = tuple(kwargs.pop("size"))
    if kwargs:
        raise TypeError(f"new(): unexpected keyword arguments {', '.join(kwargs)}")
    if not args:
        return np.empty(0, wanted.numpy)
    if len(args) == 1 and not _is_size(args[0]):
        return _from_one(wanted, args[0])
    return _uninitialised(wanted, args)


def _is_size(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _uninitialised(wanted: dt.dtype, sizes: Any) -> Array:
    try:
        shape = tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise TypeError(f"new(): expected sizes as integers, got {sizes!r:.60}") from None
    if min(shape, default=0) < 0:
        raise ShapeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return fill_uninitialized(np.empty(shape, wanted.numpy))


def _from_one(wanted: dt.dtype, data: Any) -> Array:
    from distrt.core.creation import tensor
    from distrt.core.storage.storage import TypedStorage
    from distrt.core.tensor import Tensor
    from distrt.core.tensors.size import Size

    if isinstance(data, Size):
        return _uninitialised(wanted, data)
    if isinstance(data, Tensor):
        return data._array
    if isinstance(data, TypedStorage):
        return data._row
    if isinstance(data, str | bytes):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not hasattr(data, "__len__") or isinstance(data, np.generic):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    if not isinstance(data, list | tuple | np.ndarray):
        data = list(data)
    return tensor(data, dtype=wanted, device="cpu")._array


class TensorType(type):
    """The class of ``FloatTensor`` and its kin: calling one makes a tensor, ``isinstance`` asks for the dtype."""

    dtype: dt.dtype
    device_type = "cpu"

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """A tensor of this type.

        Raises:
            TypeError: for a tensor of another type.
        """
        from distrt.core.tensor import wrap

        if cls.device_type != "cpu":
            kwargs.setdefault("device", cls.device_type)
            require_built(cls)
        array = constructed(cls.dtype, args, kwargs)
        if array.dtype != cls.dtype.numpy:
            raise TypeError(f"{cls.__name__}: expected a tensor of {cls.dtype}, got one of {dt.of(array)}")
        return wrap(array)

    def __instancecheck__(cls, instance: Any) -> bool:
        if getattr(instance, "dtype", None) is not cls.dtype or not hasattr(instance, "_array"):
            return False
        return bool(instance.device.type == cls.device_type)

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__name__}'>"


def require_built(kind: TensorType) -> None:
    """Raises TypeError for a type of tensors on GPUs where there is none."""
    try:
        require_available(kind.device_type)
    except DeviceMissing:
        raise TypeError(
            f"type {kind.__module__}.{kind.__name__} not available. Torch not compiled with CUDA enabled."
        ) from None


#: PyTorch's names of tensor types, by dtype.
TYPE_NAMES: dict[dt.dtype, str] = {
    dt.bool_: "BoolTensor",
    dt.uint8: "ByteTensor",
    dt.int8: "CharTensor",
    dt.int16: "ShortTensor",
    dt.int32: "IntTensor",
    dt.int64: "LongTensor",
    dt.float16: "HalfTensor",
    dt.bfloat16: "BFloat16Tensor",
    dt.float32: "FloatTensor",
    dt.float64: "DoubleTensor",
    dt.complex64: "ComplexFloatTensor",
    dt.complex128: "ComplexDoubleTensor",
}

#: The types by name; the complex ones have a name only, as in PyTorch.
TYPES: dict[str, TensorType] = {
    name: TensorType(name, (), {"dtype": each, "__module__": "torch", "__slots__": ()})
    for each, name in TYPE_NAMES.items()
    if not each.is_complex
}

#: The same on GPUs, at ``distrt.cuda``.
CUDA_TYPES: dict[str, TensorType] = {
    name: TensorType(
        name, (), {"dtype": kind.dtype, "device_type": "cuda", "__module__": "torch.cuda", "__slots__": ()}
    )
    for name, kind in TYPES.items()
}


def __getattr__(name: str) -> TensorType:
    if name in TYPES:
        return TYPES[name]
    raise AttributeError(name)
