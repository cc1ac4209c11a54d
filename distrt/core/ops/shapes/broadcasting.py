"""Repeating without a copy: expanded views, and the shapes that tensors broadcast to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, array_module
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.pointwise.type_names import scalar_type

__all__ = ["broadcast_shapes", "broadcast_tensors", "broadcast_to", "expand", "expand_as"]


@op(view=True)
def expand(input: Array, shape: tuple[int, ...]) -> Array:
    """Dims of size 1 repeated without a copy; -1 keeps a size."""
    extra = len(shape) - input.ndim
    if extra < 0:
        raise ShapeError(
            f"expand(torch.{scalar_type(input)}Tensor{{{list(input.shape)}}}, size={list(shape)}): the number of "
            f"sizes provided ({len(shape)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({input.ndim})"
        )
    sizes = tuple(
        input.shape[n - extra] if size == -1 and n >= extra else int(size) for n, size in enumerate(shape)
    )
    if min(sizes, default=0) < 0:
        raise ShapeError(
            f"The expanded size of the tensor ({min(sizes)}) isn't allowed in a leading, non-existing dimension"
        )
    for dim, (have, want) in enumerate(zip(input.shape, sizes[extra:], strict=True)):
        if have not in (1, want):
            raise ShapeError(
                f"The expanded size of the tensor ({want}) must match the existing size ({have}) at non-singleton "
                f"dimension {dim + extra}.  Target sizes: {list(shape)}.  Tensor sizes: {list(input.shape)}"
            )
    if math.prod(sizes) == input.size:  # nothing is repeated, so the result may be written to
        grows = sizes != (1,) * extra + input.shape  # from one size to another, where there are no elements
        return input.reshape(sizes) if grows else input[(None,) * extra + (...,)]
    return array_module(input).broadcast_to(input, sizes)


expand.gradient(input=lambda g: g)  # the engine sums over what was repeated


def expand_as(input: Any, other: Any) -> Any:
    """Expanded to the shape of ``other``."""
    return expand(input, tuple(other.shape))


def broadcast_to(input: Any, size: Any) -> Any:
    """``expand`` by another name."""
    return expand(input, (size,) if isinstance(size, int) else tuple(size))


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of these shapes broadcast to.

    Raises:
        ShapeError: where they do not fit.
    """
    from distrt.core.tensors.size import Size

    plain = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    if any(size < 0 for shape in plain for size in shape):
        raise ShapeError(f"Trying to create tensor with negative dimension: {plain}")
    try:
        return Size(np.broadcast_shapes(*plain))
    except ValueError:
        raise ShapeError(
            "Shape mismatch: objects cannot be broadcast to a single shape: "
            + " and ".join(str(list(shape)) for shape in plain)
        ) from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of the tensors, expanded to their common shape."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    shape = broadcast_shapes(*(each.shape for each in given))
    return tuple(expand(each, tuple(shape)) for each in given)
