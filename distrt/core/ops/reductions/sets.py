"""Tensors as collections: distinct elements, membership, counts, histograms. Nothing here has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, beside, filled, is_array
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.promotion import promote
from distrt.core.errors import DimensionError, DtypeError, ShapeError, UnsupportedError
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.tensor import Tensor, wrap

__all__ = ["bincount", "isin", "unique", "unique_consecutive"]


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or the distinct slices along ``dim``; always in order.

    Args:
        input: the elements; every nan is distinct.
        sorted: whether the order matters; the result is sorted in any case.
        return_inverse: also where each element went in the result.
        return_counts: also how many of each there were.
        dim: compare slices along this dim; all elements for None.

    Returns:
        A tensor, or a tuple of what was asked for.
    """
    rows = _compared(input._array, dim, "unique")
    order = _lexical_order(rows)
    starts = _run_starts(rows[order])
    numbers = np.empty(len(rows), np.int64, like=rows)
    numbers[order] = np.cumsum(starts) - 1
    return _answers(input, rows, order[starts], numbers, starts, (return_inverse, return_counts), dim)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal elements, or of equal slices along ``dim``; results as of ``unique``."""
    rows = _compared(input._array, dim, "unique_consecutive")
    starts = _run_starts(rows)
    numbers = (np.cumsum(starts) - 1).astype(np.int64)
    return _answers(
        input, rows, np.flatnonzero(starts), numbers, starts, (return_inverse, return_counts), dim
    )


def _compared(array: Array, dim: int | None, name: str) -> Array:
    """What is compared with one another, one a row. Shape: (rows, elements of each)."""
    if array.dtype.kind == "c":
        raise UnsupportedError(f"{name}: not implemented for {dt.of(array)}")
    if dim is None:
        return array.reshape(-1, 1)
    if not array.ndim:
        raise DimensionError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis = one_dim(dim, array.ndim)
    if array.size == 0 and array.shape[axis]:
        raise ShapeError(
            f"There are 0 sized dimensions, and they aren't selected, so {name} cannot be applied"
        )
    moved = np.moveaxis(array, axis, 0)
    return moved.reshape(len(moved), int(np.prod(moved.shape[1:])))


def _lexical_order(rows: Array) -> Array:
    work = wide(rows)
    if work.shape[1] == 1:
        return np.argsort(work[:, 0], kind="stable")
    if not work.shape[1]:
        return np.arange(len(work), like=work)
    return np.lexsort(np.array(work.T[::-1], like=work))


def _run_starts(rows: Array) -> Array:
    """True where a row differs from the one before it."""
    starts = filled(len(rows), True, np.bool_, rows)
    starts[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return starts


def _answers(
    input: Any, rows: Array, firsts: Array, numbers: Array, starts: Array, wanted: Any, dim: int | None
) -> Any:
    if dim is None:
        values, numbers = rows[firsts, 0], numbers.reshape(input._array.shape)
    else:
        values = np.take(input._array, firsts, axis=dim)
    with_inverse, with_counts = wanted
    found = [values]
    if with_inverse:
        found.append(numbers)
    if with_counts:
        found.append(
            np.diff(np.append(np.flatnonzero(starts), np.asarray([len(rows)], like=rows))).astype(np.int64)
        )
    tensors = tuple([wrap(each) for each in found])
    return tensors if len(tensors) > 1 else tensors[0]


@takes_out
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """For each of ``elements`` (a tensor or a number): is it among ``test_elements``? nan is not.

    Raises:
        DtypeError: for bools and complex numbers.
    """
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin(): at least one of elements and test_elements must be a Tensor")
    for each in (elements, test_elements):
        if isinstance(each, Tensor) and each._array.dtype.kind in "bc":
            raise DtypeError(f"Unsupported input type encountered for isin(): {each.dtype}")
    return _is_in(elements, test_elements, invert)


@op()
def _is_in(input: IndexArray, others: IndexArray, invert: bool) -> Array:
    """Membership, element by element."""
    values, wanted = promote(input, others)
    values, wanted = (
        np.asarray(each, like=beside(input) if is_array(input) else beside(others))
        for each in (values, wanted)
    )
    return np.isin(wide(values), wide(wanted), invert=invert)


@op()
def bincount(input: IndexArray, weights: IndexArray = None, minlength: int = 0) -> Array:
    """How often each number from 0 to the largest occurs, or the sum of the weights at its occurrences.

    Args:
        input: 1-D, of integers that are not negative.
        weights: one for each element; the result is float32 for float32 weights, else float64.
        minlength: the least length of the result.
    """
    if input.dtype.kind not in "iu":
        raise UnsupportedError(f"bincount: not implemented for {dt.of(input)}")
    if minlength < 0:
        raise ShapeError(f"minlength should be >= 0, got {minlength}")
    if input.ndim != 1 or (input.size and input.min() < 0):
        raise ShapeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return np.bincount(input, minlength=minlength).astype(np.int64, copy=False)
    if weights.shape != input.shape:
        raise ShapeError(
            "weights should be 1-d and have the same length as input, "
            f"got {list(weights.shape)} and {list(input.shape)}"
        )
    if not input.size:
        return np.zeros(minlength, np.int64, like=input)
    kind = weights.dtype if weights.dtype == np.float32 else np.dtype(np.float64)
    return np.bincount(input, weights.astype(np.float64), minlength).astype(kind, copy=False)
