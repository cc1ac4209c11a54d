"""Views by geometry: the elements that sizes and strides pick out of another tensor's memory, and writing there.

The history of a tensor that was changed through a view is made of these (``core/tensors/rebase.py``);
``as_strided`` and ``unfold`` are the public ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, Scalar, as_strided_view
from distrt.core.definitions.out import takes_out
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.tensor import Tensor, address_of, memory_of

__all__ = [
    "as_strided",
    "as_strided_scatter",
    "strided_add",
    "strided_pick",
    "strided_put",
    "strided_view",
    "unfold",
]


class Geometry(NamedTuple):
    """Where the elements of a view lie in the memory of its base. All steps count elements, not bytes."""

    base_shape: tuple[int, ...]
    base_strides: tuple[int, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int  # from the base's first element to the view's


def geometry_of(view: Array, base: Array) -> Geometry:
    """How an array lies in the memory of another of the same dtype."""
    itemsize = base.itemsize
    return Geometry(
        base.shape,
        tuple(step // itemsize for step in base.strides),
        view.shape,
        tuple(step // itemsize for step in view.strides),
        (address_of(view) - address_of(base)) // itemsize,
    )


def _as_base(array: Array, geometry: Geometry) -> Array:
    """The values in an array that lies in memory as the base does."""
    itemsize = array.itemsize
    if array.strides == tuple(step * itemsize for step in geometry.base_strides):
        return array
    base = _zeros(geometry, array.dtype, array)
    base[...] = array
    return base


def _zeros(geometry: Geometry, dtype: np.dtype[Any], like: Array) -> Array:
    """Zeros that lie in memory as the base does."""
    return _part(np.zeros(_extent(geometry), dtype, like=like), geometry.base_shape, geometry.base_strides, 0)


def _extent(geometry: Geometry) -> int:
    """How many elements the base's memory and the view's span from the base's first element on."""
    ends = [_last(geometry.base_shape, geometry.base_strides)]
    ends.append(geometry.offset + _last(geometry.shape, geometry.strides))
    return max(ends) + 1


def _last(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    return sum((size - 1) * step for size, step in zip(shape, strides, strict=True)) if 0 not in shape else 0


def _part(memory: Array, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Array:
    """The elements at an offset from the first of ``memory``, which may be of any shape."""
    itemsize = memory.itemsize
    steps = tuple(step * itemsize for step in strides)
    if 0 in shape:
        return np.zeros(shape, memory.dtype, like=memory)
    start = as_strided_view(memory, (1,), (itemsize,)) if not offset else _beyond(memory, offset)
    return as_strided_view(start, shape, steps)


def _beyond(memory: Array, offset: int) -> Array:
    return as_strided_view(memory, (offset + 1,), (memory.itemsize,))[offset:]


def _overlaps(geometry: Geometry) -> bool:
    """True where two elements of the view may share memory (expanded dims, overlapping windows)."""
    reach = 0
    for step, size in sorted(zip(geometry.strides, geometry.shape, strict=True)):
        if size > 1:
            if step <= reach:
                return True
            reach += (size - 1) * step
    return False


@op(view=True, node="AsStrided")
def strided_view(input: Array, geometry: Geometry) -> Array:
    """The elements that the geometry picks, in the same memory."""
    return _part(input, geometry.shape, geometry.strides, geometry.offset)


@op(node="AsStrided")
def strided_pick(input: Array, geometry: Geometry) -> Array:
    """A copy of the elements that the geometry picks out of an array of the base's shape."""
    return _part(_as_base(input, geometry), geometry.shape, geometry.strides, geometry.offset).copy()


@op()
def strided_add(input: Array, geometry: Geometry) -> Array:
    """Zeros of the base's shape, with ``input`` added where the geometry says."""
    total = _zeros(geometry, input.dtype, input)
    if not _overlaps(geometry):
        _part(total, geometry.shape, geometry.strides, geometry.offset)[...] = input
        return total
    extent = _extent(geometry)
    places = _part(np.arange(extent, like=input), geometry.shape, geometry.strides, geometry.offset)
    flat = np.zeros(extent, input.dtype, like=input)
    add_at(flat, places.reshape(-1), input.reshape(-1))
    total[...] = _part(flat, geometry.base_shape, geometry.base_strides, 0)
    return total


@op(node="CopySlices")
def strided_put(input: Array, values: Array | Scalar, geometry: Geometry) -> Array:
    """A copy of ``input`` (of the base's shape) with ``values`` where the geometry says."""
    changed = _zeros(geometry, input.dtype, input)
    changed[...] = input
    _part(changed, geometry.shape, geometry.strides, geometry.offset)[...] = values
    return changed


strided_view.gradient(input=lambda g, geometry: strided_add(g, geometry))
strided_pick.gradient(input=lambda g, geometry: strided_add(g, geometry))
strided_add.gradient(input=lambda g, geometry: strided_pick(g, geometry))
strided_put.gradient(
    input=lambda g, geometry: strided_put(g, 0.0, geometry),
    values=lambda g, geometry: strided_pick(g, geometry),
)


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the tensor's storage with any sizes and steps (in elements).

    Raises:
        ShapeError: where it would reach beyond the storage.
    """
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise ShapeError(f"mismatch in length of strides and shape: {list(size)} and {list(stride)}")
    if any(step < 0 for step in stride):
        raise ShapeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}"
        )
    start = input.storage_offset()
    offset = start if storage_offset is None else storage_offset
    needed = offset + _last(size, stride) + 1 if 0 not in size else 0
    held = memory_of(input._array).size
    if offset < 0 or needed > held:
        raise ShapeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{input.element_size()} requiring a storage size of {needed * input.element_size()} are out of bounds for "
            f"storage of size {held * input.element_size()}"
        )
    base = input if input._base is None else input._base
    if input.requires_grad and not base.requires_grad and offset >= start:
        base = input  # a leaf that is itself a view: the gradient is its own
    whole = geometry_of(input._array, base._array)
    geometry = whole._replace(shape=size, strides=stride, offset=offset - base.storage_offset())
    return strided_view(base, geometry)  # type: ignore[no-any-return]


@takes_out
def as_strided_scatter(
    input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None
) -> Any:
    """A copy of ``input`` with ``src`` in the place of ``input.as_strided(size, stride, storage_offset)``."""
    picked = as_strided(input.detach(), size, stride, storage_offset)
    if tuple(src.shape) != tuple(picked.shape):
        raise ShapeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = "
            f"{list(picked.shape)}"
        )
    return strided_put(input, src, geometry_of(picked._array, input._array))


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """A view of all windows of ``size`` along ``dimension``, ``step`` apart; the windows' own dim comes last.

    Raises:
        ShapeError: for a window larger than the dim, or a step that is not positive.
    """
    axis = one_dim(dimension, input.ndim)
    length = input.shape[axis] if input.ndim else 1
    if size < 0:
        raise ShapeError(f"size is {size} but must be >= 0")
    if size > length:
        raise ShapeError(f"maximum size for tensor at dimension {axis} is {length} but size is {size}")
    if step <= 0:
        raise ShapeError(f"step is {step} but must be > 0")
    array = input._array if isinstance(input, Tensor) else input
    whole = geometry_of(array, array)
    shape, strides = list(whole.shape) or [1], list(whole.strides) or [1]
    shape[axis] = (length - size) // step + 1
    inner = strides[axis]
    strides[axis] = inner * step
    if not input.ndim:
        shape, strides = [], []
    return strided_view(input, whole._replace(shape=(*shape, size), strides=(*strides, inner)))
