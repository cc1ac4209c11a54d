"""How summands of the ranks are reduced, and other values that ranks have each one of: extremes, averages, norms."""

from __future__ import annotations

import math

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array, as_array
from distrt.core.errors import UnsupportedError

__all__ = ["reduced"]

_OPS = {"sum": ReduceOp.SUM, "avg": ReduceOp.AVG, "max": ReduceOp.MAX, "min": ReduceOp.MIN}


def reduced(local: Array, op: str, group: ProcessGroup) -> Array:
    """What all ranks' values come to.

    Raises:
        UnsupportedError: it is not known how they are reduced.
    """
    found = local.copy()
    if op in _OPS:
        group.all_reduce(found, _OPS[op])
        return found
    if not op.startswith("norm"):
        raise UnsupportedError(f"full_tensor: no way to reduce Partial({op}) over ranks")
    order = float(op.removeprefix("norm"))
    if math.isinf(order):
        group.all_reduce(found, ReduceOp.MAX if order > 0 else ReduceOp.MIN)
        return found
    power = as_array(found.astype(np.float64) ** (order or 1.0))
    group.all_reduce(power)
    return as_array(power ** (1.0 / (order or 1.0))).astype(local.dtype)
