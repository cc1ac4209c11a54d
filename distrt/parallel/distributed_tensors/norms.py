"""The norm of all elements of several tensors, of which ranks may have parts: what ``clip_grad_norm_`` asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array, as_array, filled
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.layout import Layout, everywhere

__all__ = ["norm_over_ranks"]


def norm_over_ranks(tensors: Sequence[Tensor], order: float) -> Any:
    """The norm of all elements of all tensors, of which ranks may have parts, as a tensor that every rank has.

    One reduction for each group of ranks that has parts; sums are taken in float64.
    """
    is_largest = math.isinf(order)
    extreme: Any = np.maximum if order > 0 else np.minimum
    sums: dict[tuple[ProcessGroup, ...], Array] = {}
    for tensor in tensors:
        groups = tensor._layout.groups if hasattr(tensor, "_layout") else ()
        found = _power_sum(tensor._array, order)
        known = sums.get(groups)
        sums[groups] = found if known is None else extreme(known, found) if is_largest else known + found
    op = (ReduceOp.MAX if order > 0 else ReduceOp.MIN) if is_largest else ReduceOp.SUM
    whole: list[Array] = []
    for groups, found in sums.items():
        total = as_array(found).reshape(1)
        for group in groups:
            group.all_reduce(total, op)
        whole.append(total[0])
    value = whole[0]
    for each in whole[1:]:
        value = extreme(value, each) if is_largest else value + each
    if order and not is_largest:
        value = value ** (1.0 / order)
    from distrt.parallel.distributed_tensors.tensor import distributed

    mesh = next(each._layout.device_mesh for each in tensors if hasattr(each, "_layout"))
    dtype = np.result_type(*(each._array.real.dtype for each in tensors))
    return distributed(as_array(value).astype(dtype), Layout(mesh, everywhere(mesh), ()))


def _power_sum(array: Array, order: float) -> Array:
    """What norms are put together of: the sum of powers, the number of elements that are not 0, or an extreme."""
    if math.isinf(order):
        if not array.size:
            return filled((), 0.0 if order > 0 else math.inf, np.float64, array)
        sizes = np.abs(array)
        return (sizes.max() if order > 0 else sizes.min()).astype(np.float64)
    if order == 0:
        return as_array(np.count_nonzero(array)).astype(np.float64)
    sizes = np.abs(array).astype(np.float64)
    return np.square(sizes).sum() if order == 2 else (sizes**order).sum()
