"""A small all-reduce as one piece of machine code: show the array, look out for the others, reduce.

At 1 KB, Python's own time is most of the whole. What is done is what `PreparedReduction.run` does in Python, with the
same words, bells and bits; where a rank sleeps, or is not there after some microseconds, Python goes on.
"""

from __future__ import annotations

import functools
from array import array as packed
from typing import TYPE_CHECKING

from distrt.comm.reduction import Array, Reduction
from distrt.core.kernels.builtin import array_data_offset, builtin
from distrt.core.kernels.loops import Loop, address, can_compile, load

if TYPE_CHECKING:
    from distrt.comm.shm.meeting import Control

__all__ = ["WAITING", "WAKING", "QuickReduction"]

#: Flags of what is left to do: to wait and to reduce; to wake those who sleep on this rank's bell.
WAITING, WAKING = 1, 2


class QuickReduction:
    """All-reduces of arrays of one dtype and length through the slots.

    ``run(flat, half, word, looks, bell)`` all-reduces the array ``flat`` through that half of the slots as far as
    possible; `WAITING` and `WAKING` say what is left. It shows the meeting's ``word``, rings with the number ``bell``,
    and looks so many times for the others.

    Args:
        code: the address of the reduction's code.
        control: the shared words.
        rank, size: this rank, and how many there are.
        slots: for each half, every rank's slot as an array of the dtype and length.
        reduction: what is computed.
    """

    def __init__(
        self,
        code: int,
        control: Control,
        rank: int,
        size: int,
        slots: list[list[Array]],
        reduction: Reduction,
    ) -> None:
        own = slots[0][rank]
        constants = reduction.constants()
        tables = [packed("Q", map(address, half)) for half in slots]
        room = packed(
            "Q",
            [
                control.words_address,
                control.bell_address(rank),
                control.sleepers_address,
                2 * size,
                rank,
                own.size * reduction.parts,
                own.nbytes,
                constants.buffer_info()[0],
                *(table.buffer_info()[0] for table in tables),
            ],
        )
        self._kept = slots, constants, tables, room
        self.run = builtin(code, room.buffer_info()[0])

    @staticmethod
    def code_for(reduction: Reduction, size: int) -> int | None:
        """The address of the code of a reduction over ``size`` ranks; None where there can be none."""
        loop = reduction.loop(size, 1)
        if loop is None or array_data_offset() is None or not can_compile(loop.dtype):
            return None
        return _code(loop)


@functools.lru_cache(maxsize=64)
def _code(loop: Loop) -> int:
    from distrt.comm.shm.quick_code import code_of

    offset = array_data_offset()
    assert offset is not None, "asked before"
    return load(code_of(loop, WAITING, WAKING, offset))
