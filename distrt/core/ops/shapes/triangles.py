"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, beside, through_bits
from distrt.core.definitions.out import takes_out
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.shapes.dims import one_dim

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "diagonal_scatter", "tril", "triu"]


def _require_matrix(name: str, input: Array) -> None:
    if input.ndim < 2:
        raise ShapeError(f"{name}: input tensor must have at least 2 dimensions, but got {list(input.shape)}")


@op()
def tril(input: Array, diagonal: int = 0) -> Array:
    """The elements on and below a diagonal of each matrix, zeros above; ``diagonal`` counts upwards."""
    _require_matrix("tril", input)
    return through_bits(lambda bits: np.tril(bits, diagonal), input.dtype, input)


@op()
def triu(input: Array, diagonal: int = 0) -> Array:
    """The elements on and above a diagonal of each matrix, zeros below; ``diagonal`` counts upwards."""
    _require_matrix("triu", input)
    return through_bits(lambda bits: np.triu(bits, diagonal), input.dtype, input)


tril.gradient(input=lambda g, diagonal: tril(g, diagonal))
triu.gradient(input=lambda g, diagonal: triu(g, diagonal))


def _two_dims(dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    first, second = one_dim(dim1, ndim), one_dim(dim2, ndim)
    if first == second:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return first, second


@op(view=True)
def diagonal(input: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The diagonal of the planes of two dims, as the last dim of a view.

    Raises:
        ShapeError: for the same dim twice.
        DimensionError: for a dim that is not there.
    """
    first, second = _two_dims(dim1, dim2, input.ndim)
    height, width = input.shape[first], input.shape[second]
    length = max(min(height, width - offset) if offset >= 0 else min(height + offset, width), 0)
    if not length:
        rest = [size for dim, size in enumerate(input.shape) if dim not in (first, second)]
        return np.empty((*rest, 0), input.dtype, like=input)
    found = input.diagonal(offset, first, second)
    if isinstance(input, np.ndarray) and input.flags.writeable:
        found.flags.writeable = True  # NumPy gives a view that refuses to be written to
    return found


@op()
def _on_diagonal(input: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Zeros of ``shape`` with ``input`` on a diagonal."""
    whole = np.zeros(shape, input.dtype, like=input)
    diagonal(whole, offset, dim1, dim2)[...] = input
    return whole


diagonal.gradient(
    input=lambda g, input_meta, offset, dim1, dim2: _on_diagonal(g, input_meta.shape, offset, dim1, dim2)
)
_on_diagonal.gradient(input=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2))


@takes_out
def diag(input: Any, diagonal: int = 0) -> Any:
    """A vector on a diagonal of a matrix of zeros, or a copy of the diagonal of a matrix.

    Raises:
        ShapeError: for other than one or two dims.
    """
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise ShapeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return ops.contiguous(ops.clone(ops.diagonal(input, diagonal)))


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The last dim on a diagonal of a plane of two new dims, among zeros.

    Raises:
        ShapeError: for the same dim twice.
        DimensionError: for a dim that is not there.
    """
    ndim = input.ndim + 1
    first, second = _two_dims(dim1, dim2, ndim)
    size = input.shape[-1] + abs(offset)
    rest = list(input.shape[:-1])
    for dim in sorted((first, second)):
        rest.insert(dim, size)
    return _on_diagonal(input, tuple(rest), offset, dim1, dim2)


def diagflat(input: Any, offset: int = 0) -> Any:
    """All elements on a diagonal of a matrix of zeros."""
    return diag_embed(ops.reshape(input, (-1,)), offset)


@op(node="DiagonalScatter")
def _diagonal_put(input: Array, src: Array, offset: int, dim1: int, dim2: int) -> Array:
    """``input`` with ``src`` on a diagonal."""
    changed = input.copy()
    target = diagonal(changed, offset, dim1, dim2)
    if target.shape != src.shape:
        raise ShapeError(
            "expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(target.shape)}"
        )
    target[...] = src
    return changed


_diagonal_put.gradient(
    input=lambda g, src_meta, offset, dim1, dim2: _diagonal_put(
        g, np.zeros(src_meta.shape, src_meta.dtype, like=beside(g)), offset, dim1, dim2
    ),
    src=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2),
)


@takes_out
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of ``input`` with ``src`` on the diagonal of the planes of two dims."""
    return _diagonal_put(input, src, offset, dim1, dim2)
