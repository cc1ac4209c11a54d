"""What the kernels of Winograd's convolution share, in LLVM's language: where tiles lie in images, and how their
transforms are stored.

Images lie with their channels last. Tiles are counted through an image row by row, two output pixels apart. A square of
16 values goes to 16 planes. In bfloat16 these hold what the products want: pairs of terms, number by number in turns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from distrt.core.kernels.emitter import Emitter, Half
from distrt.core.kernels.half_code import paired, quickly_narrowed
from distrt.core.kernels.rooms import GAP
from distrt.core.kernels.winograd.tiles import Square

__all__ = [
    "KERNEL",
    "OUTPUT",
    "TILE",
    "Images",
    "Tiles",
    "blocks",
    "corner",
    "loaded",
    "pixels",
    "plane_of",
    "store_pairs",
    "store_planes",
    "store_quickly",
]

#: Pixels in each direction that go into a tile, weights of a kernel, and pixels that come out.
TILE, KERNEL, OUTPUT = 4, 3, 2

Value = Any  # of llvmlite.ir


def plane_of(emit: Emitter, *sizes: Value) -> Value:
    """How far apart planes of these sizes begin."""
    return emit.add(emit.mul(*sizes), GAP)


class Images(NamedTuple):
    """Images of this height and width; a place outside of them is ``zeros``."""

    pixels: Value
    height: Value
    width: Value
    channels: Value
    zeros: Value


class Tiles(NamedTuple):
    """How tiles are counted: so many in each direction, the first of them so far above and left of the input."""

    down: Value
    across: Value
    above: Value
    left: Value


def blocks(emit: Emitter, begin: Value, end: Value, rows: Value, block: Any) -> None:
    """Calls ``block`` with the number of each block's first tile."""
    blocks = emit.builder.sdiv(emit.add(emit.builder.sub(end, begin), rows, -1), rows)
    emit.each(0, blocks, 1, lambda number: block(emit.add(begin, emit.mul(number, rows))))


def pixels(emit: Emitter, images: Images, tiles: Tiles, tile: Value, size: int) -> list[list[Value]]:
    """The addresses of a tile's pixels: of zeros for those outside."""
    row, column, start = corner(emit, images, tiles, tile, size)
    pointers = []
    for i in range(size):
        line = []
        for j in range(size):
            y, x = emit.add(row, i), emit.add(column, j)
            is_inside = emit.builder.and_(emit.is_within(y, images.height), emit.is_within(x, images.width))
            offset = emit.mul(emit.add(emit.mul(emit.add(start, y), images.width), x), images.channels)
            line.append(emit.choose(is_inside, emit.at(images.pixels, offset), images.zeros))
        pointers.append(line)
    return pointers


def corner(emit: Emitter, images: Images, tiles: Tiles, tile: Value, size: int) -> tuple[Value, Value, Value]:
    """A tile's first row and column in its image, and the row of all images at which that begins."""
    builder = emit.builder
    each = emit.mul(tiles.down, tiles.across)
    image, inside = builder.sdiv(tile, each), builder.srem(tile, each)
    row = emit.mul(builder.sdiv(inside, tiles.across), OUTPUT)
    column = emit.mul(builder.srem(inside, tiles.across), OUTPUT)
    if size == TILE:
        row, column = builder.sub(row, tiles.above), builder.sub(column, tiles.left)
    return row, column, emit.mul(image, images.height)


def loaded(emit: Emitter, pointers: list[list[Value]], at: Value) -> Square:
    """What stands at these addresses, so many channels further."""
    return [[emit.load(emit.at(place, at)) for place in line] for line in pointers]


def store_planes(emit: Emitter, square: Square, start: Value, at: Value, plane: Value) -> None:
    """The vectors of a square, each in a plane of its own."""
    for number, value in enumerate(each for line in square for each in line):
        place = emit.at(start, at, emit.mul(plane, number))
        store_quickly(emit, value, place)


def store_quickly(emit: Emitter, value: Value, place: Value) -> None:
    """Writes a vector. In bfloat16 the smallest numbers become 0, as in the products."""
    if isinstance(place, Half):
        emit.builder.store(quickly_narrowed(emit.builder, value), place.pointer, align=2)
    else:
        emit.store(value, place)


def store_pairs(emit: Emitter, first: Square, second: Square, start: Half, at: Value, plane: Value) -> None:
    """The same for two squares, number by number in turns."""
    both = zip(
        (each for line in first for each in line), (each for line in second for each in line), strict=True
    )
    for number, pair in enumerate(both):
        place = emit.at(start, at, emit.mul(plane, number))
        emit.builder.store(paired(emit.builder, *pair), place.pointer, align=4)
