"""How each reduction of each dtype is asked of NCCL, which has fewer of both.

NCCL sums, multiplies, averages and compares integers of 8, 32 and 64 bits and floating numbers. What has an equal among
these is viewed or cast, where that gives the same bits; the rest is combined by CuPy (`distrt.comm.tree`), after an
exchange.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from distrt.comm.reduction import Array, ReduceOp

__all__ = ["Plan", "code_of", "plan"]

#: dtype -> its name in ``cupy.cuda.nccl``.
_NAMES = {
    "int8": "NCCL_INT8",
    "uint8": "NCCL_UINT8",
    "int32": "NCCL_INT32",
    "uint32": "NCCL_UINT32",
    "int64": "NCCL_INT64",
    "uint64": "NCCL_UINT64",
    "float16": "NCCL_FLOAT16",
    "bfloat16": "NCCL_BFLOAT16",
    "float32": "NCCL_FLOAT32",
    "float64": "NCCL_FLOAT64",
}
_OPS = {
    ReduceOp.SUM: "NCCL_SUM",
    ReduceOp.PRODUCT: "NCCL_PROD",
    ReduceOp.MIN: "NCCL_MIN",
    ReduceOp.MAX: "NCCL_MAX",
    ReduceOp.AVG: "NCCL_AVG",
}
#: A bool is a byte of 0 or 1: "or" is the larger, "and" the smaller, and the last bit of a sum "exclusive or".
_OF_BOOL = {
    ReduceOp.SUM: "NCCL_MAX",
    ReduceOp.MAX: "NCCL_MAX",
    ReduceOp.BOR: "NCCL_MAX",
    ReduceOp.PRODUCT: "NCCL_MIN",
    ReduceOp.MIN: "NCCL_MIN",
    ReduceOp.BAND: "NCCL_MIN",
    ReduceOp.BXOR: "NCCL_SUM",
}
_WIDER = {"int16": "int32", "uint16": "uint32"}  # sums and products wrap alike in the lower half


class Plan(NamedTuple):
    """What NCCL is asked for in the place of a reduction.

    Attributes:
        op: the name of its operation.
        viewed: the dtype that the array is viewed as; None for its own.
        cast: the dtype that it is cast to; None for its own.
        is_last_bit: only that of the result counts.
    """

    op: str
    viewed: str | None = None
    cast: str | None = None
    is_last_bit: bool = False

    def enter(self, flat: Array) -> Array:
        """What NCCL reduces: the same memory, or a copy where it has to be cast."""
        if self.viewed is not None:
            return flat.view(self.viewed)
        return flat if self.cast is None else flat.astype(self.cast)

    def leave(self, reduced: Array, flat: Array) -> None:
        """Bring the result home."""
        if self.cast is not None:
            flat[...] = reduced.astype(flat.dtype)
        if self.is_last_bit:
            np.bitwise_and(reduced, 1, out=reduced)


def plan(op: ReduceOp, dtype: np.dtype[Any]) -> Plan | None:
    """How NCCL does it; None where it cannot."""
    if dtype.kind == "b":
        return Plan(_OF_BOOL[op], viewed="uint8", is_last_bit=op is ReduceOp.BXOR)
    if op not in _OPS:
        return None
    if dtype.kind == "c":
        halved = f"float{4 * dtype.itemsize}"
        return Plan(_OPS[op], viewed=halved) if op in (ReduceOp.SUM, ReduceOp.AVG) else None
    if dtype.name in _WIDER:
        return Plan(_OPS[op], cast=_WIDER[dtype.name])
    return Plan(_OPS[op])


def code_of(nccl: Any, dtype: np.dtype[Any]) -> int:
    """NCCL's number for a dtype."""
    return int(getattr(nccl, _NAMES[dtype.name]))
