"""The code of a `QuickReduction`, in LLVM's language.

    run(room, slots, flat, scale, word, after, looks, bell) -> flags

``room`` is a row of words: where the meeting's words, this rank's bell and the sleepers are, how many sleepers there
can be, this rank, the numbers in an array, and its bytes.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir

from distrt.core.kernels.loop_code import INDEX, POINTER, LoopWriter, new_function
from distrt.core.kernels.loops import Loop

__all__ = ["code_of"]

_BIT, _BYTE, _BELL = ir.IntType(1), ir.IntType(8), ir.IntType(32)
_ROOM = (POINTER, POINTER, POINTER, INDEX, INDEX, INDEX, INDEX)

Value = Any  # of llvmlite.ir


def code_of(loop: Loop, waiting: int, waking: int) -> str:
    """A module with one function, "run".

    Args:
        loop: the reduction: all ranks' slots, then the array.
        waiting, waking: flags of what the caller has to do.
    """
    return _Writer(loop).write(waiting, waking)


class _Writer:
    def __init__(self, loop: Loop) -> None:
        self._size = loop.arrays - 1
        self._function = new_function(INDEX, [POINTER] * 4 + [INDEX] * 3 + [_BELL])
        self._loop = LoopWriter(self._function, loop)
        self._builder = self._loop.builder

    def write(self, waiting: int, waking: int) -> str:
        builder, loop = self._builder, self._loop
        room, slots, flat, scale, word, after, looks, bell = self._function.args
        words, own_bell, sleepers, sleeper_count, rank, count, nbytes = (
            loop.item(room, INDEX(index), kind) for index, kind in enumerate(_ROOM)
        )
        self._show(loop.item(slots, rank, POINTER), flat, nbytes)
        builder.fence("release")  # llvmlite 0.50 cannot store atomically to a pointer without a type
        builder.store(word, builder.gep(words, [rank], source_etype=INDEX), align=8)
        builder.store(bell, own_bell, align=4)
        builder.fence("seq_cst")  # who goes to sleep from here on sees the word

        is_slept_on = self._is_slept_on(sleepers, sleeper_count, rank)
        with builder.if_then(is_slept_on):
            builder.ret(INDEX(waking | waiting))
        are_here = self._look_out(words, word, after, looks)
        with builder.if_then(builder.not_(are_here)):
            builder.ret(INDEX(waiting))
        sources = [loop.item(slots, INDEX(other), POINTER) for other in range(self._size)]
        loop.run([*sources, flat], [loop.item(scale, INDEX(0), loop.computed)], count)
        builder.ret(INDEX(0))
        return str(self._function.module)

    def _intrinsic(self, name: str, arguments: list[Any]) -> Any:
        return self._function.module.declare_intrinsic(name, fnty=ir.FunctionType(ir.VoidType(), arguments))

    def _show(self, slot: Value, flat: Value, nbytes: Value) -> None:
        copy = self._intrinsic("llvm.memcpy", [POINTER, POINTER, INDEX, _BIT])
        self._builder.call(copy, [slot, flat, nbytes, _BIT(0)])

    def _is_slept_on(self, sleepers: Value, count: Value, rank: Value) -> Value:
        """Whether another rank sleeps on this one's bell: whether its number, counted from 1, is among them."""
        builder, loop = self._builder, self._loop
        found = builder.alloca(_BIT)
        builder.store(_BIT(0), found)
        own = builder.trunc(builder.add(rank, INDEX(1)), _BYTE)

        def look(at: Value) -> None:
            is_own = builder.icmp_unsigned("==", loop.item(sleepers, at, _BYTE), own)
            builder.store(builder.or_(builder.load(found, typ=_BIT), is_own), found)

        loop.each(INDEX(0), count, 1, look)
        return builder.load(found, typ=_BIT)

    def _look_out(self, words: Value, word: Value, after: Value, looks: Value) -> Value:
        """Look at all ranks' words, so many times at most, until all have come; whether they have."""
        builder = self._builder
        before = builder.block
        look, again, done = (self._function.append_basic_block() for _ in range(3))
        builder.branch(look)
        builder.position_at_end(look)
        turn = builder.phi(INDEX)
        turn.add_incoming(INDEX(0), before)
        are_here: Value = _BIT(1)
        for other in range(self._size):
            place = builder.gep(words, [INDEX(other)], source_etype=INDEX)
            theirs = builder.load_atomic(place, "acquire", 8, typ=INDEX)
            is_here = builder.icmp_signed("==", theirs, word)
            has_gone_on = builder.icmp_signed(">=", theirs, after)
            are_here = builder.and_(are_here, builder.or_(is_here, has_gone_on))
        builder.cbranch(are_here, done, again)
        builder.position_at_end(again)
        if platform.machine() == "x86_64":
            builder.call(self._intrinsic("llvm.x86.sse2.pause", []), [])
        next_turn = builder.add(turn, INDEX(1))
        turn.add_incoming(next_turn, again)
        builder.cbranch(builder.icmp_signed("<", next_turn, looks), look, done)
        builder.position_at_end(done)
        found = builder.phi(_BIT)
        found.add_incoming(are_here, look)
        found.add_incoming(_BIT(0), again)
        return found
