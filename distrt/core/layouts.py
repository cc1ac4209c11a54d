"""Where activations lie: in the order that kernels are fastest in, until somebody looks.

Kernels for images want the channels of a pixel side by side. A tensor whose own order would be row-major may carry its
elements in such an order, in ``_inner``, in the place of ``_array``. Operations that declare ``layouts`` (see `op`)
read that and hand it on; for everything else there is ``_array``, which is made of it, in row-major order, when it is
first read. From then on ``_inner`` is gone, so there is always one memory only, and nobody has ever seen the other.
Hence views, strides, addresses and in-place changes are those of an ordinary tensor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, row_major
from distrt.core.gpu.places import at
from distrt.core.sparse.array import is_sparse

__all__ = [
    "PlainArray",
    "are_inside",
    "channels_last",
    "empty_channels_last",
    "empty_lying",
    "is_channels_last",
    "is_seen",
    "lying",
    "seen",
    "settle",
]


#: By how many dims there are: their order, outermost first.
_CHANNELS_LAST = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


class PlainArray:
    """``Tensor._array`` where the instance has none: the elements of ``_inner`` in row-major order, from now on.

    Not a data descriptor: what an instance has comes first.
    """

    def __get__(self, tensor: Any, owner: Any = None) -> Any:
        if tensor is None:
            return self
        inner = tensor._inner
        attributes = tensor.__dict__
        if inner is not None:
            # Two threads may both come here: the first one's array is the tensor's.
            with at(inner):
                attributes.setdefault("_array", row_major(inner))
            tensor._inner = None
        try:
            return attributes["_array"]
        except KeyError:
            raise AttributeError(f"'{type(tensor).__name__}' object has no attribute '_array'") from None


def settle(tensor: Any, made: Array) -> None:
    """Gives a new tensor, whose own order is row-major, its elements as an operation has made them."""
    if made.flags.c_contiguous:
        # A dim of size 1 may have any step: it shall have the usual one.
        tensor._array = made.reshape(-1).reshape(made.shape) if 1 in made.shape else made
    elif made.ndim > 3:
        tensor._inner = made
    else:
        tensor._array = row_major(made)


def seen(tensor: Any) -> Array:
    """The elements in whichever order they lie: to be read, and not to be shown to users."""
    inner: Any = tensor._inner
    return tensor._array if inner is None else inner


def is_channels_last(array: Array) -> bool:
    """True for images or volumes whose channels lie side by side, and which are not in row-major order as well."""
    order = _CHANNELS_LAST.get(array.ndim)
    if order is None or array.flags.c_contiguous or is_sparse(array):
        return False
    return array.transpose(order).flags.c_contiguous  # type: ignore[no-any-return]


def channels_last(array: Array) -> Array:
    """The array with its channels side by side in memory: itself, or a copy."""
    order = (0, *range(2, array.ndim), 1)
    turned = array.transpose(order)
    if turned.flags.c_contiguous:
        return array
    return row_major(turned).transpose(0, array.ndim - 1, *range(1, array.ndim - 1))


def empty_channels_last(shape: tuple[int, ...], dtype: Any = np.float32, like: Array | None = None) -> Array:
    """Room for an array of this shape whose channels lie side by side."""
    if shape[1] == 1 or math.prod(shape[2:]) == 1:  # both orders at once: the steps shall be the usual ones
        return np.empty(shape, dtype, like=like)
    room: Array = np.empty((shape[0], *shape[2:], shape[1]), dtype, like=like)
    return room.transpose(0, room.ndim - 1, *range(1, room.ndim - 1))


def lying(array: Array, is_last: bool) -> Array:
    """The array with its channels side by side, or in row-major order: itself, or a copy."""
    return channels_last(array) if is_last else row_major(array)


def empty_lying(shape: tuple[int, ...], dtype: Any, is_last: bool, like: Array) -> Array:
    """Room for an array of this shape beside another one, with its channels side by side or in row-major order."""
    return empty_channels_last(shape, dtype, like) if is_last else np.empty(shape, dtype, like=like)


def is_seen(*inputs: Any) -> bool:
    """Whether an input lies with its channels last where users can see it: then so does the result."""
    return any(
        hasattr(each, "_inner") and each._inner is None and is_channels_last(each._array) for each in inputs
    )


def are_inside(*inputs: Any) -> bool:
    """Whether the inputs, of which some lie in an order that is not seen, can be taken as they lie.

    Not where another lies in an order of its own, which the result would follow: then all are made plain.
    """
    for each in inputs:
        if hasattr(each, "_inner") and each._inner is None:
            array = each._array
            if array.ndim > 1 and not array.flags.c_contiguous:
                for hidden in inputs:
                    if hasattr(hidden, "_inner"):
                        hidden._array  # noqa: B018 - makes it plain
                return False
    return True
