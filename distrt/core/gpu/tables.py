"""Small arrays that follow from sizes alone (weights, places), kept on GPUs: so they are copied there once.

A copy at every call would hold the program up until the GPU has it, and could not be captured in a graph.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.gpu import library
from distrt.core.gpu.capturing import capturing, refuse
from distrt.core.modes import used

__all__ = ["kept_beside"]

_MOST = 512  # tables that are kept on each GPU, those that were used last
_MOST_BYTES = 1 << 16  # of one


class _Content:
    """An array of the CPU's that equals what has the same elements."""

    __slots__ = ("array", "key")

    def __init__(self, array: Array) -> None:
        self.array, self.key = array, (array.dtype, array.shape, array.tobytes())

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and self.key == other.key


def kept_beside(array: Array, like: Array) -> Array:
    """``np.asarray(array, like=like)`` for an array on a GPU; nobody may write to what comes.

    Raises:
        CaptureError: while a graph is captured, for one that has not been there before.
    """
    if array.nbytes > _MOST_BYTES:
        return np.asarray(array, like=like)
    found = _tables(like.device.id)(_Content(array))
    if capturing.now is not None:
        capturing.now.kept.append(found)
    return found


@functools.cache
def _tables(gpu: int) -> Any:
    """A GPU's tables, by what is in them."""

    @functools.lru_cache(maxsize=_MOST)
    def kept(content: _Content) -> Any:
        refuse("a table that is not on the GPU yet", "it is copied there; call with the same sizes before")
        cupy = library.find()
        with cupy.cuda.Device(gpu) as place:
            made = cupy.asarray(content.array)
            cupy.cuda.get_current_stream().synchronize()  # it will be read in any stream
            if used.streams and kept.cache_info().currsize == _MOST:
                place.synchronize()  # the one that goes for it may still be read, in any stream
        return made

    return kept
