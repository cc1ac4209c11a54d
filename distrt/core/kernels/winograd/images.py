"""What the kernels of Winograd's convolution share, in LLVM's language: where tiles lie in images, and how their
transforms are stored.

Images lie with their channels last. What a tile is transformed to goes to planes, one for each of its values. In
bfloat16 these hold what the products want: pairs of terms, number by number in turns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.half_code import paired
from distrt.core.kernels.loop_code import INDEX
from distrt.core.kernels.rooms import GAP
from distrt.core.kernels.winograd.tiles import KERNEL_PLANES, Method, Square

__all__ = [
    "Images",
    "Pieces",
    "Tiles",
    "blocks",
    "each_product",
    "each_total",
    "loaded",
    "pixels",
    "places",
    "plane_of",
    "store_pairs",
    "store_planes",
]

Value = Any  # of llvmlite.ir
Add = Callable[[Value, list[Value]], list[Value]]


class Images(NamedTuple):
    """Images of this height and width; a place outside of them is ``zeros``."""

    pixels: Value
    height: Value
    width: Value
    channels: Value
    zeros: Value


class Pieces(NamedTuple):
    """Squares of images, one for each tile: of this size, so far apart, the first one so far above and left."""

    size: int
    step: int
    above: Value | int = 0
    left: Value | int = 0


class Tiles(NamedTuple):
    """How many there are in each direction; they are counted through an image row by row."""

    down: Value
    across: Value


def blocks(emit: Emitter, begin: Value, end: Value, rows: Value, block: Any) -> None:
    """Calls ``block`` with the number of each block's first tile."""
    blocks = emit.builder.sdiv(emit.add(emit.builder.sub(end, begin), rows, -1), rows)
    emit.each(0, blocks, 1, lambda number: block(emit.add(begin, emit.mul(number, rows))))


def pixels(emit: Emitter, images: Images, pieces: Pieces, tiles: Tiles, tile: Value) -> list[list[Value]]:
    """The addresses of a tile's pixels: of zeros for those outside."""
    return [
        [emit.choose(is_inside, place, images.zeros) for place, is_inside in line]
        for line in places(emit, images, pieces, tiles, tile)
    ]


def places(
    emit: Emitter, images: Images, pieces: Pieces, tiles: Tiles, tile: Value
) -> list[list[tuple[Value, Value]]]:
    """Where a tile's pixels would be, and whether they are inside of the image."""
    builder = emit.builder
    each = emit.mul(tiles.down, tiles.across)
    image, inside = builder.sdiv(tile, each), builder.srem(tile, each)
    start = emit.mul(image, images.height)  # among the rows of all images
    row = builder.sub(emit.mul(builder.sdiv(inside, tiles.across), pieces.step), emit.add(pieces.above))
    column = builder.sub(emit.mul(builder.srem(inside, tiles.across), pieces.step), emit.add(pieces.left))
    found = []
    for i in range(pieces.size):
        line = []
        for j in range(pieces.size):
            y, x = emit.add(row, i), emit.add(column, j)
            is_inside = builder.and_(emit.is_within(y, images.height), emit.is_within(x, images.width))
            offset = emit.mul(emit.add(emit.mul(emit.add(start, y), images.width), x), images.channels)
            line.append((emit.at(images.pixels, offset), is_inside))
        found.append(line)
    return found


def each_product(emit: Emitter, method: Method, body: Callable[[Value, Value], None]) -> None:
    """Calls ``body`` with the numbers of a plane of the input and of the kernel's plane that it is multiplied with."""
    last = INDEX(KERNEL_PLANES - 1)

    def line(i: Value) -> None:
        def one(j: Value) -> None:
            of_kernel = emit.add(emit.mul(emit.smaller(i, last), KERNEL_PLANES), emit.smaller(j, last))
            body(emit.add(emit.mul(i, method.planes), j), of_kernel)

        emit.each(0, method.planes, 1, one)

    emit.each(0, method.planes, 1, line)


def each_total(
    emit: Emitter,
    method: Method,
    body: Callable[[Value, Callable[[list[Value], Add], list[Value]]], None],
) -> None:
    """Calls ``body`` with the number of each of the kernel's planes, and a function that sums up over the input's.

    That takes totals to begin with, and what adds to them what comes of one plane of the input.
    """

    def end_of(number: Value) -> Value:
        is_last = emit.builder.icmp_signed("==", number, INDEX(KERNEL_PLANES - 1))
        return emit.choose(is_last, INDEX(method.planes), emit.add(number, 1))

    def line(i: Value) -> None:
        def one(j: Value) -> None:
            def over(totals: list[Value], add: Add) -> list[Value]:
                def row(a: Value, sums: list[Value]) -> list[Value]:
                    start = emit.mul(a, method.planes)
                    return emit.fold(j, end_of(j), 1, sums, lambda b, more: add(emit.add(start, b), more))

                return emit.fold(i, end_of(i), 1, totals, row)

            body(emit.add(emit.mul(i, KERNEL_PLANES), j), over)

        emit.each(0, KERNEL_PLANES, 1, one)

    emit.each(0, KERNEL_PLANES, 1, line)


def plane_of(emit: Emitter, *sizes: Value) -> Value:
    """How far apart planes of these sizes begin."""
    return emit.add(emit.mul(*sizes), GAP)


def loaded(emit: Emitter, pointers: list[list[Value]], at: Value) -> Square:
    """What stands at these addresses, so many channels further."""
    return [[emit.load(emit.at(place, at)) for place in line] for line in pointers]


def store_planes(emit: Emitter, square: Square, start: Value, at: Value, plane: Value) -> None:
    """The vectors of a square, each in a plane of its own."""
    for number, value in enumerate(each for line in square for each in line):
        place = emit.at(start, at, emit.mul(plane, number))
        emit.store_quickly(value, place)


def store_pairs(emit: Emitter, first: Square, second: Square, start: Half, at: Value, plane: Value) -> None:
    """The same for two squares, number by number in turns."""
    both = zip(
        (each for line in first for each in line), (each for line in second for each in line), strict=True
    )
    for number, pair in enumerate(both):
        place = emit.at(start, at, emit.mul(plane, number))
        emit.builder.store(paired(emit.builder, *pair), place.pointer, align=4)
