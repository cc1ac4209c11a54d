"""Kernels of 3×3 bfloat16 as they lie in memory, and the same tap of 16 of them in a vector, in LLVM's language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.half_code import SHORT, quickly_narrowed, widened
from distrt.core.kernels.winograd.tiles import KERNEL, Square

__all__ = ["load_kernels", "store_kernels", "turned_over"]

Value = Any  # of llvmlite.ir

_LANES, _TAPS = 16, KERNEL * KERNEL
_INDEX = ir.IntType(32)
_PART = ir.VectorType(SHORT, _LANES)


def load_kernels(emit: Emitter, start: Half) -> Square:
    """The taps of 16 kernels that lie one after another."""
    places = [emit.at(start, _LANES * number).pointer for number in range(_TAPS)]
    parts = [emit.builder.load(place, typ=_PART, align=2) for place in places]
    taps = [
        widened(emit.builder, _picked(emit, parts, [tap + _TAPS * lane for lane in range(_LANES)]))
        for tap in range(_TAPS)
    ]
    return [taps[KERNEL * i : KERNEL * (i + 1)] for i in range(KERNEL)]


def store_kernels(emit: Emitter, square: Square, start: Half) -> None:
    """The opposite: taps of 16 kernels to memory."""
    taps = [quickly_narrowed(emit.builder, each) for line in square for each in line]
    for first in range(0, _LANES * _TAPS, _LANES):
        places = range(first, first + _LANES)
        part = _picked(emit, taps, [_LANES * (place % _TAPS) + place // _TAPS for place in places])
        emit.builder.store(part, emit.at(start, first).pointer, align=2)


def turned_over(emit: Emitter, rows: Sequence[Value]) -> list[Value]:
    """8 vectors of 16 numbers, each two rows of a matrix of 16 × 8, to the 8 rows of its transpose.

    Dealing a pack of cards out from its halves in turns moves the highest bit of a number's place to the lowest.
    """
    low = [lane // 2 + _LANES * (lane % 2) for lane in range(_LANES)]
    high = [each + _LANES // 2 for each in low]
    for _ in range(4):
        halves = zip(rows[:4], rows[4:], strict=True)
        rows = [_shuffled(emit, *pair, order) for pair in halves for order in (low, high)]
    return list(rows)


def _picked(emit: Emitter, parts: Sequence[Value], places: Sequence[int]) -> Value:
    """The numbers at these places of vectors of 16 that are thought one after another."""
    made = None
    for number in range(0, len(parts), 2):
        one, two = parts[number], parts[min(number + 1, len(parts) - 1)]
        first = _LANES * number
        is_here = [first <= place < first + 2 * _LANES for place in places]
        if not any(is_here):
            continue
        order = [place - first if here else 0 for place, here in zip(places, is_here, strict=True)]
        found = _shuffled(emit, one, two, order)
        if made is not None:
            found = _shuffled(emit, made, found, [lane + _LANES * here for lane, here in enumerate(is_here)])
        made = found
    return made


def _shuffled(emit: Emitter, first: Value, second: Value, order: Sequence[int]) -> Value:
    """Numbers of two vectors."""
    return emit.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_INDEX, len(order)), order))
