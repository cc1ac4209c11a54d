"""The code of ``max_pooling.py``, in LLVM's language; ``is_half`` is for images in bfloat16.

Sizes: samples, channels, the image's height and width, windows down and across, the kernel's height and width, the
steps down and across, the padding above and left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.loop_code import INDEX

__all__ = ["largest_code", "route_code"]

_BYTE, _LANE = ir.IntType(8), ir.IntType(32)

Value = Any  # of llvmlite.ir


class _Window(NamedTuple):
    """One window: where it is among all of them, and what of it lies inside of the image.

    Rows and columns of the kernel are counted from ``top`` to before ``bottom``, and from ``left`` to before ``right``;
    ``start`` is the element of the image that position (0, 0) would have, ``row`` how many it is from row to row.
    """

    place: Value
    start: Value
    row: Value
    top: Value
    bottom: Value
    left: Value
    right: Value
    width: Value


def largest_code(lanes: int, is_half: bool) -> str:
    """``run(input, best, winner, sizes…)``."""
    emit = Emitter(3, 12, lanes, halves=(0, 1) if is_half else ())
    input, best, winner, *sizes = emit.arguments
    channels, builder = sizes[1], emit.builder

    def window(at: _Window) -> None:
        first = builder.trunc(emit.add(emit.mul(at.top, at.width), at.left), _LANE)

        def vector(channel: Value) -> None:
            start = emit.at(input, at.start, channel)

            def tap(number: Value, offset: Value, known: list[Value]) -> list[Value]:
                value, (most, which) = emit.load(emit.at(start, offset)), known
                wins = builder.or_(
                    builder.fcmp_ordered(">", value, most), builder.fcmp_unordered("uno", value, value)
                )
                return [builder.select(wins, value, most), builder.select(wins, _all(emit, number), which)]

            begin = [emit.constant(-math.inf), _splat(emit, first)]
            most, which = _each_tap(emit, at, channels, begin, tap)
            emit.store(most, emit.at(best, at.place, channel))
            short = builder.trunc(which, ir.VectorType(_BYTE, lanes))
            builder.store(short, _byte(emit, winner, at.place, channel), align=1)

        emit.each(0, channels, lanes, vector)

    _each_window(emit, sizes, window)
    return emit.text()


def route_code(lanes: int, is_half: bool, overlaps: bool) -> str:
    """``run(g, winner, found, sizes…)``; ``found`` holds zeros."""
    emit = Emitter(3, 12, lanes, halves=(0, 2) if is_half else ())
    g, winner, found, *sizes = emit.arguments
    channels, builder = sizes[1], emit.builder

    def window(at: _Window) -> None:
        def vector(channel: Value) -> None:
            slope, start = emit.load(emit.at(g, at.place, channel)), emit.at(found, at.start, channel)
            short = builder.load(
                _byte(emit, winner, at.place, channel), typ=ir.VectorType(_BYTE, lanes), align=1
            )
            which = builder.sext(short, ir.VectorType(_LANE, lanes))

            def tap(number: Value, offset: Value, known: list[Value]) -> list[Value]:
                has_won = builder.icmp_signed("==", which, _all(emit, number))
                place, share = emit.at(start, offset), builder.select(has_won, slope, emit.constant(0.0))
                emit.store(emit.sums("+", emit.load(place), "+", share) if overlaps else share, place)
                return known

            _each_tap(emit, at, channels, [], tap)

        emit.each(0, channels, lanes, vector)

    _each_window(emit, sizes, window)
    return emit.text()


def _each_window(emit: Emitter, sizes: list[Value], body: Callable[[_Window], None]) -> None:
    samples, channels, height, width, down, across, tall, broad, step_down, step_across, above, left = sizes
    row = emit.mul(width, channels)

    def clipped(first: Value, size: Value, end: Value) -> tuple[Value, Value]:
        """The part of a window's positions, from its first, that lies within an image's ``end``."""
        none, before = INDEX(0), emit.builder.sub(INDEX(0), first)
        begin = emit.builder.select(emit.builder.icmp_signed(">", before, none), before, none)
        return begin, emit.smaller(size, emit.builder.sub(end, first))

    def line(number: Value) -> None:
        sample, y = emit.builder.sdiv(number, down), emit.builder.srem(number, down)
        first_row = emit.builder.sub(emit.mul(y, step_down), above)
        top, bottom = clipped(first_row, tall, height)

        def pixel(x: Value) -> None:
            first_column = emit.builder.sub(emit.mul(x, step_across), left)
            begin, end = clipped(first_column, broad, width)
            corner = emit.add(emit.mul(emit.add(emit.mul(sample, height), first_row), width), first_column)
            place = emit.mul(emit.add(emit.mul(number, across), x), channels)
            body(_Window(place, emit.mul(corner, channels), row, top, bottom, begin, end, broad))

        emit.each(0, across, 1, pixel)

    emit.each(0, emit.mul(samples, down), 1, line)


def _each_tap(
    emit: Emitter,
    at: _Window,
    channels: Value,
    values: list[Value],
    body: Callable[[Value, Value, list[Value]], list[Value]],
) -> list[Value]:
    """``values = body(number, offset, values)`` for every position of a window that lies inside of the image."""

    def row(y: Value, known: list[Value]) -> list[Value]:
        start, first = emit.mul(y, at.row), emit.mul(y, at.width)

        def column(x: Value, inner: list[Value]) -> list[Value]:
            return body(emit.add(first, x), emit.add(start, emit.mul(x, channels)), inner)

        return emit.fold(at.left, at.right, 1, known, column)

    return emit.fold(at.top, at.bottom, 1, values, row)


def _all(emit: Emitter, number: Value) -> Value:
    return _splat(emit, emit.builder.trunc(number, _LANE))


def _splat(emit: Emitter, number: Value) -> Value:
    lanes = ir.VectorType(_LANE, emit.lanes)
    one = emit.builder.insert_element(ir.Constant(lanes, ir.Undefined), number, _LANE(0))
    return emit.builder.shuffle_vector(one, one, ir.Constant(lanes, [0] * emit.lanes))


def _byte(emit: Emitter, start: Value, *indices: Value) -> Value:
    """The address of the byte that is the sum of ``indices`` away."""
    return emit.builder.gep(start, [emit.add(*indices)], source_etype=_BYTE)
