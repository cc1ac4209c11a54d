"""The kernels of Winograd's convolution, in LLVM's language; see ``convolution.py`` for who calls them with what.

Images lie with their channels last. Tiles are counted through an image row by row, two output pixels apart. Everything
is done for a block of tiles at a time, which stays in the cache; ``rows`` is the room for a block's tiles.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.loop_code import INDEX
from distrt.core.kernels.tile_code import load_tile, multiply_tile, store_tile
from distrt.core.kernels.winograd.tiles import (
    Square,
    gradient_tile,
    input_tile,
    kernel_gradient_tile,
    kernel_tile,
    output_tile,
)

__all__ = ["forward_code", "weight_code", "weight_gradient_code", "weight_gradient_end_code"]

#: Rows of a product that are made at once: with two vectors each, they fill the registers.
_MADE_AT_ONCE = 6

#: The same for a weight's gradient, where they come out of a panel.
_MADE_OF_PANEL = 4

_TILE, _KERNEL, _OUTPUT = 4, 3, 2

Value = Any  # of llvmlite.ir


class _Images(NamedTuple):
    """Images of this height and width; a place outside of them is ``zeros``."""

    pixels: Value
    height: Value
    width: Value
    channels: Value
    zeros: Value


class _Tiles(NamedTuple):
    """How tiles are counted: so many in each direction, the first of them so far above and left of the input."""

    down: Value
    across: Value
    above: Value
    left: Value


def forward_code(lanes: int) -> str:
    """``run(input, weight, output, bias, transformed, products, zeros, sizes…)``; ``bias`` holds zeros for none.

    Sizes: the first tile and the end of those to do; tiles down and across; input height, width, channels; those of the
    output; padding above and left; tiles in a block.
    """
    emit = Emitter(7, 13, lanes)
    image, weight, made, bias, transformed, products, zeros, *sizes = emit.arguments
    begin, end, down, across, height, width, channels, out_height, out_width, outs, above, left, rows = sizes
    places = _Tiles(down, across, above, left)
    source = _Images(image, height, width, channels, zeros)
    target = _Images(made, out_height, out_width, outs, products)
    plane, out_plane = emit.mul(rows, channels), emit.mul(rows, outs)

    def block(first: Value) -> None:
        count = emit.smaller(rows, emit.builder.sub(end, first))

        def transform(number: Value) -> None:
            start = emit.at(transformed, emit.mul(number, channels))
            pointers = _pixels(emit, source, places, emit.add(first, number), _TILE)
            emit.each(
                0,
                channels,
                lanes,
                lambda at: _store_planes(
                    emit, input_tile(emit, _loaded(emit, pointers, at)), start, at, plane
                ),
            )

        emit.each(0, count, 1, transform)
        _products(emit, transformed, weight, products, count, channels, outs, plane, out_plane)

        def finish(number: Value) -> None:
            start = emit.at(products, emit.mul(number, outs))
            _write_tile(emit, target, places, emit.add(first, number), start, out_plane, bias)

        emit.each(0, count, 1, finish)

    _blocks(emit, begin, end, rows, block)
    return emit.text()


def _blocks(emit: Emitter, begin: Value, end: Value, rows: Value, block: Any) -> None:
    """Calls ``block`` with the number of each block's first tile."""
    blocks = emit.builder.sdiv(emit.add(emit.builder.sub(end, begin), rows, -1), rows)
    emit.each(0, blocks, 1, lambda number: block(emit.add(begin, emit.mul(number, rows))))


def _pixels(emit: Emitter, images: _Images, tiles: _Tiles, tile: Value, size: int) -> list[list[Value]]:
    """The addresses of a tile's pixels: of zeros for those outside."""
    row, column, start = _corner(emit, images, tiles, tile, size)
    pointers = []
    for i in range(size):
        line = []
        for j in range(size):
            y, x = emit.add(row, i), emit.add(column, j)
            is_inside = emit.builder.and_(emit.is_within(y, images.height), emit.is_within(x, images.width))
            offset = emit.mul(emit.add(emit.mul(emit.add(start, y), images.width), x), images.channels)
            line.append(emit.builder.select(is_inside, emit.at(images.pixels, offset), images.zeros))
        pointers.append(line)
    return pointers


def _corner(
    emit: Emitter, images: _Images, tiles: _Tiles, tile: Value, size: int
) -> tuple[Value, Value, Value]:
    """A tile's first row and column in its image, and the row of all images at which that begins."""
    builder = emit.builder
    each = emit.mul(tiles.down, tiles.across)
    image, inside = builder.sdiv(tile, each), builder.srem(tile, each)
    row = emit.mul(builder.sdiv(inside, tiles.across), _OUTPUT)
    column = emit.mul(builder.srem(inside, tiles.across), _OUTPUT)
    if size == _TILE:
        row, column = builder.sub(row, tiles.above), builder.sub(column, tiles.left)
    return row, column, emit.mul(image, images.height)


def _loaded(emit: Emitter, pointers: list[list[Value]], at: Value) -> Square:
    return [[emit.load(emit.at(place, at)) for place in line] for line in pointers]


def _store_planes(emit: Emitter, square: Square, start: Value, at: Value, plane: Value) -> None:
    """The vectors of a square, each in a plane of its own."""
    for number, value in enumerate(each for line in square for each in line):
        emit.store(value, emit.at(start, at, emit.mul(plane, number)))


def _products(
    emit: Emitter,
    left: Value,
    right: Value,
    made: Value,
    count: Value,
    inner: Value,
    columns: Value,
    left_plane: Value,
    made_plane: Value,
) -> None:
    """For each of 16 planes ``made = left @ right``: (count, inner) @ (inner, columns), ``right`` in panels."""
    wide = 2 * emit.lanes

    def plane(number: Value) -> None:
        a, c = emit.at(left, emit.mul(number, left_plane)), emit.at(made, emit.mul(number, made_plane))
        b = emit.at(right, emit.mul(number, inner, columns))

        def panel(column: Value) -> None:
            own = emit.at(b, emit.mul(column, inner))

            def rows(row: Value) -> None:
                lines = [emit.add(row, n) for n in range(_MADE_AT_ONCE)]
                factors = [partial(emit.at, emit.at(a, emit.mul(each, inner))) for each in lines]
                zeros = [emit.constant(0.0)] * (2 * _MADE_AT_ONCE)
                totals = multiply_tile(emit, inner, factors, own, zeros)
                store_tile(emit, totals, [emit.at(c, emit.mul(each, columns), column) for each in lines])

            emit.each(0, count, _MADE_AT_ONCE, rows)

        emit.each(0, columns, wide, panel)

    emit.each(0, _TILE * _TILE, 1, plane)


def _write_tile(
    emit: Emitter, images: _Images, tiles: _Tiles, tile: Value, start: Value, plane: Value, bias: Value
) -> None:
    """The 2×2 output pixels of a tile, without those outside of the image."""
    row, column, first = _corner(emit, images, tiles, tile, _OUTPUT)
    is_high = emit.is_within(emit.add(row, 1), images.height)
    is_wide = emit.is_within(emit.add(column, 1), images.width)
    places = []
    for i in range(_OUTPUT):
        for j in range(_OUTPUT):
            y, x = emit.add(first, row, i), emit.add(column, j)
            offset = emit.mul(emit.add(emit.mul(y, images.width), x), images.channels)
            places.append(emit.at(images.pixels, offset))
    # A pixel that is not there is written where the tile's first pixel is, before that: so no branch is needed.
    both = emit.builder.and_(is_high, is_wide)
    places = [
        places[0],
        emit.builder.select(is_wide, places[1], places[0]),
        emit.builder.select(is_high, places[2], places[0]),
        emit.builder.select(both, places[3], places[0]),
    ]

    def write(at: Value) -> None:
        square = [
            [emit.load(emit.at(start, at, emit.mul(plane, _TILE * i + j))) for j in range(_TILE)]
            for i in range(_TILE)
        ]
        more = emit.load(emit.at(bias, at))
        pixels = [emit.sums("+", each, "+", more) for line in output_tile(emit, square) for each in line]
        for value, place in reversed(list(zip(pixels, places, strict=True))):
            emit.store(value, emit.at(place, at))

    emit.each(0, images.channels, emit.lanes, write)


def weight_code(lanes: int) -> str:
    """``run(weight, transformed, inner, columns, inner_step, column_step, first, step)``: panels for ``_products``.

    The element of tap t between inner channel k and column n is ``weight[k * inner_step + n * column_step + first + t *
    step]``.
    """
    emit = Emitter(2, 6, lanes)
    weight, transformed, inner, columns, inner_step, column_step, first, step = emit.arguments
    wide, plane = 2 * lanes, emit.mul(inner, columns)

    def panel(column: Value) -> None:
        own = emit.at(transformed, emit.mul(column, inner))

        def row(k: Value) -> None:
            for half in range(2):
                starts = [
                    emit.at(
                        weight,
                        emit.mul(k, inner_step),
                        emit.mul(emit.add(column, half * lanes + lane), column_step),
                        first,
                    )
                    for lane in range(lanes)
                ]
                square = [
                    [
                        emit.gathered([emit.at(start, emit.mul(step, _KERNEL * i + j)) for start in starts])
                        for j in range(_KERNEL)
                    ]
                    for i in range(_KERNEL)
                ]
                at = emit.add(emit.mul(k, wide), half * lanes)
                _store_planes(emit, kernel_tile(emit, square), own, at, plane)

        emit.each(0, inner, 1, row)

    emit.each(0, columns, wide, panel)
    return emit.text()


def weight_gradient_code(lanes: int) -> str:
    """``run(input, gradient, totals, transformed, gradients, zeros, sizes…)``: adds to (16, channels, outs).

    Sizes: as for ``forward_code``.
    """
    emit = Emitter(6, 13, lanes)
    image, gradient, totals, transformed, gradients, zeros, *sizes = emit.arguments
    begin, end, down, across, height, width, channels, out_height, out_width, outs, above, left, rows = sizes
    places = _Tiles(down, across, above, left)
    source = _Images(image, height, width, channels, zeros)
    target = _Images(gradient, out_height, out_width, outs, zeros)
    wide = 2 * lanes

    def block(first: Value) -> None:
        count = emit.smaller(rows, emit.builder.sub(end, first))

        def put(images: _Images, size: int, change: Any, room: Value) -> None:
            plane = emit.mul(rows, images.channels)

            def transform(number: Value) -> None:
                pointers = _pixels(emit, images, places, emit.add(first, number), size)
                start = emit.at(room, emit.mul(number, wide))

                def panel(column: Value) -> None:
                    for half in range(2):
                        at = emit.add(column, half * lanes)
                        into = emit.add(emit.mul(column, rows), half * lanes)
                        _store_planes(emit, change(emit, _loaded(emit, pointers, at)), start, into, plane)

                emit.each(0, images.channels, wide, panel)

            emit.each(0, count, 1, transform)

        put(source, _TILE, input_tile, transformed)
        put(target, _OUTPUT, gradient_tile, gradients)
        _add_products(emit, transformed, gradients, totals, count, channels, outs, rows)

    _blocks(emit, begin, end, rows, block)
    return emit.text()


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

    def plane(number: Value) -> None:
        a = emit.at(left, emit.mul(number, rows, lines))
        b = emit.at(right, emit.mul(number, rows, columns))
        c = emit.at(totals, emit.mul(number, lines, columns))

        def panel(column: Value) -> None:
            own = emit.at(b, emit.mul(column, rows))

            def some(line: Value) -> None:
                inside = emit.builder.srem(line, INDEX(wide))
                factors = emit.at(a, emit.mul(emit.builder.sub(line, inside), rows), inside)
                targets = [
                    emit.at(c, emit.mul(emit.add(line, n), columns), column) for n in range(_MADE_OF_PANEL)
                ]
                rows_of_left = [
                    lambda k, n=n: emit.at(factors, emit.mul(k, wide), n) for n in range(_MADE_OF_PANEL)
                ]
                sums = multiply_tile(emit, count, rows_of_left, own, load_tile(emit, targets))
                store_tile(emit, sums, targets)

            emit.each(0, lines, _MADE_OF_PANEL, some)

        emit.each(0, columns, wide, panel)

    emit.each(0, _TILE * _TILE, 1, plane)


def weight_gradient_end_code(lanes: int) -> str:
    """``run(totals, weight, channels, outs)``: (16, channels, outs) to (outs, channels, 3, 3)."""
    emit = Emitter(2, 2, lanes)
    totals, weight, channels, outs = emit.arguments
    plane, taps = emit.mul(channels, outs), _KERNEL * _KERNEL

    def panel(column: Value) -> None:
        def row(channel: Value) -> None:
            start = emit.at(totals, emit.mul(channel, outs), column)
            square = [
                [emit.load(emit.at(start, emit.mul(plane, _TILE * i + j))) for j in range(_TILE)]
                for i in range(_TILE)
            ]
            places = [
                emit.at(weight, emit.mul(emit.add(emit.mul(emit.add(column, lane), channels), channel), taps))
                for lane in range(lanes)
            ]
            found = [each for line in kernel_gradient_tile(emit, square) for each in line]
            for tap, value in enumerate(found):
                emit.scatter(value, [emit.at(place, tap) for place in places])

        emit.each(0, channels, 1, row)

    emit.each(0, outs, lanes, panel)
    return emit.text()
