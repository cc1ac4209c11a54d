"""Winograd's gradient of a weight, in LLVM's language; see ``convolution.py`` for who calls it with what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.loop_code import INDEX
from distrt.core.kernels.rooms import GAP
from distrt.core.kernels.tile_code import load_tile, multiply_pairs, multiply_tile, store_tile
from distrt.core.kernels.winograd.images import (
    Images,
    Pieces,
    Tiles,
    blocks,
    each_total,
    loaded,
    pixels,
    plane_of,
    store_pairs,
    store_planes,
)
from distrt.core.kernels.winograd.taps import store_kernels
from distrt.core.kernels.winograd.tiles import KERNEL, KERNEL_PLANES, Along, Methods, Square, transformed

__all__ = ["weight_gradient_at_once_code", "weight_gradient_code", "weight_gradient_end_code"]

#: Rows of a product that are made at once, of a panel's numbers.
_MADE_AT_ONCE = 4
_MADE_OF_PAIRS = 8

_TAPS = KERNEL * KERNEL

Value = Any  # of llvmlite.ir


def weight_gradient_code(lanes: int, is_half: bool, methods: Methods) -> str:
    """``run(input, gradient, totals, planes, gradients, zeros, sizes…)``: adds to (16, outs, channels).

    Sizes: as for ``forward_code``.
    """
    emit = Emitter(6, 13, lanes, (0, 1, 3, 4, 5) if is_half else ())
    image, gradient, totals, planes, gradients, zeros, *sizes = emit.arguments
    begin, end, down, across, height, width, channels, out_height, out_width, outs, above, left, rows = sizes
    sides = _Sides(
        Images(image, height, width, channels, zeros),
        Images(gradient, out_height, out_width, outs, zeros),
        *(planes, gradients, rows),
    )

    def block(first: Value) -> None:
        count = emit.smaller(rows, emit.builder.sub(end, first))
        _transform(emit, methods, sides, Tiles(down, across), (above, left), first, count)
        _add_products(emit, methods, sides, totals, count)

    blocks(emit, begin, end, rows, block)
    return emit.text()


def weight_gradient_at_once_code(lanes: int, methods: Methods) -> str:
    """``run(input, gradient, weight, planes, gradients, zeros, totals, sizes…)`` for bfloat16, and all tiles.

    With few tiles, the totals would be larger than all else: here they are those of a few rows of one panel, and become
    weights at once. Sizes: as for ``forward_code``, without begin and end, and the number of tiles at last.
    """
    emit = Emitter(7, 11, lanes, (0, 1, 2, 3, 4, 5))
    image, gradient, weight, planes, gradients, zeros, totals, *sizes = emit.arguments
    down, across, height, width, channels, out_height, out_width, outs, above, left, count = sizes
    sides = _Sides(
        Images(image, height, width, channels, zeros),
        Images(gradient, out_height, out_width, outs, zeros),
        *(planes, gradients, emit.add(count, emit.builder.srem(count, INDEX(2)))),
    )
    _transform(emit, methods, sides, Tiles(down, across), (above, left), INDEX(0), count)
    wide, many = 2 * lanes, _MADE_OF_PAIRS
    plane = INDEX(many * wide + GAP)

    def panel(column: Value) -> None:
        def some(line: Value) -> None:
            def total(number: Value, over: Any) -> None:
                start = emit.at(totals, emit.mul(number, plane))
                add = partial(_added, emit, sides, line, column, count)
                sums = over([emit.constant(0.0)] * (2 * many), add)
                store_tile(emit, sums, [emit.at(start, wide * n) for n in range(many)])

            each_total(emit, methods.forward, total)

            def finish(number: Value) -> None:
                place = emit.mul(emit.add(emit.mul(emit.add(line, number), channels), column), _TAPS)
                for half in range(2):
                    start = emit.at(totals, emit.mul(number, wide), half * lanes)
                    square = transformed(emit, _totals(emit, start, plane), methods.kernel_gradient)
                    store_kernels(emit, square, emit.at(weight, place, half * lanes * _TAPS))

            emit.each(0, many, 1, finish)

        emit.each(0, outs, many, some)

    emit.each(0, channels, wide, panel)
    return emit.text()


class _Sides(NamedTuple):
    """Both factors: the images, and room in panels of planes for their transforms, for so many ``rows`` of tiles."""

    input: Images
    gradient: Images
    planes: Value
    gradients: Value
    rows: Value


def _transform(
    emit: Emitter,
    methods: Methods,
    sides: _Sides,
    tiles: Tiles,
    padding: tuple[Value, Value],
    first: Value,
    count: Value,
) -> None:
    """Transforms so many tiles of both images."""
    method = methods.forward
    outputs = Pieces(method.output, method.output)
    put = partial(_put, emit, tiles, (first, count, sides.rows))
    put(sides.input, Pieces(method.size, method.step, *padding), method.input, sides.planes)
    put(sides.gradient, outputs, methods.gradient, sides.gradients)


def _put(
    emit: Emitter,
    tiles: Tiles,
    some: tuple[Value, Value, Value],
    images: Images,
    pieces: Pieces,
    along: Along,
    room: Value,
) -> None:
    """Transforms tiles, whose first, count, and room's count are given, into panels of planes."""
    first, count, rows = some
    wide, terms = 2 * emit.lanes, 2 if isinstance(room, Half) else 1
    plane = plane_of(emit, rows, images.channels)

    def transform(number: Value) -> None:
        numbers = [emit.add(number, n) for n in range(terms)]
        pointers = [pixels(emit, images, pieces, tiles, emit.add(first, each)) for each in numbers]
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
                changed = [transformed(emit, loaded(emit, each, at), along) for each in pointers]
                if terms == 1:
                    store_planes(emit, changed[0], start, into, plane)
                else:
                    store_pairs(emit, changed[0], changed[1], start, into, plane)

        emit.each(0, images.channels, wide, panel)

    emit.each(0, count, terms, transform)


def _add_products(emit: Emitter, methods: Methods, sides: _Sides, totals: Value, count: Value) -> None:
    """For each of 16 planes ``totals += gradients.T @ planes``: (count, outs), (count, channels)."""
    many = _MADE_OF_PAIRS if isinstance(sides.planes, Half) else _MADE_AT_ONCE
    outs, channels = sides.gradient.channels, sides.input.channels

    def total(number: Value, over: Any) -> None:
        start = emit.at(totals, emit.mul(number, plane_of(emit, outs, channels)))

        def panel(column: Value) -> None:
            def some(line: Value) -> None:
                targets = [emit.at(start, emit.mul(emit.add(line, n), channels), column) for n in range(many)]
                add = partial(_added, emit, sides, line, column, count)
                store_tile(emit, over(load_tile(emit, targets), add), targets)

            emit.each(0, outs, many, some)

        emit.each(0, channels, 2 * emit.lanes, panel)

    each_total(emit, methods.forward, total)


def _added(
    emit: Emitter,
    sides: _Sides,
    line: Value,
    column: Value,
    count: Value,
    number: Value,
    totals: list[Value],
) -> list[Value]:
    """What some lines of a plane's product add to the totals."""
    rows, outs, channels = sides.rows, sides.gradient.channels, sides.input.channels
    left = emit.at(sides.gradients, emit.mul(number, plane_of(emit, rows, outs)))
    panel = emit.at(sides.planes, emit.mul(number, plane_of(emit, rows, channels)), emit.mul(column, rows))
    multiply = multiply_pairs if isinstance(left, Half) else multiply_tile
    return multiply(emit, count, _factors(emit, left, line, rows, len(totals) // 2), panel, totals)


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


def weight_gradient_end_code(lanes: int, is_half: bool, methods: Methods) -> str:
    """``run(totals, weight, channels, outs)``: (16, outs, channels) to (outs, channels, 3, 3)."""
    emit = Emitter(2, 2, lanes, (1,) if is_half else ())
    totals, weight, channels, outs = emit.arguments
    plane = plane_of(emit, channels, outs)

    def row(out: Value) -> None:
        def panel(column: Value) -> None:
            number = emit.add(emit.mul(out, channels), column)
            found = _totals(emit, emit.at(totals, number), plane)
            square = transformed(emit, found, methods.kernel_gradient)
            place = emit.at(weight, emit.mul(number, _TAPS))
            if is_half:
                store_kernels(emit, square, place)
                return
            for tap, value in enumerate(each for line in square for each in line):
                emit.scatter(value, [emit.at(place, _TAPS * lane + tap) for lane in range(lanes)])

        emit.each(0, channels, lanes, panel)

    emit.each(0, outs, 1, row)
    return emit.text()


def _totals(emit: Emitter, start: Value, plane: Value) -> Square:
    """A vector of each plane."""
    numbers = range(KERNEL_PLANES)
    return [
        [emit.load(emit.at(start, emit.mul(plane, KERNEL_PLANES * i + j))) for j in numbers] for i in numbers
    ]
