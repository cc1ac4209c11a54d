"""What a file may have built: PyTorch's rebuilding functions, each with its arguments checked first.

A function here is the only thing that a file can call by PyTorch's name. Sizes, strides and offsets must lie inside the
storage; what copies data counts against a budget (``Budget``), so that a small file cannot ask for a large memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Place, place_in
from distrt.core.creation import empty_strided
from distrt.core.device import META
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import CheckpointError
from distrt.core.random.generator import Generator
from distrt.core.sparse.creation import sparse_coo_tensor, sparse_csc_tensor, sparse_csr_tensor
from distrt.core.storage.copying import OWN
from distrt.core.storage.storage import TypedStorage
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors import formats
from distrt.core.tensors.formats import layout
from distrt.files.faults import quoted
from distrt.files.names import name_as

_MOST_DIMS = 64  # NumPy's limit, and PyTorch's


class Budget:
    """How many bytes may be made by copying: a multiple of the file's size."""

    def __init__(self, file_size: int) -> None:
        self.left = 8 * file_size + (1 << 20)

    def spend(self, size: int) -> None:
        """Takes part of it.

        Raises:
            CheckpointError: where not enough is left.
        """
        self.left -= size
        if self.left < 0:
            raise CheckpointError("the file would become many times its size in memory; it is refused")


@name_as("torch._utils", "_rebuild_tensor_v2")
def tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    backward_hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    """A tensor that lies in a storage; offset and strides in elements."""
    return _tensor(storage, storage_offset, size, stride, requires_grad, None, metadata)


@name_as("torch._utils", "_rebuild_tensor")
def tensor_v1(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Tensor:
    """The same, from before tensors could require grad."""
    return _tensor(storage, storage_offset, size, stride, False, None, None)


@name_as("torch._utils", "_rebuild_tensor_v3")
def tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    """The same, for dtypes that have no class of storages."""
    if not isinstance(dtype, dt.dtype):
        raise CheckpointError(f"the file has a tensor of dtype {quoted(dtype)}, which distrt does not have")
    return _tensor(storage, storage_offset, size, stride, requires_grad, dtype, metadata)


@name_as("torch._C", "Generator")
def generator(device: Any) -> Generator:
    """A generator of random numbers, which gets its state afterwards; those of GPUs draw by other means."""
    if str(device) != "cpu":
        raise CheckpointError(
            f"a generator of the device {quoted(device)} cannot be read: distrt has the CPU's"
        )
    return Generator()


def put_in_place(made: Generator, state: Any) -> Generator:
    """The generator where the file's stood."""
    if type(state) is not tuple or len(state) != 3 or not isinstance(state[2], Tensor):
        raise CheckpointError(f"a generator's state is its seed, None and a tensor, got {quoted(state)}")
    return made.set_state(state[2])


@name_as("torch._utils", "_rebuild_parameter")
def parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Any:
    """A parameter over the memory of a tensor."""
    from distrt.nn.parameter import Parameter

    if not isinstance(data, Tensor) or not isinstance(requires_grad, bool):
        raise CheckpointError(f"a parameter needs a tensor and a bool, got {quoted(data)}")
    return Parameter(data, requires_grad)


@name_as("torch._utils", "_rebuild_parameter_with_state")
def parameter_with_state(data: Any, requires_grad: Any, backward_hooks: Any, state: Any) -> Any:
    """A parameter with what users have put on it."""
    return put_attributes(parameter(data, requires_grad, backward_hooks), state)


@name_as("torch._tensor", "_rebuild_from_type_v2")
def from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor of a subclass, or one with what users have put on it."""
    if function not in _OF_TENSORS or not isinstance(arguments, tuple):
        raise CheckpointError(f"a tensor cannot be made by {quoted(function)}")
    if not isinstance(kind, type) or not issubclass(kind, Tensor):
        raise CheckpointError(f"{quoted(kind)} is no class of tensors")
    made = function(*arguments)
    if type(made) is not kind:
        made = made.as_subclass(kind).requires_grad_(made.requires_grad)
    restore = getattr(kind, "__setstate__", None)
    if restore is not None:
        restore(made, state)
        return made
    return put_attributes(made, state)


@name_as("torch.serialization", "_get_layout")
def layout_named(name: Any) -> layout:
    """A layout by what it prints as."""
    found = getattr(formats, str(name).removeprefix("torch."), None)
    if not isinstance(found, layout):
        raise CheckpointError(f"there is no layout {quoted(name)}")
    return found


@name_as("torch._utils", "_rebuild_device_tensor_from_cpu_tensor")
def device_tensor(data: Any, dtype: Any, device: Any, requires_grad: Any) -> Any:
    """A tensor of a device without storages of its own, such as a TPU: here it stays on the CPU."""
    if not isinstance(data, Tensor) or not isinstance(dtype, dt.dtype):
        raise CheckpointError(f"a tensor of another device needs a tensor and a dtype, got {quoted(data)}")
    if data.dtype is not dtype:
        raise CheckpointError(f"the file has a tensor of {data.dtype} that it calls one of {dtype}")
    return data.detach().requires_grad_(bool(requires_grad))


@name_as("distrt.distributed.tensor", "from_description")
def part(local: Any, ranks: Any, names: Any, placed: Any, shape: Any, is_parameter: Any) -> Any:
    """A rank's part of a tensor (a ``DTensor``), and where the others are."""
    from distrt.parallel.distributed_tensors.describing import from_description

    if not isinstance(local, Tensor) or not isinstance(is_parameter, bool):
        raise CheckpointError(f"a part of a tensor needs a tensor and a bool, got {quoted(local)}")
    try:
        return from_description(local, ranks, names, placed, shape, is_parameter)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the file says nonsense of where a tensor lies: {quoted(error)}") from None


@name_as("torch._utils", "_rebuild_meta_tensor_no_storage")
def meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Tensor:
    """A tensor without data; strides in elements."""
    if not isinstance(dtype, dt.dtype) or not isinstance(requires_grad, bool):
        raise CheckpointError(f"a tensor on the meta device needs a dtype and a bool, got {quoted(dtype)}")
    sizes, steps = _sizes_and_steps(size, stride, dtype.itemsize)
    made = empty_strided(sizes, steps, dtype=dtype, device=META)
    return made.requires_grad_() if requires_grad else made


@name_as("torch._utils", "_rebuild_sparse_tensor")
def sparse_tensor(layout: Any, data: Any) -> Tensor:
    """A sparse tensor of its parts, of which every index is looked at."""
    functions: dict[Any, Any] = {
        formats.sparse_coo: sparse_coo_tensor,
        formats.sparse_csr: sparse_csr_tensor,
        formats.sparse_csc: sparse_csc_tensor,
    }
    count = 2 if layout is formats.sparse_coo else 3
    if layout not in functions:
        raise CheckpointError(f"the file holds a sparse tensor of the layout {quoted(layout)}")
    is_whole = isinstance(data, tuple) and count < len(data) <= count + (count == 2) + 1
    if not is_whole or not all(isinstance(each, Tensor) for each in data[:count]):
        raise CheckpointError(f"a sparse tensor needs {count} tensors and a size, got {quoted(data)}")
    options = {"is_coalesced": bool(data[3])} if len(data) > count + 1 else {}
    size = _integers("a size", tuple(data[count]) if isinstance(data[count], tuple) else data[count])
    try:
        return functions[layout](*data[:count], size, check_invariants=True, **options)  # type: ignore[no-any-return]
    except (IndexError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"the file holds a sparse tensor whose parts do not fit: {error}") from None


_OF_TENSORS = frozenset(
    (
        tensor_v1,
        tensor_v2,
        tensor_v3,
        parameter,
        parameter_with_state,
        device_tensor,
        meta_tensor,
        sparse_tensor,
    )
)

#: What a file may call with arguments of its own choice.
CALLABLE = frozenset((*_OF_TENSORS, from_type, generator, layout_named, part))

_LEFT_OUT = {
    "_rebuild_qtensor": "quantised tensors",
    "_rebuild_nested_tensor": "nested tensors",
    "_rebuild_wrapper_subclass": "wrapped tensors",
    "_rebuild_device_tensor_from_numpy": "tensors of other devices as NumPy arrays",
}


def why_not(module: str, name: str) -> str | None:
    """What distrt lacks that a name in a file stands for; None where it is not that."""
    if module == "torch._utils" and name in _LEFT_OUT:
        return f"the file holds {_LEFT_OUT[name]}, which distrt does not have"
    if module == "torch" and name.startswith(("float", "complex", "q", "bits", "int", "uint")):
        return f"the file holds torch.{name}, which distrt does not have"
    return None


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    dtype: dt.dtype | None,
    metadata: Any,
) -> Tensor:
    if not isinstance(storage, TypedStorage):
        raise CheckpointError(f"a tensor needs a storage, got {quoted(storage)}")
    if not isinstance(requires_grad, bool):
        raise CheckpointError(f"requires_grad must be a bool, got {quoted(requires_grad)}")
    array = _located(storage, dtype or storage.dtype, offset, size, stride)
    for name in metadata or ():  # PyTorch's views that conjugate and negate when they are read
        if name not in ("conj", "neg") or array.nbytes > storage.nbytes():
            raise CheckpointError(
                f"the file holds a view of a kind that distrt does not have: {quoted(metadata)}"
            )
        if metadata[name]:
            array = np.conj(array) if name == "conj" else np.negative(array)
    made = wrap(array)
    return made.requires_grad_() if requires_grad else made


def _located(storage: TypedStorage, dtype: dt.dtype, offset: Any, size: Any, stride: Any) -> Any:
    """The elements of a storage at a place, which must lie inside it."""
    itemsize, room = dtype.itemsize, storage.nbytes()
    sizes, steps = _sizes_and_steps(size, stride, itemsize)
    (start,) = _integers("a storage offset", (offset,))
    if 0 in sizes:
        return np.empty(sizes, dtype.numpy, like=storage._row)
    needed = start + sum((each - 1) * step for each, step in zip(sizes, steps, strict=True)) + 1
    if needed * itemsize > room:
        raise CheckpointError(
            f"setStorage: sizes {quoted(list(sizes))}, strides {quoted(list(steps))}, storage offset {start}, and "
            f"itemsize {itemsize} requiring a storage size of {needed * itemsize} are out of bounds for storage of "
            f"size {room}"
        )
    place = Place(sizes, tuple(step * itemsize for step in steps), start * itemsize, dtype.numpy)
    return place_in(storage._row, place)


def _sizes_and_steps(size: Any, stride: Any, itemsize: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes, steps = _integers("sizes", size), _integers("strides", stride)
    if len(sizes) != len(steps) or len(sizes) > _MOST_DIMS:
        raise CheckpointError(f"a tensor of sizes {quoted(sizes)} cannot have the strides {quoted(steps)}")
    reach = sum((each - 1) * step for each, step in zip(sizes, steps, strict=True) if each)
    if max(math.prod(max(each, 1) for each in sizes), reach) * itemsize >= 2**63:
        raise CheckpointError(f"a tensor of sizes {quoted(sizes)} is larger than any memory")
    return sizes, steps


def _integers(what: str, values: Any) -> tuple[int, ...]:
    """Sizes, strides or an offset from a file: integers that are not negative.

    Raises:
        CheckpointError: for anything else.
    """
    if not isinstance(values, tuple | list) or not all(
        type(each) is int and 0 <= each < 2**63 for each in values
    ):
        raise CheckpointError(f"expected {what} as integers that are not negative, got {quoted(values)}")
    return tuple(values)


def put_attributes(target: Any, state: Any) -> Any:
    """Puts on a tensor what users had put on it."""
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for each in (attributes, slots):
        if each is not None and not isinstance(each, dict):
            raise CheckpointError(f"attributes must be a dict, got {quoted(each)}")
        for name, value in (each or {}).items():
            if not isinstance(name, str) or name in OWN or name.startswith("__"):
                raise CheckpointError(f"the file sets {quoted(name)} of a tensor")
            vars(target)[name] = value
    return target
