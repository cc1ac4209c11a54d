"""What is looked at without waiting for the GPU: ranges of indices, and whether gradients are finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, is_dense, is_on_gpu, row_major
from distrt.core.errors import DimensionError
from distrt.core.gpu.faults import cell, kind_of
from distrt.core.kernels.cuda.launching import C_TYPES, I_TYPES, MOST_BLOCKS, kernel

__all__ = ["NONE", "require_range", "suits", "unscale"]

#: The number that stands for no gradient.
NONE = 0xFFFFFFFF

_THREADS = 256
_CAPACITY = 160  # gradients of one launch, whose addresses are among its arguments
_PER_BLOCK = 8 * _THREADS

_GRADIENTS = np.dtype(
    [
        ("pointers", np.uint64, (_CAPACITY,)),
        ("sizes", np.int64, (_CAPACITY,)),
        ("starts", np.int32, (_CAPACITY,)),
        ("numbers", np.int32, (_CAPACITY,)),
        ("count", np.int32),
    ],
    align=True,
)


def require_range(
    numbers: Array,
    low: int,
    high: int,
    message: str,
    exempt: int | None = None,
    error: type[Exception] = DimensionError,
) -> None:
    """Lets a later wait raise an error with the message where a number is not in [low, high), nor ``exempt``.

    Raises:
        DimensionError: the error, at once, where no number could be right.
    """
    if not numbers.size:
        return
    if low >= high and exempt is None:
        raise error(message.format("any number", high))
    bounds = (np.int64(low), np.int64(high), np.int64(exempt or 0), np.int32(exempt is not None))
    blocks = min(MOST_BLOCKS, -(-numbers.size // _THREADS))
    _code("require_range", "float", I_TYPES[numbers.dtype])(
        (blocks,),
        (_THREADS,),
        (
            row_major(numbers),
            np.int64(numbers.size),
            *bounds,
            np.uint64(address_of(cell())),
            np.int64(kind_of(message, error)),
        ),
    )


def suits(gradient: Array) -> bool:
    """Whether `unscale` does a gradient: floating, on a GPU, without gaps."""
    return is_on_gpu(gradient) and gradient.dtype in C_TYPES and is_dense(gradient)


def unscale(gradients: Sequence[Array], numbers: Sequence[int], factor: float) -> tuple[Array, Array]:
    """Multiplies gradients of one GPU and dtype, each without gaps, in one launch for as many as fit.

    Returns:
        1 where one was not finite, as float32 of no dims; and the lowest number of such a one, as uint32 (1,).
    """
    found, first = np.zeros((), np.float32, like=gradients[0]), np.empty(1, np.uint32, like=gradients[0])
    first.fill(NONE)
    pairs = [pair for pair in zip(gradients, numbers, strict=True) if pair[0].size]
    for start in range(0, len(pairs), _CAPACITY):
        some, blocks = pairs[start : start + _CAPACITY], 0
        table = np.zeros(1, _GRADIENTS)
        for place, (each, number) in enumerate(some):
            table["pointers"][0, place], table["sizes"][0, place] = address_of(each), each.size
            table["starts"][0, place], table["numbers"][0, place] = blocks, number
            blocks += -(-each.size // _PER_BLOCK)
        table["count"] = len(some)
        code = _code("unscale", C_TYPES[gradients[0].dtype], "int")
        code((blocks,), (_THREADS,), (table, np.float32(factor), found, first))
    return found, first


def _code(name: str, stored: str, kind: str) -> Any:
    return kernel("checks", name, T=stored, I=kind, CAPACITY=_CAPACITY, PER_BLOCK=_PER_BLOCK)
