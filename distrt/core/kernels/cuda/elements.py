"""Element by element on GPUs, where the elements lie: CuPy's own results are in row-major order whatever is given.

Images in the order of kernels (channels last) would be turned over by every sum and every relu, and back by the next
convolution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.arrays import Array, dense_like, dim_order, is_dense, is_on_gpu
from distrt.core.dtypes.promotion import are_mixed
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, aligned, kernel

__all__ = ["as_they_lie", "keep_nonzero", "over", "suits"]

_THREADS = 256
_VECTOR_BYTES = 16


def as_they_lie(function: Callable[..., Any], *values: Any) -> Any:
    """``function(*values)``, element by element: the result lies as the arrays do, where these lie alike."""
    arrays = [each for each in values if is_on_gpu(each) and each.ndim]
    if len(arrays) == 2 and are_mixed(*arrays):
        function = functools.partial(function, dtype=np.float32)
    order = _order_of(arrays)
    if order is None:
        return function(*values)
    return function(*_turned(values, order)).transpose(np.argsort(order).tolist())


def over(function: Callable[..., Any], first: Array, *others: Any) -> Array:
    """The same, written over the first array, whose shape and dtype the result must have."""
    values = (first, *others)
    order = _order_of([each for each in values if is_on_gpu(each) and each.ndim])
    first, *others = values if order is None else _turned(values, order)  # type: ignore[assignment]
    function(first, *others, out=first, dtype=first.dtype)
    return values[0]


def _turned(values: tuple[Any, ...], order: list[int]) -> tuple[Any, ...]:
    return tuple(each.transpose(order) if is_on_gpu(each) and each.ndim else each for each in values)


def _order_of(arrays: list[Array]) -> list[int] | None:
    """The order of dims of arrays that lie alike without gaps; None where they do not, or in row-major order."""
    if not arrays or arrays[0].ndim < 3 or arrays[0].flags.c_contiguous:
        return None
    first = arrays[0]
    steps = [step // first.itemsize for step in first.strides]
    for each in arrays[1:]:
        if each.shape != first.shape or [step // each.itemsize for step in each.strides] != steps:
            return None
    return dim_order(first) if is_dense(first) else None


def suits(values: Array, others: Array) -> bool:
    """Whether ``keep_nonzero`` does these two: on a GPU, of one floating dtype, alike in memory without gaps."""
    return (
        is_on_gpu(values)
        and is_on_gpu(others)
        and values.dtype in C_TYPES
        and others.dtype == values.dtype
        and others.shape == values.shape
        and others.strides == values.strides
        and values.size > 0
        and (values.flags.c_contiguous or is_dense(values))
    )


def keep_nonzero(values: Array, others: Array) -> Array:
    """``values`` where ``others`` are not 0 (NaN is not), else 0: in one launch."""
    made = dense_like(values, values.dtype)
    vector = aligned(values.size, _VECTOR_BYTES // int(values.itemsize), values, others, made)
    code = kernel("elements", "keep_nonzero", T=C_TYPES[values.dtype], VECTOR=vector)
    count = values.size // vector
    code((min(MOST_BLOCKS, -(-count // _THREADS)),), (_THREADS,), (values, others, made, np.int64(count)))
    return made
