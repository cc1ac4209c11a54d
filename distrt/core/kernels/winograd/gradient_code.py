"""Winograd's gradient of a weight, in LLVM's language; see ``convolution.py`` for who calls it with what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.loop_code import INDEX
from distrt.core.kernels.rooms import GAP
from distrt.core.kernels.tile_code import load_tile, multiply_pairs, multiply_tile, store_tile
from distrt.core.kernels.winograd.images import (
    KERNEL,
    OUTPUT,
    TILE,
    Images,
    Tiles,
    blocks,
    loaded,
    pixels,
    plane_of,
    store_pairs,
    store_planes,
)
from distrt.core.kernels.winograd.taps import store_kernels
from distrt.core.kernels.winograd.tiles import Square, gradient_tile, input_tile, kernel_gradient_tile

__all__ = ["weight_gradient_at_once_code", "weight_gradient_code", "weight_gradient_end_code"]

#: Rows of a product that are made at once, of a panel's numbers.
_MADE_AT_ONCE = 4
_MADE_OF_PAIRS = 8

Value = Any  # of llvmlite.ir


def weight_gradient_code(lanes: int, is_half: bool) -> str:
    """``run(input, gradient, totals, transformed, gradients, zeros, sizes…)``: adds to (16, outs, channels).

    Sizes: as for ``forward_code``.
    """
    emit = Emitter(6, 13, lanes, (0, 1, 3, 4, 5) if is_half else ())
    image, gradient, totals, transformed, gradients, zeros, *sizes = emit.arguments
    begin, end, down, across, height, width, channels, out_height, out_width, outs, above, left, rows = sizes
    tiles = Tiles(down, across, above, left)
    source = Images(image, height, width, channels, zeros)
    target = Images(gradient, out_height, out_width, outs, zeros)

    def block(first: Value) -> None:
        count = emit.smaller(rows, emit.builder.sub(end, first))
        _put(emit, source, tiles, TILE, input_tile, (first, count, rows), transformed)
        _put(emit, target, tiles, OUTPUT, gradient_tile, (first, count, rows), gradients)
        _add_products(emit, gradients, transformed, totals, count, outs, channels, rows)

    blocks(emit, begin, end, rows, block)
    return emit.text()


def weight_gradient_at_once_code(lanes: int) -> str:
    """``run(input, gradient, weight, transformed, gradients, zeros, totals, sizes…)`` for bfloat16, and all tiles.

    With few tiles, the totals would be larger than all else: here they are those of a few rows of one panel, and become
    weights at once. Sizes: as for ``forward_code``, without begin and end, and the number
    of tiles at last.
    """
    emit = Emitter(7, 11, lanes, (0, 1, 2, 3, 4, 5))
    image, gradient, weight, transformed, gradients, zeros, totals, *sizes = emit.arguments
    down, across, height, width, channels, out_height, out_width, outs, above, left, count = sizes
    tiles = Tiles(down, across, above, left)
    source = Images(image, height, width, channels, zeros)
    target = Images(gradient, out_height, out_width, outs, zeros)
    rows = emit.add(count, emit.builder.srem(count, INDEX(2)))
    all_of_them = (INDEX(0), count, rows)
    _put(emit, source, tiles, TILE, input_tile, all_of_them, transformed)
    _put(emit, target, tiles, OUTPUT, gradient_tile, all_of_them, gradients)
    wide, many = 2 * lanes, _MADE_OF_PAIRS

    def panel(column: Value) -> None:
        def some(line: Value) -> None:
            def plane(number: Value) -> None:
                factors = _factors(
                    emit, emit.at(gradients, emit.mul(number, plane_of(emit, rows, outs))), line, rows, many
                )
                own = emit.at(
                    transformed, emit.mul(number, plane_of(emit, rows, channels)), emit.mul(column, rows)
                )
                sums = multiply_pairs(emit, rows, factors, own, [emit.constant(0.0)] * (2 * many))
                start = emit.at(totals, emit.mul(number, many * wide + GAP))
                store_tile(emit, sums, [emit.at(start, wide * n) for n in range(many)])

            emit.each(0, TILE * TILE, 1, plane)

            def finish(number: Value) -> None:
                place = emit.mul(
                    emit.add(emit.mul(emit.add(line, number), channels), column), KERNEL * KERNEL
                )
                for half in range(2):
                    start = emit.at(totals, emit.mul(number, wide), half * lanes)
                    square = kernel_gradient_tile(emit, _planes(emit, start, INDEX(many * wide + GAP)))
                    store_kernels(emit, square, emit.at(weight, place, half * lanes * KERNEL * KERNEL))

            emit.each(0, many, 1, finish)

        emit.each(0, outs, many, some)

    emit.each(0, channels, wide, panel)
    return emit.text()


def _put(
    emit: Emitter,
    images: Images,
    tiles: Tiles,
    size: int,
    change: Callable[[Emitter, Square], Square],
    some: tuple[Value, Value, Value],
    room: Value,
) -> None:
    """Transforms tiles, whose first, count, and room's count are given, into panels of planes."""
    first, count, rows = some
    wide, terms = 2 * emit.lanes, 2 if isinstance(room, Half) else 1
    plane = plane_of(emit, rows, images.channels)

    def transform(number: Value) -> None:
        numbers = [emit.add(number, n) for n in range(terms)]
        pointers = [pixels(emit, images, tiles, emit.add(first, each), size) for each in numbers]
        for n in range(1, terms):  # of an odd number of tiles the last has none beside it
            is_there = emit.is_within(numbers[n], count)
            pointers[n] = [
                [emit.choose(is_there, each, images.zeros) for each in line] for line in pointers[n]
            ]
        start = emit.at(room, emit.mul(number, wide))

        def panel(column: Value) -> None:
            for half in range(2):
                at = emit.add(column, half * emit.lanes)
                into = emit.add(emit.mul(column, rows), half * emit.lanes * terms)
                changed = [change(emit, loaded(emit, each, at)) for each in pointers]
                if terms == 1:
                    store_planes(emit, changed[0], start, into, plane)
                else:
                    store_pairs(emit, changed[0], changed[1], start, into, plane)

        emit.each(0, images.channels, wide, panel)

    emit.each(0, count, terms, transform)


def _factors(
    emit: Emitter, plane: Value, line: Value, rows: Value, many: int
) -> list[Callable[[Value], Value]]:
    """Where the terms of some lines are, of a plane in panels."""
    wide, terms = 2 * emit.lanes, 2 if isinstance(plane, Half) else 1
    inside = emit.builder.srem(line, INDEX(wide))
    start = emit.at(plane, emit.mul(emit.builder.sub(line, inside), rows), emit.mul(inside, terms))
    return [partial(_term, emit, emit.at(start, n * terms), wide) for n in range(many)]


def _term(emit: Emitter, start: Value, wide: int, k: Value) -> Value:
    return emit.at(start, emit.mul(k, wide))


def _add_products(
    emit: Emitter,
    left: Value,
    right: Value,
    totals: Value,
    count: Value,
    lines: Value,
    columns: Value,
    rows: Value,
) -> None:
    """For each of 16 planes ``totals += left.T @ right``: (count, lines), (count, columns), both in panels."""
    wide = 2 * emit.lanes
    is_paired = isinstance(left, Half)
    many = _MADE_OF_PAIRS if is_paired else _MADE_AT_ONCE
    multiply = multiply_pairs if is_paired else multiply_tile

    def plane(number: Value) -> None:
        a = emit.at(left, emit.mul(number, plane_of(emit, rows, lines)))
        b = emit.at(right, emit.mul(number, plane_of(emit, rows, columns)))
        c = emit.at(totals, emit.mul(number, plane_of(emit, lines, columns)))

        def panel(column: Value) -> None:
            own = emit.at(b, emit.mul(column, rows))

            def some(line: Value) -> None:
                targets = [emit.at(c, emit.mul(emit.add(line, n), columns), column) for n in range(many)]
                factors = _factors(emit, a, line, rows, many)
                store_tile(emit, multiply(emit, count, factors, own, load_tile(emit, targets)), targets)

            emit.each(0, lines, many, some)

        emit.each(0, columns, wide, panel)

    emit.each(0, TILE * TILE, 1, plane)


def weight_gradient_end_code(lanes: int, is_half: bool) -> str:
    """``run(totals, weight, channels, outs)``: (16, outs, channels) to (outs, channels, 3, 3)."""
    emit = Emitter(2, 2, lanes, (1,) if is_half else ())
    totals, weight, channels, outs = emit.arguments
    plane, taps = plane_of(emit, channels, outs), KERNEL * KERNEL

    def row(out: Value) -> None:
        def panel(column: Value) -> None:
            number = emit.add(emit.mul(out, channels), column)
            square = kernel_gradient_tile(emit, _planes(emit, emit.at(totals, number), plane))
            place = emit.at(weight, emit.mul(number, taps))
            if is_half:
                store_kernels(emit, square, place)
                return
            for tap, value in enumerate(each for line in square for each in line):
                emit.scatter(value, [emit.at(place, taps * lane + tap) for lane in range(lanes)])

        emit.each(0, channels, lanes, panel)

    emit.each(0, outs, 1, row)
    return emit.text()


def _planes(emit: Emitter, start: Value, plane: Value) -> Square:
    """A vector of each plane."""
    return [
        [emit.load(emit.at(start, emit.mul(plane, TILE * i + j))) for j in range(TILE)] for i in range(TILE)
    ]
