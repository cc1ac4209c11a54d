"""The code of a `QuickReduction`, in LLVM's language.

    run(room, slots, flat, scale, word, after, looks, bell) -> flags

``room`` is a row of words: where the meeting's words, this rank's bell and the sleepers are, how many sleepers there
can be, this rank, the numbers in an array, and its bytes.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir

from distrt.comm.calls import FINGERPRINT_BITS
from distrt.core.kernels.builtin import make_known
from distrt.core.kernels.loop_code import INDEX, POINTER, LoopWriter, new_function
from distrt.core.kernels.loops import Loop

__all__ = ["ROOM", "code_of"]

_BIT, _BYTE, _BELL = ir.IntType(1), ir.IntType(8), ir.IntType(32)

#: The words of a room, by name. What ends in an "s" is where such things lie.
ROOM = {
    "words": POINTER,  # of the meeting
    "bell": POINTER,  # this rank's
    "sleepers": POINTER,
    "sleeper_count": INDEX,  # how many there can be
    "rank": INDEX,
    "count": INDEX,  # of the numbers in an array
    "nbytes": INDEX,
    "scale": POINTER,
    "even_slots": POINTER,  # tables of all ranks' slots, of either half
    "odd_slots": POINTER,
}

Value = Any  # of llvmlite.ir


def code_of(loop: Loop, waiting: int, waking: int, data_offset: int) -> str:
    """A module with one function, "run".

    Args:
        loop: the reduction: all ranks' slots, then the array.
        waiting, waking: flags of what the caller has to do.
        data_offset: see `distrt.core.kernels.builtin.array_data_offset`.
    """
    return _Writer(loop).write(waiting, waking, data_offset)


class _Writer:
    def __init__(self, loop: Loop) -> None:
        self._size = loop.arrays - 1
        self._function = new_function(POINTER, [POINTER, POINTER, INDEX])
        self._loop = LoopWriter(self._function, loop)
        self._builder = self._loop.builder
        self._to_number = self._python("PyLong_AsLongLong", INDEX, POINTER)
        self._from_number = self._python("PyLong_FromLongLong", POINTER, INDEX)

    def write(self, waiting: int, waking: int, data_offset: int) -> str:
        builder, loop = self._builder, self._loop
        bound, arguments, _ = self._function.args
        array, *numbers = (loop.item(arguments, INDEX(index), POINTER) for index in range(5))
        half, word, looks, bell = (self._as_number(each) for each in numbers)
        flat = loop.item(builder.gep(array, [INDEX(data_offset)], source_etype=_BYTE), INDEX(0), POINTER)
        start = builder.inttoptr(self._as_number(bound), POINTER)
        room = {name: loop.item(start, INDEX(index), kind) for index, (name, kind) in enumerate(ROOM.items())}
        is_odd = builder.trunc(half, _BIT)
        slots = builder.select(is_odd, room["odd_slots"], room["even_slots"])

        self._show(loop.item(slots, room["rank"], POINTER), flat, room["nbytes"])
        builder.fence("release")  # llvmlite 0.50 cannot store atomically to a pointer without a type
        builder.store(word, builder.gep(room["words"], [room["rank"]], source_etype=INDEX), align=8)
        builder.store(builder.trunc(bell, _BELL), room["bell"], align=4)
        builder.fence("seq_cst")  # who goes to sleep from here on sees the word

        with builder.if_then(self._is_slept_on(room)):
            self._return(waking | waiting)
        with builder.if_then(builder.not_(self._have_come(room["words"], word, looks))):
            self._return(waiting)
        sources = [loop.item(slots, INDEX(other), POINTER) for other in range(self._size)]
        loop.run([*sources, flat], [loop.item(room["scale"], INDEX(0), loop.computed)], room["count"])
        self._return(0)
        return str(self._function.module)

    def _python(self, name: str, result: Any, argument: Any) -> ir.Function:
        return ir.Function(self._function.module, ir.FunctionType(result, [argument]), make_known(name))

    def _as_number(self, value: Value) -> Value:
        return self._builder.call(self._to_number, [value])

    def _return(self, flags: int) -> None:
        self._builder.ret(self._builder.call(self._from_number, [INDEX(flags)]))

    def _intrinsic(self, name: str, arguments: list[Any]) -> Any:
        return self._function.module.declare_intrinsic(name, fnty=ir.FunctionType(ir.VoidType(), arguments))

    def _show(self, slot: Value, flat: Value, nbytes: Value) -> None:
        copy = self._intrinsic("llvm.memcpy", [POINTER, POINTER, INDEX, _BIT])
        self._builder.call(copy, [slot, flat, nbytes, _BIT(0)])

    def _is_slept_on(self, room: dict[str, Value]) -> Value:
        """Whether another rank sleeps on this one's bell: whether its number, counted from 1, is among them."""
        builder, loop = self._builder, self._loop
        found = builder.alloca(_BIT)
        builder.store(_BIT(0), found)
        own = builder.trunc(builder.add(room["rank"], INDEX(1)), _BYTE)

        def look(at: Value) -> None:
            is_own = builder.icmp_unsigned("==", loop.item(room["sleepers"], at, _BYTE), own)
            builder.store(builder.or_(builder.load(found, typ=_BIT), is_own), found)

        loop.each(INDEX(0), room["sleeper_count"], 1, look)
        return builder.load(found, typ=_BIT)

    def _have_come(self, words: Value, word: Value, looks: Value) -> Value:
        """Look at all ranks' words, so many times at most, until all have come; whether they have."""
        builder = self._builder
        bits = INDEX(FINGERPRINT_BITS)
        after = builder.shl(builder.add(builder.ashr(word, bits), INDEX(1)), bits)
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
