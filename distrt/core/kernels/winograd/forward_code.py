"""Winograd's convolution forward, in LLVM's language; see ``convolution.py`` for who calls it with what.

Everything is done for a block of tiles at a time, which stays in the cache; ``rows`` is the room for a block's tiles.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from distrt.core.kernels.emitter import Emitter
from distrt.core.kernels.tile_code import multiply_panels
from distrt.core.kernels.winograd.images import (
    Images,
    Pieces,
    Tiles,
    blocks,
    each_product,
    loaded,
    pixels,
    places,
    plane_of,
    store_planes,
)
from distrt.core.kernels.winograd.tiles import Method, transformed

__all__ = ["forward_code"]

#: Rows of a product that are made at once, and at the end: with two vectors each, they fill the registers.
_MADE_AT_ONCE = (6,)

#: The same for bfloat16: a processor that multiplies it has 32 registers.
_MADE_OF_PAIRS = (12, 4)

Value = Any  # of llvmlite.ir


def forward_code(lanes: int, is_half: bool, method: Method) -> str:
    """``run(input, weight, output, bias, planes, products, zeros, sizes…)``; ``bias`` holds zeros for none.

    Sizes: the first tile and the end of those to do; tiles down and across; input height, width, channels; those of the
    output; padding above and left; tiles in a block.
    """
    emit = Emitter(7, 13, lanes, (0, 1, 2, 3, 4, 6) if is_half else ())
    image, weight, made, bias, planes, products, zeros, *sizes = emit.arguments
    begin, end, down, across, height, width, channels, out_height, out_width, outs, above, left, rows = sizes
    tiles, pieces = Tiles(down, across), Pieces(method.size, method.step, above, left)
    source = Images(image, height, width, channels, zeros)
    target = Images(made, out_height, out_width, outs, products)
    plane, out_plane = plane_of(emit, rows, channels), plane_of(emit, rows, outs)

    def block(first: Value) -> None:
        count = emit.smaller(rows, emit.builder.sub(end, first))

        def transform(number: Value) -> None:
            start = emit.at(planes, emit.mul(number, channels))
            pointers = pixels(emit, source, pieces, tiles, emit.add(first, number))

            def some(at: Value) -> None:
                square = transformed(emit, loaded(emit, pointers, at), method.input)
                store_planes(emit, square, start, at, plane)

            emit.each(0, channels, lanes, some)

        emit.each(0, count, 1, transform)

        def multiply(number: Value, of_weight: Value) -> None:
            multiply_panels(
                emit,
                _MADE_OF_PAIRS if is_half else _MADE_AT_ONCE,
                emit.at(planes, emit.mul(number, plane)),
                emit.at(weight, emit.mul(of_weight, plane_of(emit, channels, outs))),
                partial(_row, emit, emit.at(products, emit.mul(number, out_plane)), outs),
                *(count, channels, outs),
            )

        each_product(emit, method, multiply)

        def finish(number: Value) -> None:
            start = emit.at(products, emit.mul(number, outs))
            _write_tile(emit, method, target, tiles, emit.add(first, number), start, out_plane, bias)

        emit.each(0, count, 1, finish)

    blocks(emit, begin, end, rows, block)
    return emit.text()


def _row(emit: Emitter, start: Value, width: Value, number: Value) -> Value:
    return emit.at(start, emit.mul(number, width))


def _write_tile(
    emit: Emitter,
    method: Method,
    images: Images,
    tiles: Tiles,
    tile: Value,
    start: Value,
    plane: Value,
    bias: Value,
) -> None:
    """The output pixels of a tile, without those outside of the image."""
    found = places(emit, images, Pieces(method.output, method.output), tiles, tile)
    known = [each for line in found for each in line]
    # A pixel that is not there is written where the tile's first pixel is, before that: so no branch is needed.
    targets = [emit.choose(is_there, place, known[0][0]) for place, is_there in known]

    def write(at: Value) -> None:
        numbers = range(method.planes)
        square = [
            [emit.load(emit.at(start, at, emit.mul(plane, method.planes * i + j))) for j in numbers]
            for i in numbers
        ]
        more = emit.load(emit.at(bias, at))
        made = transformed(emit, square, method.made)
        values = [emit.sums("+", each, "+", more) for line in made for each in line]
        for value, place in reversed(list(zip(values, targets, strict=True))):
            emit.store_quickly(value, emit.at(place, at))

    emit.each(0, images.channels, emit.lanes, write)
