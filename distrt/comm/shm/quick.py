"""A small all-reduce as one piece of machine code: show the array, look out for the others, reduce.

At 1 KB, Python's own time is most of the whole. What is done is what `PreparedReduction.run` does in Python, with the
same words, bells and bits; where a rank sleeps, or is not there after some microseconds, Python goes on.
"""

from __future__ import annotations

import ctypes
import functools
from array import array as packed
from collections.abc import Callable
from typing import TYPE_CHECKING

from distrt.comm.calls import FINGERPRINT_BITS
from distrt.comm.reduction import Array, Reduction
from distrt.core.kernels.loops import Loop, address, can_compile, load

if TYPE_CHECKING:
    from distrt.comm.shm.meeting import Control

__all__ = ["WAITING", "WAKING", "QuickReduction"]

#: Flags of what is left to do: to wait and to reduce; to wake those who sleep on this rank's bell.
WAITING, WAKING = 1, 2

# Keeps the interpreter: it takes some microseconds, less than another thread would need to get it and give it back.
_PROTOTYPE = ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4, *[ctypes.c_int64] * 3, ctypes.c_int32)


class QuickReduction:
    """All-reduces of arrays of one dtype and length through the slots.

    Args:
        code: of the reduction.
        control: the shared words.
        rank, size: this rank, and how many there are.
        slots: for each half, every rank's slot as an array of the dtype and length.
        reduction: what is computed.
    """

    def __init__(
        self,
        code: Callable[..., int],
        control: Control,
        rank: int,
        size: int,
        slots: list[list[Array]],
        reduction: Reduction,
    ) -> None:
        own = slots[0][rank]
        self._run = code
        self._kept = slots, reduction.constants()
        room = [
            control.words_address,
            control.bell_address(rank),
            control.sleepers_address,
            2 * size,
            rank,
            own.size * reduction.parts,
            own.nbytes,
        ]
        self._memory = packed("Q", room)
        self._tables = [packed("Q", map(address, half)) for half in slots]
        self._room = self._memory.buffer_info()[0]
        self._scale = self._kept[1].buffer_info()[0]
        self._halves = [table.buffer_info()[0] for table in self._tables]

    def run(self, flat: Array, half: int, word: int, looks: int, bell: int) -> int:
        """All-reduce ``flat`` as far as possible; `WAITING` and `WAKING` say what is left.

        Args:
            flat: the array, of any address.
            half: which half of the slots.
            word: of the meeting.
            looks: how often to look for the others.
            bell: what to ring with.
        """
        after = (word >> FINGERPRINT_BITS) + 1 << FINGERPRINT_BITS
        return self._run(self._room, self._halves[half], address(flat), self._scale, word, after, looks, bell)

    @staticmethod
    def code_for(reduction: Reduction, size: int) -> Callable[..., int] | None:
        """The code of a reduction over ``size`` ranks; None where there can be none."""
        loop = reduction.loop(size, 1)
        return None if loop is None or not can_compile(loop.dtype) else _code(loop)


@functools.lru_cache(maxsize=64)
def _code(loop: Loop) -> Callable[..., int]:
    from distrt.comm.shm.quick_code import code_of

    return _PROTOTYPE(load(code_of(loop, WAITING, WAKING)))
