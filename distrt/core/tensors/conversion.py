"""Conversions of tensors: to another dtype, device, type or memory format. Bound by ``core/tensors/methods.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.device import device as device_type
from distrt.core.device import missing, require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError, DeviceError
from distrt.core.gpu import library
from distrt.core.gpu.uses import note_use
from distrt.core.ops.shapes.shape import _alias as alias
from distrt.core.process.users_code import warn
from distrt.core.storage.sharing import is_shared, share_memory_
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors import formats
from distrt.core.tensors.construct import TYPE_NAMES, TensorType, constructed
from distrt.core.tensors.history import write


def to(
    self: Tensor,
    *target: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: formats.memory_format = formats.preserve_format,
) -> Tensor:
    """This tensor with another dtype or device (or those of another tensor); itself where nothing changes.

    ``to(dtype)``, ``to(device, dtype)``, ``to(other)``, each followed by ``non_blocking`` and ``copy`` or with them
    by keyword.
    """
    device, dtype, copy = _target(target, device, dtype, copy)
    if device is not None:
        place, origin = require_available(device), self.device
        if place != origin:
            if (
                dtype is not None
                and dt.to_numpy(dtype).itemsize < self._array.itemsize
                and place.type != "cpu"
            ):
                return to(
                    cast(self, dt.to_numpy(dtype)), place, memory_format=memory_format
                )  # fewer bytes cross
            self, copy = ops.to_device(self, place, origin, non_blocking), False
    wanted = self._array.dtype if dtype is None else dt.to_numpy(dtype)
    if not isinstance(memory_format, formats.memory_format):
        raise TypeError(
            f"to(): argument 'memory_format' must be memory_format, not {type(memory_format).__name__}"
        )
    if memory_format is not formats.preserve_format:
        arranged = self if self.is_contiguous(memory_format=memory_format) else rearrange(self, memory_format)
        return arranged if wanted == self._array.dtype else cast(arranged, wanted)
    if wanted == self._array.dtype and not copy:
        return self
    return cast(self, wanted)


def _target(target: tuple[Any, ...], device: Any, dtype: Any, copy: bool) -> tuple[Any, Any, bool]:
    """The device, the dtype and whether to copy, from the positional forms of ``to``."""
    if not target:
        return device, dtype, copy
    first, *rest = target
    if isinstance(first, Tensor):
        dtype, device = first.dtype, first.device
    elif _is_dtype(first):
        dtype = first
    elif first is None or _is_device(first):
        device = first
        if rest and (rest[0] is None or _is_dtype(rest[0])):
            dtype = rest.pop(0)
    else:
        raise _no_target(target)
    if len(rest) > 2 or not all(isinstance(each, bool) for each in rest):
        raise _no_target(target)
    return device, dtype, rest[1] if len(rest) > 1 else copy


def _is_dtype(value: Any) -> bool:
    return isinstance(value, dt.dtype) or value in (float, int, bool, complex)


def _is_device(value: Any) -> bool:
    return isinstance(value, str | int | device_type) and not isinstance(value, bool)


def _no_target(target: tuple[Any, ...]) -> TypeError:
    kinds = ", ".join(type(each).__name__ for each in target)
    return TypeError(
        f"to() received an invalid combination of arguments - got ({kinds}), but expected one of: (device, dtype), "
        "(dtype), (other Tensor), each with (non_blocking, copy)"
    )


def cast(self: Tensor, wanted: np.dtype[Any]) -> Tensor:
    """A copy in another element type."""
    if self._array.dtype.kind == "c" and wanted.kind not in "cb":
        warn("Casting complex values to real discards the imaginary part")
        return ops.to_dtype(ops.real(self), wanted)  # type: ignore[no-any-return]
    return ops.to_dtype(self, wanted)  # type: ignore[no-any-return]


def rearrange(self: Tensor, wanted: formats.memory_format) -> Tensor:
    """A copy whose elements stand in memory in the order of a format.

    Raises:
        ShapeError: for channels last, where the rank is another.
    """
    return ops.clone(self, memory_format=wanted)  # type: ignore[no-any-return]


def contiguous(self: Tensor, *, memory_format: formats.memory_format = formats.contiguous_format) -> Tensor:
    """This tensor where its elements stand in the order of the format, else a copy in that order."""
    return self if self.is_contiguous(memory_format=memory_format) else rearrange(self, memory_format)


def _cast_method(wanted: dt.dtype) -> Callable[..., Tensor]:
    def method(self: Tensor, *, memory_format: formats.memory_format = formats.preserve_format) -> Tensor:
        if self._array.dtype == wanted.numpy:
            return self
        return cast(self, wanted.numpy)

    method.__doc__ = f"This tensor as {wanted}; itself where it is that already."
    return method


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
    """The name of this tensor's type; with a dtype, a type, or the name of a type, the tensor converted to it.

    A type says where, too: ``torch.cuda.FloatTensor`` is on a GPU, ``torch.FloatTensor`` in the memory of the CPU.

    Raises:
        DeviceMissing: for the type of tensors on GPUs, without one.
        ValueError: for a name that is no type.
    """
    if dtype is None:
        place = self.device.type
        kind = "sparse." if self.is_sparse else ""
        return f"torch.{'' if place == 'cpu' else place + '.'}{kind}{TYPE_NAMES[self.dtype]}"
    kind = self.device.type
    if isinstance(dtype, str):
        kind = "cuda" if dtype.startswith("torch.cuda.") else "cpu"
        names = {f"torch.{name}": each for each, name in TYPE_NAMES.items()}
        named = dtype.replace("torch.cuda.", "torch.", 1)
        if named not in names:
            raise ValueError(f"invalid type: {dtype!r}; expected a name such as 'torch.FloatTensor'")
        dtype = names[named]
    elif isinstance(dtype, TensorType):
        kind, dtype = dtype.device_type, dtype.dtype
    elif not _is_dtype(dtype):
        raise TypeError(f"dtype must be a type, str, or dtype object, got {dtype!r}")
    if kind == self.device.type or self.is_meta:
        return to(self, dtype)
    return to(self, device=kind, dtype=dtype, non_blocking=non_blocking)


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor in the dtype of another, and on its device."""
    if not isinstance(other, Tensor):
        raise TypeError(
            f"type_as(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    return to(self, other)


def cpu(self: Tensor, memory_format: formats.memory_format = formats.preserve_format) -> Tensor:
    """This tensor on the CPU; itself where it is there already."""
    return to(self, device="cpu", memory_format=memory_format)


def cuda(
    self: Tensor,
    device: Any = None,
    non_blocking: bool = False,
    memory_format: formats.memory_format = formats.preserve_format,
) -> Tensor:
    """This tensor on a GPU: the current one, or the one given; itself where it is there already.

    Raises:
        DeviceMissing: on a machine without one.
    """
    place = device_type("cuda") if device is None else device_type(device)
    if place.type != "cuda":
        raise DeviceError(f"Invalid device, must be cuda device, but got {place}")
    return to(self, device=place, non_blocking=non_blocking, memory_format=memory_format)


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """A copy in page-locked memory, for fast copies to a GPU.

    Raises:
        DeviceMissing: on a machine without a GPU.
    """
    cupy = library.find()
    if cupy is None:
        raise missing("cuda")
    room = np.frombuffer(cupy.cuda.alloc_pinned_memory(max(1, self.nbytes)), self._array.dtype, self.numel())
    room = room.reshape(self._array.shape)
    room[...] = self._array
    return wrap(room)


def record_stream(self: Tensor, stream: Any) -> None:
    """Says that a stream, other than the one in which this tensor was made, uses it.

    Its memory, once it is free, is used again only behind what that stream has queued until then.

    Raises:
        NotImplementedError: for a tensor that is not on a GPU.
    """
    if not self.is_cuda:
        raise NotImplementedError(
            f"Could not run 'aten::record_stream' with arguments from the '{self.device.type.upper()}' backend"
        )
    note_use(self._array, stream._queue)


def new(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A tensor of this one's dtype: uninitialised for sizes, converted for data; a sparse one of a sparse one."""
    if self.is_sparse:
        from distrt.core.sparse.legacy import made_of

        return made_of("new()", self.dtype, args, **kwargs)
    if not self.is_cpu:
        kwargs.setdefault("device", self.device)
    return wrap(constructed(self.dtype, args, kwargs))


def as_subclass(self: Tensor, cls: type[Tensor]) -> Any:
    """The same memory and place in the graph as an object of a subclass of ``Tensor``."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"cls must be a type that inherits from Tensor, got {cls!r}")
    made = object.__new__(cls)
    made._array, made._counter = self._array, self._counter
    if self._edge is not None:
        made._edge = alias(self)._edge  # none outside grad mode
    return made


def _make_subclass(cls: type[Tensor], data: Tensor, require_grad: bool = False) -> Any:
    """The memory of a tensor as an object of a subclass, outside the graph."""
    made: Any = as_subclass(data.detach(), cls)
    return made.requires_grad_(require_grad)


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replaces each element by what the function makes of it; slow. Returns this tensor.

    Raises:
        AutogradError: for a tensor that requires grad.
    """
    _refuse_graph("apply_", self)
    flat = self.reshape(-1).tolist()
    write(self, np.array([callable(each) for each in flat]).reshape(self._array.shape))
    return self


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replaces each element by what the function makes of it and of the other tensor's; slow. Returns this tensor.

    Raises:
        AutogradError: where one of them requires grad.
        ShapeError: where the other cannot be broadcast to this one.
    """
    _refuse_graph("map_", self)
    _refuse_graph("map_", tensor)
    other = ops.expand(tensor, tuple(self._array.shape)).reshape(-1).tolist()
    mine = self.reshape(-1).tolist()
    made = [callable(a, b) for a, b in zip(mine, other, strict=True)]
    write(self, np.array(made).reshape(self._array.shape))
    return self


def _refuse_graph(name: str, tensor: Tensor) -> None:
    if tensor._edge is not None:
        raise AutogradError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead."
        )


METHODS: dict[str, Any] = {
    **{name: _cast_method(wanted) for name, wanted in dt.CASTS.items()},
    "_make_subclass": staticmethod(_make_subclass),
    "apply_": apply_,
    "as_subclass": as_subclass,
    "contiguous": contiguous,
    "cpu": cpu,
    "cuda": cuda,
    "is_shared": lambda self: self.is_cuda or is_shared(self._array),  # a GPU's memory counts as shared
    "map_": map_,
    "new": new,
    "pin_memory": pin_memory,
    "record_stream": record_stream,
    "share_memory_": share_memory_,
    "to": to,
    "type": type_,
    "type_as": type_as,
}
