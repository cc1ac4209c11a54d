"""Sorting, and searching in what is sorted. nan counts as the largest number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar, as_array, is_meta, is_on_gpu
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.along_dim import along_dim_scatter
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.tensor import Tensor, wrap

__all__ = ["argsort", "bucketize", "msort", "searchsorted", "sort", "topk"]


def sorted_order(input: Array, axis: int, descending: bool = False) -> Array:
    """Where each element of the sorted ``input`` comes from; equal ones stay in their order."""
    if used.gpu and on_gpu.ordering.suits(input):
        return on_gpu.ordering.argsort(input, axis, descending)
    if not descending:
        return np.argsort(wide(input), axis=axis, kind="stable")
    backwards = np.argsort(np.flip(wide(input), axis), axis=axis, kind="stable")
    return (input.shape[axis] - 1) - np.flip(backwards, axis)


@op()
def sort(input: Array, dim: int = -1, descending: bool = False, *, stable: bool | None = False) -> Any:
    """The elements in order along ``dim``, and where they were. Equal ones always stay in their order."""
    if input.dtype.kind == "c":
        raise DtypeError("sort(): complex numbers have no order")
    axis = one_dim(dim, input.ndim)
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64, like=input)
    order = sorted_order(input, axis, descending)
    return np.take_along_axis(input, order, axis), order


@op()
def topk(input: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The ``k`` largest (or smallest) elements along ``dim``, the most extreme first, and where they were.

    Raises:
        ShapeError: for a ``k`` that is negative or larger than the dim.
    """
    k = _as_count("topk", k)
    axis = one_dim(dim, input.ndim)
    if input.dtype.kind in "bc":
        raise DtypeError(f"topk does not support {dt.of(input)}")
    if not 0 <= k <= (input.shape[axis] if input.ndim else 1):
        raise ShapeError(f"selected index k out of range: {k} of {list(input.shape)} along dim {dim}")
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64, like=input)
    order = _first_ranks(input, k, axis, largest)
    return np.take_along_axis(input, order, axis), order


def _first_ranks(input: Array, k: int, axis: int, largest: bool) -> Array:
    """Where the first ``k`` of the sorted elements come from. Of a long dim only those are sorted."""
    size, every = input.shape[axis], (slice(None),) * axis
    if not k or 8 * k >= size or size < 512 or is_on_gpu(input):  # CuPy's argpartition is no more than a sort
        return sorted_order(input, axis, largest)[(*every, slice(k))]
    split = (size - k) if largest else k
    parted = np.argpartition(wide(input), split, axis=axis)
    chosen = np.sort(parted[(*every, slice(split, None) if largest else slice(split))], axis=axis)
    order = sorted_order(np.take_along_axis(input, chosen, axis), axis, largest)
    return np.take_along_axis(chosen, order, axis)


def _as_count(name: str, k: Any) -> int:
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise TypeError(f"{name}(): argument 'k' (position 2) must be int, not {type(k).__name__}")
    return k.__index__()  # type: ignore[no-any-return]


for _chosen in (sort, topk):
    _chosen.outputs("values", "indices")
    _chosen.gradient(
        input=lambda g_values, input_meta, indices, dim: along_dim_scatter(
            g_values, indices, input_meta.shape, dim
        )
    )


@op()
def argsort(input: IndexArray, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Array:
    """Where the elements in order along ``dim`` are. Equal ones always stay in their order."""
    if input.dtype.kind == "c":
        raise DtypeError("argsort(): complex numbers have no order")
    axis = one_dim(dim, input.ndim)
    return sorted_order(input, axis, descending) if input.ndim else np.zeros((), np.int64, like=input)


@takes_out
def msort(input: Any) -> Any:
    """The elements in order along the first dim."""
    return sort(input, 0)[0]


# Searching


@takes_out
def searchsorted(
    sorted_sequence: Any,
    input: Any | Scalar,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where each value would be inserted into a sorted sequence: before the elements equal to it, or after them.

    Args:
        sorted_sequence: 1-D, or one sequence along the last dim for each row of ``input``.
        input: the values: a tensor or a number.
        out_int32: give int32 places instead of int64 ones.
        right: after equal elements.
        side: "left" or "right", the same said in words.
        sorter: the order in which ``sorted_sequence`` is sorted, where it is not.

    Raises:
        ShapeError: where the shapes do not fit, or ``side`` contradicts ``right``.
        DtypeError: for a sorter that is not int64.
    """
    name = "torch.searchsorted()"
    if side not in (None, "left", "right"):
        raise ShapeError(f"{name}: side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise ShapeError(
            f"{name}: side and right can't be set to opposites, got side of left while right was True"
        )
    if not sorted_sequence.ndim:
        raise ShapeError(f"{name}: boundaries tensor should have positive dimension, but got 0 dimension")
    values = _as_values(name, sorted_sequence, input)
    if sorter is not None:
        _check_sorter(name, sorted_sequence, sorter)
        sorter = sorter._array
    return _searched(sorted_sequence, values, sorter, right or side == "right", out_int32)


def _as_values(name: str, sequence: Any, input: Any) -> Any:
    if not isinstance(input, Tensor):
        kind = np.result_type(sequence._array.dtype, input)
        values = wrap(np.asarray(input, kind, like=sequence._array))
    else:
        values = input
    if not values.ndim and sequence.ndim != 1:
        raise ShapeError(
            f"{name}: input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries "
            f"tensor dim({sequence.ndim})"
        )
    if sequence.ndim != 1 and sequence.shape[:-1] != values.shape[:-1]:
        raise ShapeError(
            f"{name}: boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and "
            f"input value tensor must match, but we got {list(sequence.shape)} and {list(values.shape)}"
        )
    return values


def _check_sorter(name: str, sequence: Any, sorter: Any) -> None:
    if sorter.shape != sequence.shape:
        raise ShapeError(
            f"{name}: boundary and sorter must have the same size, but got {list(sequence.shape)} and "
            f"{list(sorter.shape)}"
        )
    if sorter._array.dtype != np.int64:
        raise DtypeError(f"{name}: sorter must be a tensor of long dtype but got dtype {sorter.dtype}")
    if (
        sorter.numel()
        and not sorter.is_meta
        and not 0 <= int(sorter._array.min()) <= int(sorter._array.max()) < sequence.shape[-1]
    ):
        raise ShapeError(f"{name}: sorter index out of range")


@op()
def _searched(sequence: IndexArray, values: IndexArray, sorter: Any, right: bool, out_int32: bool) -> Array:
    """The places of ``values`` in the rows of ``sequence``."""
    if sequence.dtype.kind in "bc" or values.dtype.kind == "c":
        raise UnsupportedError(f"searchsorted: not implemented for {dt.of(sequence)} and {dt.of(values)}")
    side: Any = "right" if right else "left"
    rows = wide(sequence if sorter is None else np.take_along_axis(sequence, sorter, -1))
    if rows.ndim == 1:
        places = _in_row(rows, wide(values), side)
    elif is_meta(rows):
        places = np.empty(values.shape, np.int64, like=rows)
    else:
        count = math.prod(rows.shape[:-1])
        flat = rows.reshape(count, rows.shape[-1]), wide(values).reshape(count, values.shape[-1])
        places = np.zeros(flat[1].shape, np.int64, like=rows)
        for number, (row, wanted) in enumerate(zip(*flat, strict=True)):
            places[number] = _in_row(row, wanted, side)
        places = places.reshape(values.shape)
    places = np.where(np.isnan(values), rows.shape[-1], places)  # nothing is as large as nan
    return as_array(places).astype(np.int32 if out_int32 else np.int64, copy=False)


def _in_row(row: Array, values: Array, side: Any) -> Array:
    if is_on_gpu(row) or is_meta(row) or row.dtype.kind != "f" or not row.size or not np.isnan(row[-1]):
        found: Array = np.searchsorted(row, values, side)
        return found
    # PyTorch halves, and goes on behind what is not known to be as large: behind nan, too. NumPy stays before it.
    low = np.zeros(values.shape, np.int64)
    high = np.full(values.shape, row.size)
    while (low < high).any():
        middle = (low + high) >> 1
        there = row[np.minimum(middle, row.size - 1)]
        is_behind = ~(there > values) if side == "right" else ~(there >= values)
        is_open = low < high
        low, high = (
            np.where(is_open & is_behind, middle + 1, low),
            np.where(is_open & ~is_behind, middle, high),
        )
    return low


@takes_out
def bucketize(input: Any | Scalar, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket between sorted ``boundaries`` that each value lies in."""
    if boundaries.ndim != 1:
        raise ShapeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    if isinstance(input, Tensor):
        return _searched(boundaries, input, None, right, out_int32)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
