"""Picking elements along one dim by index, and putting them back: how sorting and selecting are differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.shapes.dims import one_dim

__all__ = ["along_dim_add", "along_dim_pick", "along_dim_scatter"]


@op()
def along_dim_pick(input: Array, indices: IndexArray, dim: int, distinct: bool = True) -> Array:
    """The elements along ``dim`` at ``indices``; these are ``distinct`` along it, or may repeat."""
    if not input.ndim:
        return input.reshape(indices.shape) if distinct else np.broadcast_to(input, indices.shape).copy()
    return np.take_along_axis(input, indices, one_dim(dim, input.ndim))


@op()
def along_dim_scatter(input: Array, indices: IndexArray, shape: tuple[int, ...], dim: int) -> Array:
    """Zeros of ``shape`` with ``input`` put along ``dim`` at ``indices``, which are distinct."""
    if not shape:
        return input.reshape(())
    scattered = np.zeros(shape, input.dtype, like=input)
    np.put_along_axis(scattered, indices, input, one_dim(dim, len(shape)))
    return scattered


@op()
def along_dim_add(input: Array, indices: IndexArray, shape: tuple[int, ...], dim: int) -> Array:
    """Zeros of ``shape`` with ``input`` added along ``dim`` at ``indices``, which may repeat."""
    if not shape:
        return input.sum(dtype=input.dtype)
    summed = np.zeros(shape, input.dtype, like=input)
    axis = one_dim(dim, len(shape))
    places: list[Any] = list(np.ogrid[tuple(map(slice, indices.shape))])
    places[axis] = indices
    add_at(summed, tuple(places), input)
    return summed


along_dim_pick.gradient(
    input=lambda g, indices, input_meta, dim, distinct: (along_dim_scatter if distinct else along_dim_add)(
        g, indices, input_meta.shape, dim
    )
)
along_dim_scatter.gradient(input=lambda g, indices, dim: along_dim_pick(g, indices, dim))
along_dim_add.gradient(input=lambda g, indices, dim: along_dim_pick(g, indices, dim, False))
