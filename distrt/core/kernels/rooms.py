"""Memory for what lies between the steps of a compiled kernel."""

from __future__ import annotations

import threading

import numpy as np

from distrt.core.arrays import CACHE_LINE_BYTES, Array
from distrt.core.kernels.loops import address

__all__ = ["GAP", "Rooms"]

#: Numbers to leave between two planes that are gone through together. Sizes are mostly powers of 2: without a gap, the
#: same place of all planes would be in the same few lines of the first-level cache, which push one another out.
GAP = 32


class Rooms(threading.local):
    """Rooms by name, for each thread others, as large as the largest call has asked for."""

    def __init__(self) -> None:
        self._held: dict[str, Array] = {}

    def at(self, name: str, count: int) -> int:
        """The address of so many floats, at the beginning of a cache line. They hold zeros, or what was left there."""
        held = self._held.get(name)
        if held is None or held.size < count + CACHE_LINE_BYTES // 4:
            held = self._held[name] = np.zeros(count + CACHE_LINE_BYTES // 4, np.float32)
        return -(-address(held) // CACHE_LINE_BYTES) * CACHE_LINE_BYTES
