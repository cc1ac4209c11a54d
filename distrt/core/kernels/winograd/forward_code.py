"""Winograd's convolution forward, in LLVM's language; see ``convolution.py`` for who calls it with what.

Everything is done for a block of tiles at a time, which stays in the cache; ``rows`` is the room for a block's tiles.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.tile_code import multiply_pairs, multiply_tile, store_tile
from distrt.core.kernels.winograd.images import (
    OUTPUT,
    TILE,
    Images,
    Tiles,
    blocks,
    corner,
    loaded,
    pixels,
    plane_of,
    store_planes,
    store_quickly,
)
from distrt.core.kernels.winograd.tiles import input_tile, output_tile

__all__ = ["forward_code"]

#: Rows of a product that are made at once: with two vectors each, they fill the registers.
_MADE_AT_ONCE = 6

#: The same for bfloat16: a processor that multiplies it has 32 registers.
_MADE_OF_PAIRS = 12

Value = Any  # of llvmlite.ir


def forward_code(lanes: int, is_half: bool) -> str:
    """``run(input, weight, output, bias, transformed, products, zeros, sizes…)``; ``bias`` holds zeros for none.

    Sizes: the first tile and the end of those to do; tiles down and across; input height, width, channels; those of the
    output; padding above and left; tiles in a block.
    """
    emit = Emitter(7, 13, lanes, (0, 1, 2, 3, 4, 6) if is_half else ())
    image, weight, made, bias, transformed, products, zeros, *sizes = emit.arguments
    begin, end, down, across, height, width, channels, out_height, out_width, outs, above, left, rows = sizes
    places = Tiles(down, across, above, left)
    source = Images(image, height, width, channels, zeros)
    target = Images(made, out_height, out_width, outs, products)
    plane, out_plane = plane_of(emit, rows, channels), plane_of(emit, rows, outs)

    def block(first: Value) -> None:
        count = emit.smaller(rows, emit.builder.sub(end, first))

        def transform(number: Value) -> None:
            start = emit.at(transformed, emit.mul(number, channels))
            pointers = pixels(emit, source, places, emit.add(first, number), TILE)
            emit.each(
                0,
                channels,
                lanes,
                lambda at: store_planes(emit, input_tile(emit, loaded(emit, pointers, at)), start, at, plane),
            )

        emit.each(0, count, 1, transform)
        _products(emit, transformed, weight, products, count, channels, outs, plane, out_plane)

        def finish(number: Value) -> None:
            start = emit.at(products, emit.mul(number, outs))
            _write_tile(emit, target, places, emit.add(first, number), start, out_plane, bias)

        emit.each(0, count, 1, finish)

    blocks(emit, begin, end, rows, block)
    return emit.text()


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
    is_paired = isinstance(left, Half)
    many = _MADE_OF_PAIRS if is_paired else _MADE_AT_ONCE
    multiply = multiply_pairs if is_paired else multiply_tile

    def plane(number: Value) -> None:
        a, c = emit.at(left, emit.mul(number, left_plane)), emit.at(made, emit.mul(number, made_plane))
        b = emit.at(right, emit.mul(number, plane_of(emit, inner, columns)))

        def panel(column: Value) -> None:
            own = emit.at(b, emit.mul(column, inner))

            def rows(row: Value) -> None:
                lines = [emit.add(row, n) for n in range(many)]
                factors = [partial(emit.at, emit.at(a, emit.mul(each, inner))) for each in lines]
                zeros = [emit.constant(0.0)] * (2 * many)
                totals = multiply(emit, inner, factors, own, zeros)
                store_tile(emit, totals, [emit.at(c, emit.mul(each, columns), column) for each in lines])

            emit.each(0, count, many, rows)

        emit.each(0, columns, wide, panel)

    emit.each(0, TILE * TILE, 1, plane)


def _write_tile(
    emit: Emitter, images: Images, tiles: Tiles, tile: Value, start: Value, plane: Value, bias: Value
) -> None:
    """The 2×2 output pixels of a tile, without those outside of the image."""
    row, column, first = corner(emit, images, tiles, tile, OUTPUT)
    is_high = emit.is_within(emit.add(row, 1), images.height)
    is_wide = emit.is_within(emit.add(column, 1), images.width)
    places = []
    for i in range(OUTPUT):
        for j in range(OUTPUT):
            y, x = emit.add(first, row, i), emit.add(column, j)
            offset = emit.mul(emit.add(emit.mul(y, images.width), x), images.channels)
            places.append(emit.at(images.pixels, offset))
    # A pixel that is not there is written where the tile's first pixel is, before that: so no branch is needed.
    both = emit.builder.and_(is_high, is_wide)
    places = [
        places[0],
        emit.choose(is_wide, places[1], places[0]),
        emit.choose(is_high, places[2], places[0]),
        emit.choose(both, places[3], places[0]),
    ]

    def write(at: Value) -> None:
        square = [
            [emit.load(emit.at(start, at, emit.mul(plane, TILE * i + j))) for j in range(TILE)]
            for i in range(TILE)
        ]
        more = emit.load(emit.at(bias, at))
        pixels = [emit.sums("+", each, "+", more) for line in output_tile(emit, square) for each in line]
        for value, place in reversed(list(zip(pixels, places, strict=True))):
            store_quickly(emit, value, emit.at(place, at))

    emit.each(0, images.channels, emit.lanes, write)
