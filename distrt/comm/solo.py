"""A world of one rank: what a script that no launcher started runs in."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.comm.process_group import COMPLETED, ProcessGroup, Work
from distrt.comm.reduction import Array, Reduction

__all__ = ["SoloGroup"]


class SoloGroup(ProcessGroup):
    """Every collective is the identity."""

    backend = "solo"

    def __init__(self, timeout_s: float = 1800.0, name: str = "world") -> None:
        super().__init__(0, 1, timeout_s, name)

    def _all_reduce(self, flat: Array, reduction: Reduction, async_op: bool) -> Work:
        return COMPLETED

    def _broadcast(self, flat: Array, src: int, async_op: bool) -> Work:
        return COMPLETED

    def _all_gather(self, rows: Array, flat: Array, async_op: bool) -> Work:
        rows[0] = flat
        return COMPLETED

    def _reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, async_op: bool) -> Work:
        flat[...] = rows[0]
        return COMPLETED

    def _barrier(self, async_op: bool) -> Work:
        return COMPLETED

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.zeros(shape, dtype)

    def _free(self, array: Array) -> None:
        pass

    def _close(self) -> None:
        pass
