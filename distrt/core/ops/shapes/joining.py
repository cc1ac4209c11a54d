"""Tensors put together, one after another or beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, array_module
from distrt.core.definitions.out import takes_out
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.pixels import cut_channels, join_channels

__all__ = [
    "block_diag",
    "cat",
    "column_stack",
    "concat",
    "concatenate",
    "dstack",
    "hstack",
    "row_stack",
    "stack",
    "vstack",
]


@op(dtype="promote", autocast="widest", layouts="follows")
def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    """The tensors one after another along ``dim``."""
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for number, each in enumerate(tensors):
        if each.ndim == 0:
            raise ShapeError(f"zero-dimensional tensor (at position {number}) cannot be concatenated")
    full = [each for each in tensors if each.shape != (0,)] or tensors  # an empty 1-D tensor fits anything
    axis = one_dim(dim, full[0].ndim)
    for number, each in enumerate(full):
        if each.ndim != full[0].ndim:
            raise ShapeError(
                f"Tensors must have same number of dimensions: got {full[0].ndim} and {each.ndim}"
            )
        for n, (have, want) in enumerate(zip(each.shape, full[0].shape, strict=True)):
            if n != axis and have != want:
                raise ShapeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {want} but got size {have} "
                    f"for tensor number {number} in the list."
                )
    joined = join_channels(full) if axis == 1 else None
    return array_module(full[0]).concatenate(full, axis=axis) if joined is None else joined


cat.gradient(tensors=lambda g, tensors_meta, dim: _cut(g, [meta.shape for meta in tensors_meta], dim))


def _cut(g: Any, shapes: list[tuple[int, ...]], dim: int) -> list[Any]:
    axis, start, pieces = dim % g.ndim, 0, []
    cut = cut_channels(g, [shape[1] for shape in shapes]) if axis == 1 and g.ndim > 3 else None
    if cut is not None:
        return cut
    for shape in shapes:
        size = 0 if shape == (0,) and g.ndim != 1 else shape[axis]
        piece = ops.index(g, (*[slice(None)] * axis, slice(start, start + size)))
        pieces.append(ops.reshape(piece, shape))
        start += size
    return pieces


@takes_out
def concat(tensors: Any, dim: int = 0) -> Any:
    """``cat`` by another name."""
    return cat(tensors, dim)


@takes_out
def concatenate(tensors: Any, dim: int = 0) -> Any:
    """``cat`` by another name."""
    return cat(tensors, dim)


@op(dtype="promote", autocast="widest")
def stack(tensors: Sequence[Array], dim: int = 0) -> Array:
    """The tensors, all of one shape, along a new ``dim``."""
    if not tensors:
        raise ShapeError("stack expects a non-empty TensorList")
    for number, each in enumerate(tensors):
        if each.shape != tensors[0].shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and "
                f"{list(each.shape)} at entry {number}"
            )
    return array_module(tensors[0]).stack(tensors, axis=one_dim(dim, tensors[0].ndim + 1))


stack.gradient(
    tensors=lambda g, tensors_meta, dim: [
        ops.index(g, (*[slice(None)] * (dim % g.ndim), number)) for number in range(len(tensors_meta))
    ]
)


def _given(name: str, tensors: Any) -> list[Any]:
    if not isinstance(tensors, list | tuple):
        raise TypeError(
            f"{name}(): argument 'tensors' must be tuple of Tensors, not {type(tensors).__name__}"
        )
    if not tensors:
        raise ShapeError(f"{name} expects a non-empty TensorList")
    return list(tensors)


@takes_out
def hstack(tensors: Any) -> Any:
    """The tensors beside one another: along dim 1, or along the only dim."""
    wide = [ops.atleast_1d(each) for each in _given("hstack", tensors)]
    return cat(wide, 0 if wide[0].ndim == 1 else 1)


@takes_out
def vstack(tensors: Any) -> Any:
    """The tensors below one another, along dim 0; a 1-d tensor is a row."""
    return cat([ops.atleast_2d(each) for each in _given("vstack", tensors)], 0)


@takes_out
def row_stack(tensors: Any) -> Any:
    """``vstack`` by another name."""
    return vstack(tensors)


@takes_out
def dstack(tensors: Any) -> Any:
    """The tensors behind one another, along dim 2."""
    return cat([ops.atleast_3d(each) for each in _given("dstack", tensors)], 2)


@takes_out
def column_stack(tensors: Any) -> Any:
    """The tensors beside one another, 1-d and 0-d ones as columns."""
    columns = [
        ops.reshape(each, (-1, 1)) if each.ndim <= 1 else each for each in _given("column_stack", tensors)
    ]
    return cat(columns, 1)


@op(dtype="promote")
def _block_diagonal(tensors: Sequence[Array]) -> Array:
    """Matrices along the diagonal, zeros elsewhere."""
    rows, columns = (sum(each.shape[n] for each in tensors) for n in (0, 1))
    whole = np.zeros((rows, columns), tensors[0].dtype, like=tensors[0])
    for each, part in zip(tensors, _blocks([each.shape for each in tensors]), strict=True):
        whole[part] = each
    return whole


def _blocks(shapes: list[tuple[int, ...]]) -> list[tuple[slice, slice]]:
    found, row, column = [], 0, 0
    for height, width in shapes:
        found.append((slice(row, row + height), slice(column, column + width)))
        row, column = row + height, column + width
    return found


_block_diagonal.gradient(
    tensors=lambda g, tensors_meta: [
        ops.index(g, part) for part in _blocks([meta.shape for meta in tensors_meta])
    ]
)


def block_diag(*tensors: Any) -> Any:
    """The tensors (of two dims at most) along the diagonal of a matrix of zeros.

    Raises:
        ShapeError: for a tensor of more than two dims.
    """
    for number, each in enumerate(tensors):
        if each.ndim > 2:
            raise ShapeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {number} has {each.ndim} "
                "dimensions"
            )
    return _block_diagonal([ops.atleast_2d(each) for each in tensors])
