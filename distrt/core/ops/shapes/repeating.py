"""Copies of elements and reversed or turned orders: repeat, tile, roll, flip, rot90."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, is_on_gpu
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.op import op
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.shapes.dims import all_dims, one_dim, varargs
from distrt.core.tensor import Tensor, wrap

__all__ = [
    "flip",
    "fliplr",
    "flipud",
    "repeat",
    "repeat_interleave",
    "roll",
    "rot90",
    "tile",
]


@op(node="Repeat")
def _repeat(input: Array, repeats: tuple[int, ...]) -> Array:
    """The whole tensor, as often along each dim as ``repeats`` says; dims may come in front."""
    return np.tile(input, repeats)


_repeat.gradient(input=lambda g, input_meta, repeats: _summed(g, input_meta.shape, repeats))


def _summed(g: Any, shape: tuple[int, ...], repeats: tuple[int, ...]) -> Any:
    """The gradient of each element: the sum over its copies."""
    full = (1,) * (len(repeats) - len(shape)) + tuple(shape)
    apart = [size for pair in zip(repeats, full, strict=True) for size in pair]
    summed = ops.sum(ops.reshape(g, apart), tuple(range(0, len(apart), 2))) if apart else g
    return ops.reshape(summed, shape)


def repeat(input: Any, repeats: Any) -> Any:
    """The whole tensor, as often along each dim as ``repeats`` says; more repeats than dims put new dims in front.

    Raises:
        ShapeError: for fewer repeats than dims, or a negative one.
    """
    counts = varargs((repeats,))
    if len(counts) < input.ndim:
        raise ShapeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"{list(counts)} for {list(input.shape)}"
        )
    if min(counts, default=0) < 0:
        raise ShapeError(f"Trying to create tensor with negative dimension: repeats {list(counts)}")
    return _repeat(input, counts)


def tile(input: Any, dims: Any) -> Any:
    """As ``repeat``; fewer repeats than dims leave the first dims as they are."""
    counts = varargs((dims,))
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each slice along ``dim`` (each element of the row, without one) as often as ``repeats`` says, side by side.

    With one tensor of counts alone: the positions, each as often as its count.

    Raises:
        ShapeError: for negative counts, or another number of counts than slices.
        DtypeError: for counts that are not integers.
    """
    if repeats is None:
        with at(input._array):
            return wrap(_positions(input, len(input._array), input._array, output_size))
    if not isinstance(repeats, int | Tensor):
        raise TypeError(f"repeat_interleave(): repeats must be int or Tensor, not {type(repeats).__name__}")
    if dim is None:
        input, dim = ops.reshape(input, (-1,)), 0
    axis = one_dim(dim, input.ndim)
    with at(input._array):
        places = _positions(repeats, input.shape[axis] if input.ndim else 1, input._array, output_size)
    if input.ndim == 0:
        input = ops.reshape(input, (1,))
    return ops.index_select(input, axis, places)


def _positions(repeats: Any, size: int, like: Array, output_size: int | None) -> Array:
    """The number of each slice, as often as it is repeated, where another array is.

    Counts on a GPU stay there; the program waits for their sum alone, and not for that where ``output_size`` is given.
    """
    counts = repeats._array if isinstance(repeats, Tensor) else np.asarray(repeats)
    if counts.dtype not in (np.int64, np.int32):
        raise DtypeError("repeats has to be Long or Int tensor")
    if counts.ndim > 1:
        raise ShapeError("repeat_interleave only accept 1D vector as repeat")
    require_range(counts, 0, np.iinfo(counts.dtype).max, "repeats can not be negative", error=ShapeError)
    if counts.ndim and counts.size not in (1, size):
        raise ShapeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {counts.size} and "
            f"input.size(0) = {size}"
        )
    if is_on_gpu(counts):
        return _positions_there(counts, size, output_size)
    if counts.size == 1:
        places = np.repeat(
            np.arange(size, like=like if is_on_gpu(like) else None), int(counts.reshape(-1)[0])
        )
    else:
        places = np.repeat(np.arange(size), counts)
    if output_size is not None and output_size != places.size:
        raise ShapeError(f"{_OTHER_SIZE}{output_size}")
    return np.asarray(places, like=like)


_OTHER_SIZE = "repeat_interleave: allocated size does not match required size: "


def _positions_there(counts: Array, size: int, output_size: int | None) -> Array:
    ends = np.cumsum(np.broadcast_to(counts.reshape(-1), (size,)), dtype=np.int64)
    if output_size is None:
        output_size = int(ends[-1]) if size else 0
    else:
        require_range(
            ends[-1:], output_size, output_size + 1, f"{_OTHER_SIZE}{output_size}", error=ShapeError
        )
    return np.searchsorted(ends, np.arange(output_size, like=ends), side="right")


@op(node="Roll")
def _roll(input: Array, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    """Elements moved along the dims; those pushed out come in at the other end."""
    return np.roll(input, shifts, dims)


_roll.gradient(input=lambda g, shifts, dims: _roll(g, tuple(-shift for shift in shifts), dims))


def roll(input: Any, shifts: Any, dims: Any = ()) -> Any:
    """Elements moved by ``shifts`` along ``dims`` (in the row of all elements without dims), those pushed out come in
    at the other end.

    Raises:
        ShapeError: for another number of shifts than dims, or none.
    """
    moves = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (dims,) if isinstance(dims, int) else tuple(dims if dims is not None else ())
    if not moves:
        raise ShapeError("`shifts` required")
    if not axes and len(moves) == 1:
        return ops.reshape(_roll(ops.reshape(input, (-1,)), moves, (0,)), tuple(input.shape))
    if len(axes) != len(moves):
        raise ShapeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}")
    places = tuple(one_dim(dim, input.ndim) for dim in axes)
    if input.ndim == 0:
        raise DimensionError(f"Dimension specified as {axes[0]} but tensor has no dimensions")
    return _roll(input, moves, places)


@op(node="Flip")
def _flip(input: Array, dims: tuple[int, ...]) -> Array:
    """The order along the dims reversed."""
    return np.flip(input, dims).copy()


_flip.gradient(input=lambda g, dims: _flip(g, dims))


def flip(input: Any, dims: Any) -> Any:
    """The order along each of ``dims`` reversed, in memory of its own.

    Raises:
        ShapeError: for a dim that is named twice.
    """
    if isinstance(dims, int):
        raise TypeError("flip(): argument 'dims' (position 2) must be tuple of ints, not int")
    wanted = varargs((dims,))
    return _flip(input, all_dims(wanted, input.ndim) if wanted else ())


def fliplr(input: Any) -> Any:
    """The order along dim 1 reversed."""
    if input.ndim < 2:
        raise ShapeError("Input must be >= 2-d.")
    return _flip(input, (1,))


def flipud(input: Any) -> Any:
    """The order along dim 0 reversed."""
    if input.ndim < 1:
        raise ShapeError("Input must be >= 1-d.")
    return _flip(input, (0,))


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """The plane of two dims turned by ``k`` quarters, from the first dim towards the second.

    Raises:
        ShapeError: for other than two different dims.
    """
    wanted = tuple(dims)
    if len(wanted) != 2:
        raise ShapeError(f"expected total rotation dims == 2, but got dims = {len(wanted)}")
    if input.ndim < 2:
        raise ShapeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if wanted[0] == wanted[1] or abs(wanted[0] - wanted[1]) == input.ndim:
        raise ShapeError(
            f"expected rotation dims to be different, but got dim0 = {wanted[0]} and dim1 = {wanted[1]}"
        )
    first, second = (one_dim(dim, input.ndim) for dim in wanted)
    turns = k % 4
    if turns == 1:
        return ops.transpose(_flip(input, (second,)), first, second)
    if turns == 2:
        return _flip(input, (first, second))
    if turns == 3:
        return ops.transpose(_flip(input, (first,)), first, second)
    return ops.clone(input)
