"""Winograd's transform of a weight into panels for the products, in LLVM's language.

A weight (outs, channels, 3, 3) lies in row-major order. Forward, the products' terms are channels and their columns
outs; for the input's gradient it is the other way, and kernels may be turned round.
"""

from __future__ import annotations

from typing import Any

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.loop_code import INDEX
from distrt.core.kernels.rooms import GAP
from distrt.core.kernels.tile_code import load_pairs
from distrt.core.kernels.winograd.images import plane_of, store_pairs, store_planes
from distrt.core.kernels.winograd.taps import load_kernels, turned_over
from distrt.core.kernels.winograd.tiles import KERNEL, KERNEL_PLANES, Method, Square, transformed

__all__ = ["paired_turned_weight_code", "paired_weight_code", "turned_weight_code", "weight_code"]

_TAPS, _PLANES = KERNEL * KERNEL, KERNEL_PLANES * KERNEL_PLANES

Value = Any  # of llvmlite.ir


def weight_code(lanes: int, method: Method) -> str:
    """``run(weight, transformed, _, outs, channels)`` for float32."""
    emit = Emitter(3, 2, lanes)
    weight, planes, _, outs, channels = emit.arguments
    steps = (_TAPS, emit.mul(channels, _TAPS))
    _single_panels(emit, method, weight, planes, (channels, outs), steps)
    return emit.text()


def turned_weight_code(lanes: int, method: Method) -> str:
    """The same for an input's gradient."""
    emit = Emitter(3, 2, lanes)
    weight, planes, _, outs, channels = emit.arguments
    steps = (emit.mul(channels, _TAPS), _TAPS)
    _single_panels(emit, method, weight, planes, (outs, channels), steps)
    return emit.text()


def _single_panels(
    emit: Emitter,
    method: Method,
    weight: Value,
    planes: Value,
    sizes: tuple[Value, Value],
    steps: tuple[Value | int, Value | int],
) -> None:
    """Sizes, and steps through the weight, of terms and columns."""
    (inner, columns), (inner_step, column_step) = sizes, steps
    lanes, wide, plane = emit.lanes, 2 * emit.lanes, plane_of(emit, inner, columns)
    taps = range(_TAPS)[:: -1 if method.is_turned else 1]

    def panel(column: Value) -> None:
        own = emit.at(planes, emit.mul(column, inner))

        def row(k: Value) -> None:
            for half in range(2):
                lines = [
                    emit.mul(emit.add(column, half * lanes + lane), column_step) for lane in range(lanes)
                ]
                starts = [emit.at(weight, emit.mul(k, inner_step), line) for line in lines]
                found = [emit.gathered([emit.at(start, tap) for start in starts]) for tap in taps]
                at = emit.add(emit.mul(k, wide), half * lanes)
                store_planes(emit, transformed(emit, _square(found), method.kernel), own, at, plane)

        emit.each(0, inner, 1, row)

    emit.each(0, columns, wide, panel)


def _square(taps: list[Value]) -> Square:
    return [taps[KERNEL * i : KERNEL * (i + 1)] for i in range(KERNEL)]


def paired_weight_code(lanes: int, method: Method) -> str:
    """``run(weight, transformed, room, outs, channels)`` for bfloat16; the room is for a block of 16 × 16 kernels.

    Vectors are of 16 channels, as these lie side by side; the panels' are of 16 outs. So a block is transposed.
    """
    emit = Emitter(3, 2, lanes, (0, 1, 2))
    weight, planes, room, outs, channels = emit.arguments
    plane, block = plane_of(emit, channels, outs), lanes * lanes + GAP

    def some(column: Value) -> None:
        in_panel = emit.builder.srem(column, INDEX(2 * lanes))
        panel = emit.at(planes, emit.mul(emit.builder.sub(column, in_panel), channels), emit.mul(in_panel, 2))

        def terms(k: Value) -> None:
            def line(number: Value) -> None:
                start = emit.mul(emit.add(emit.mul(emit.add(column, number), channels), k), _TAPS)
                square = transformed(emit, load_kernels(emit, emit.at(weight, start)), method.kernel)
                store_planes(emit, square, room, emit.mul(number, lanes), INDEX(block))

            emit.each(0, lanes, 1, line)

            def turn(number: Value) -> None:
                start = emit.at(room, emit.mul(number, block))
                rows = [load_pairs(emit, emit.at(start, 2 * lanes * n)) for n in range(lanes // 2)]
                into = emit.at(panel, emit.mul(plane, number), emit.mul(k, 2 * lanes))
                for n, row in enumerate(turned_over(emit, rows)):
                    emit.builder.store(row, emit.at(into, 4 * lanes * n).pointer, align=4)

            emit.each(0, _PLANES, 1, turn)

        emit.each(0, channels, lanes, terms)

    emit.each(0, outs, lanes, some)
    return emit.text()


def paired_turned_weight_code(lanes: int, method: Method) -> str:
    """The same for an input's gradient, whose columns are the channels."""
    emit = Emitter(3, 2, lanes, (0, 1, 2))
    weight, planes, _, outs, channels = emit.arguments
    plane = plane_of(emit, channels, outs)

    def terms(k: Value) -> None:
        def some(column: Value) -> None:
            in_panel = emit.builder.srem(column, INDEX(2 * lanes))
            panel = emit.at(planes, emit.mul(emit.builder.sub(column, in_panel), outs), emit.mul(in_panel, 2))
            start = emit.mul(emit.add(emit.mul(k, channels), column), _TAPS)
            first = _turned_round(emit, method, emit.at(weight, start))
            second = _turned_round(emit, method, emit.at(weight, start, emit.mul(channels, _TAPS)))
            store_pairs(emit, first, second, panel, emit.mul(k, 2 * lanes), plane)

        emit.each(0, channels, lanes, some)

    emit.each(0, outs, 2, terms)
    return emit.text()


def _turned_round(emit: Emitter, method: Method, start: Half) -> Square:
    order = slice(None, None, -1 if method.is_turned else 1)
    square = [line[order] for line in load_kernels(emit, start)[order]]
    return transformed(emit, square, method.kernel)
