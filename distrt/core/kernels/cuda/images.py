"""How kernels see images for norms by channel, and what these launch: sums, and straight lines along channels.

An image is seen as (lines, channels, width). Called by `channels` and `together`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, aligned, kernel
from distrt.core.kernels.cuda.rows import computed
from distrt.core.layouts import is_channels_last

__all__ = ["Seen", "along", "by_channel", "code_of", "known", "summed", "threads", "warps"]

_THREADS = 256
_VECTOR_BYTES = 16

# Blocks that keep a GPU busy, and elements of a part that are worth a block.
_ENOUGH_BLOCKS = 1024
_WORTH_A_BLOCK = 8192

# Images narrower than this are summed column by column, where there are lines enough; those below the second always.
_NARROW, _MANY_LINES, _NARROWEST = 128, 64, 32


class Seen(NamedTuple):
    """How kernels see an image, in the order in which it lies: (lines, channels, width)."""

    lines: int
    channels: int
    width: int


def by_channel(input: Array) -> tuple[Array, Seen]:
    """The image in the order in which it lies, or in row-major order, and how it is seen."""
    channels = input.shape[1]
    if is_channels_last(input):
        return input, Seen(input.size // channels, channels, 1)
    return row_major(input), Seen(input.shape[0], channels, math.prod(input.shape[2:]))


def known(statistic: Array, image: Array) -> Array:
    """One for each channel, in the dtype that images are computed in."""
    return row_major(statistic.reshape(-1).astype(computed(image), copy=False))


# What is open of kernels that do not look at it: all the same, so that what is compiled is little.
_REST: dict[str, Any] = {"W": "float", "LANES": 32, "ACROSS": 32, "I": "u32"}


def code_of(name: str, image: Array, vector: int = 1, **defined: Any) -> Any:
    """A kernel of ``code/channels.cu`` for images of a dtype, of which ``vector`` elements are read at once."""
    return kernel("channels", name, **{"T": C_TYPES[image.dtype], "VECTOR": vector, **_REST, **defined})


def warps(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of a warp for each."""
    return (min(MOST_BLOCKS, -(-count * 32 // _THREADS)),), (_THREADS,)


def threads(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of a thread for each."""
    return (-(-count // _THREADS),), (_THREADS,)


def _at_once(image: Array) -> int:
    return _VECTOR_BYTES // int(image.itemsize)


def summed(
    image: Array, g: Array | None, means: Array | None, seen: Seen, own: int
) -> tuple[Array, int, int]:
    """What kernels call found; how many columns each channel has there, and how many parts each column."""
    lines, channels, width = seen
    sums = 3 if g is None else 2
    if lines > 1 and width < (_NARROW if lines >= _MANY_LINES else _NARROWEST):
        return _summed_by_column(image, g, means, seen, own, sums)
    vector = aligned(width, _at_once(image), image, g)
    parts = max(1, min(_ENOUGH_BLOCKS // channels, lines * width // _WORTH_A_BLOCK))
    lanes = 256 if lines * width // parts > 2048 else 32
    found = np.empty(sums * parts * channels, computed(image), like=image)
    code = code_of("sums_of_planes", image, vector, PAIRED=int(g is not None), LANES=lanes)
    blocks = min(_ENOUGH_BLOCKS * 64, -(-channels * parts * lanes // _THREADS))
    numbers = map(np.int64, (lines, channels, width, own, parts))
    code((blocks,), (_THREADS,), (image, g, means, found, *numbers))
    return found, 1, parts


def _summed_by_column(
    image: Array, g: Array | None, means: Array | None, seen: Seen, own: int, sums: int
) -> tuple[Array, int, int]:
    lines, channels, width = seen
    vector = aligned(channels * width, _at_once(image), image, g)
    wide, across = channels * width // vector, 1
    while across < min(32, wide):
        across *= 2
    blocks = -(-wide // across)
    parts = max(1, min(-(-_ENOUGH_BLOCKS // blocks), lines // (4 * _THREADS // across), 65535))
    stretch = -(-lines // parts)
    parts = -(-lines // stretch)
    found = np.empty(sums * parts * channels * width, computed(image), like=image)
    code = code_of("sums_of_columns", image, vector, PAIRED=int(g is not None), ACROSS=across)
    numbers = map(np.int64, (lines, channels, width, own, stretch))
    code((blocks, parts), (_THREADS,), (image, g, means, found, *numbers))
    return found, width, parts


def along(image: Array, g: Array | None, lines: Any, scales: Array | None, seen: Seen) -> Array:
    """Each channel along its line, where the image's elements lie."""
    out = np.empty_like(image)
    vector = aligned(_VECTOR_BYTES, _at_once(image), image, g, out)
    index = "u32" if image.size < 1 << 31 else "u64"
    code = code_of("along_lines", image, vector, PAIRED=int(g is not None), I=index)
    blocks = min(MOST_BLOCKS, -(-image.size // (vector * _THREADS)))
    centers, factors, shifts = lines
    numbers = map(np.int64, (image.size, seen.channels, seen.width))
    code((blocks,), (_THREADS,), (image, g, centers, factors, shifts, scales, out, *numbers))
    return out
