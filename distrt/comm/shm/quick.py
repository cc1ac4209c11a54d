"""A small all-reduce as one piece of machine code: show the array, look out for the others, reduce.

At 1 KB, Python's own time is most of the whole. What is done is what `PreparedReduction.run` does in Python, with the
same words, bells and bits; where a rank sleeps, or is not there after some microseconds, Python goes on.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from array import array as packed
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from distrt.comm.calls import FINGERPRINT_BITS
from distrt.comm.reduction import Array, Reduction
from distrt.core.kernels.loops import Loop, address, can_compile, load

if TYPE_CHECKING:
    from distrt.comm.shm.meeting import Control

__all__ = ["WAITING", "WAKING", "QuickReduction"]

WAITING, WAKING = (
    1,
    2,
)  # flags of what is left to do: wait and reduce; wake those who sleep on this rank's bell

# Keeps the interpreter: it takes some microseconds, less than another thread would need to get it and give it back.
_PROTOTYPE = ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4, *[ctypes.c_int64] * 3, ctypes.c_int32)
_ROOM_WORDS = 7


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
    from llvmlite import ir

    from distrt.core.kernels.loop_code import INDEX, POINTER, LoopWriter, new_function

    size = loop.arrays - 1
    bell_kind, byte = ir.IntType(32), ir.IntType(8)
    function = new_function(INDEX, [POINTER] * 4 + [INDEX] * 3 + [bell_kind])
    room, slots, flat, scale, word, after, looks, bell = function.args
    writer = LoopWriter(function, loop)
    builder = writer.builder
    words, own_bell, sleepers, sleeper_count, rank, count, nbytes = (
        builder.load(builder.gep(room, [INDEX(index)], source_etype=kind), typ=kind)
        for index, kind in enumerate([POINTER, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX])
    )

    # Show the array, say so, ring.
    own_slot = writer.item(slots, rank, POINTER)
    copy = function.module.declare_intrinsic("llvm.memcpy", fnty=_copying(ir, POINTER, INDEX))
    builder.call(copy, [own_slot, flat, nbytes, ir.IntType(1)(0)])
    own_word = builder.gep(words, [rank], source_etype=INDEX)
    builder.fence("release")  # llvmlite 0.50 cannot store atomically to a pointer without a type
    builder.store(word, own_word, align=8)
    builder.store(bell, own_bell, align=4)
    builder.fence("seq_cst")  # who goes to sleep from here on sees the word

    as_sleeper = builder.trunc(builder.add(rank, INDEX(1)), byte)
    is_slept_on = builder.alloca(ir.IntType(1))
    builder.store(ir.IntType(1)(0), is_slept_on)

    def look_at_sleeper(at: Any) -> None:
        is_mine = builder.icmp_unsigned("==", writer.item(sleepers, at, byte), as_sleeper)
        builder.store(builder.or_(builder.load(is_slept_on, typ=ir.IntType(1)), is_mine), is_slept_on)

    writer.each(INDEX(0), sleeper_count, 1, look_at_sleeper)
    waking, looking, look, again, reduce, waiting = (function.append_basic_block() for _ in range(6))
    builder.cbranch(builder.load(is_slept_on, typ=ir.IntType(1)), waking, looking)
    builder.position_at_end(waking)
    builder.ret(INDEX(WAKING | WAITING))

    # Look out for the others.
    builder.position_at_end(looking)
    builder.branch(look)
    builder.position_at_end(look)
    turn = builder.phi(INDEX)
    turn.add_incoming(INDEX(0), looking)
    is_over: Any = ir.IntType(1)(1)
    for other in range(size):
        place = builder.gep(words, [INDEX(other)], source_etype=INDEX)
        theirs = builder.load_atomic(place, "acquire", 8, typ=INDEX)
        is_here = builder.or_(
            builder.icmp_signed("==", theirs, word), builder.icmp_signed(">=", theirs, after)
        )
        is_over = builder.and_(is_over, is_here)
    builder.cbranch(is_over, reduce, again)
    builder.position_at_end(again)
    if platform.machine() == "x86_64":
        builder.call(
            function.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=ir.FunctionType(ir.VoidType(), [])),
            [],
        )
    next_turn = builder.add(turn, INDEX(1))
    turn.add_incoming(next_turn, again)
    builder.cbranch(builder.icmp_signed("<", next_turn, looks), look, waiting)
    builder.position_at_end(waiting)
    builder.ret(INDEX(WAITING))

    builder.position_at_end(reduce)
    sources = [writer.item(slots, INDEX(other), POINTER) for other in range(size)]
    writer.run([*sources, flat], [writer.item(scale, INDEX(0), writer.computed)], count)
    builder.ret(INDEX(0))
    return _PROTOTYPE(load(str(function.module)))


def _copying(ir: Any, pointer: Any, index: Any) -> Any:
    return ir.FunctionType(ir.VoidType(), [pointer, pointer, index, ir.IntType(1)])
