"""Pooling on GPUs, and the way back: one launch each, without a wait, in the order in which the image lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, kernel
from distrt.core.layouts import empty_lying, is_channels_last, lying

__all__ = [
    "averages",
    "bin_averages",
    "gathered",
    "largest",
    "largest_at_random",
    "largest_of_bins",
    "places_of",
    "shares_in",
    "suits",
    "won",
]

_THREADS = 256
_SIZES = ("in", "out", "kernel", "stride", "padding", "dilation")
_WINDOWS = np.dtype(
    [
        ("channels", np.int32),
        *((name, np.int32, (3,)) for name in _SIZES),
        ("divisor", np.int32),
        ("counts_padding", np.int32),
    ],
    align=True,
)

# Windows of so many elements have a warp each, unless channels lie side by side and there are results enough.
_LARGE, _ENOUGH = 64, 1 << 15

Sizes = tuple[int, ...]


def suits(input: Array) -> bool:
    """Whether the kernels do an image: floating, on a GPU, (N, C, …) or (C, …)."""
    return is_on_gpu(input) and input.dtype in C_TYPES


def largest(
    input: Array, out: Sizes, window: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, number_type: Any
) -> tuple[Array, Array]:
    """The largest element of each window, and its number among the window's positions."""
    image, is_last = _laid(input, len(out))
    shape = (*image.shape[: -len(out)], *out)
    best, winner = (empty_lying(shape, dtype, is_last, image) for dtype in (image.dtype, number_type))
    table = _table(image.shape, shape, is_last, window, stride, padding, dilation)
    _launch("largest", best, (image, best, winner, None, None), table, image, _kind(winner))
    return best, winner


def largest_of_bins(input: Array, out: Sizes) -> tuple[Array, Array]:
    """The largest element of each of ``out`` bins, and its place in its plane, in row-major order."""
    image = row_major(input)
    shape = (*image.shape[: -len(out)], *out)
    best, places = np.empty(shape, image.dtype, like=image), np.empty(shape, np.int64, like=image)
    table = _table(image.shape, shape, False, *_none(len(out)))
    _launch("largest", best, (image, best, None, places, None), table, image, ADAPTIVE=1)
    return best, places


def largest_at_random(input: Array, out: Sizes, window: Sizes, samples: Array) -> tuple[Array, Array]:
    """The largest element of each of ``out`` windows at random steps, and its place in its plane.

    Shape: samples (..., dims), a row for each plane of the input, of its dtype.
    """
    image, dims = row_major(input), len(out)
    shape = (*image.shape[:-dims], *out)
    best, places = np.empty(shape, image.dtype, like=image), np.empty(shape, np.int64, like=image)
    table = _table(image.shape, shape, False, window, *_none(dims)[1:])
    arrays = image, best, None, places, row_major(samples)
    _launch("largest", best, arrays, table, image, FRACTIONAL=dims)
    return best, places


def gathered(
    g: Array, places: Array, shape: Sizes, dims: int, window: Sizes | None, samples: Array | None
) -> Array:
    """To each element of images of ``shape`` the gradients of the bins, or windows, that found it the largest.

    Args:
        g, places: of each of them.
        shape, dims: of the images, and how many dims have bins.
        window, samples: as `largest_at_random` had them; None for bins.
    """
    g = row_major(g)
    found = np.empty(shape, g.dtype, like=g)
    table = _table(shape, g.shape, False, window or _none(dims)[0], *_none(dims)[1:])
    arrays = g, row_major(places), None if samples is None else row_major(samples), found
    are_bins = samples is None
    _launch("gathered", found, arrays, table, g, ADAPTIVE=int(are_bins), FRACTIONAL=0 if are_bins else dims)
    return found


def places_of(
    winner: Array, shape: Sizes, window: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Array:
    """The places in their planes of what won in each window of images of ``shape``."""
    winner, is_last = _laid(winner, len(window))
    places = empty_lying(winner.shape, np.int64, is_last, winner)
    table = _table(shape, winner.shape, is_last, window, stride, padding, dilation)
    _launch("places_of", places, (winner, places), table, winner, _kind(winner), T="float")
    return places


def won(
    g: Array, winner: Array, shape: Sizes, window: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Array:
    """To each element of images of ``shape`` the gradients of the windows that it has won, in the winners' order."""
    winner, is_last = _laid(winner, len(window))
    g = lying(g, is_last)
    found = empty_lying(shape, g.dtype, is_last, g)
    table = _table(shape, winner.shape, is_last, window, stride, padding, dilation)
    _launch("won", found, (g, winner, found), table, g, _kind(winner))
    return found


def averages(
    input: Array,
    out: Sizes,
    window: Sizes,
    stride: Sizes,
    padding: Sizes,
    count_include_pad: bool,
    divisor: int | None,
) -> Array:
    """The mean of each window, in row-major order: its sum over ``divisor``, or over how many elements it has."""
    image = row_major(input)
    made = np.empty((*image.shape[: -len(out)], *out), image.dtype, like=image)
    table = _table(image.shape, made.shape, False, window, stride, padding, _none(len(out))[0])
    table["divisor"], table["counts_padding"] = divisor or 0, count_include_pad
    _launch("averages", made, (image, made), table, image, LANES=_lanes(math.prod(window), made, False))
    return made


def bin_averages(input: Array, out: Sizes) -> Array:
    """The mean of each of ``out`` bins, in the image's order."""
    image, is_last = _laid(input, len(out))
    made = empty_lying((*image.shape[: -len(out)], *out), image.dtype, is_last, image)
    table = _table(image.shape, made.shape, is_last, *_none(len(out)))
    volume = math.prod(image.shape[-len(out) :]) // max(1, math.prod(out))
    _launch("averages", made, (image, made), table, image, LANES=_lanes(volume, made, is_last), ADAPTIVE=1)
    return made


def shares_in(
    g: Array,
    shape: Sizes,
    window: Sizes | None = None,
    stride: Sizes | None = None,
    padding: Sizes | None = None,
    count_include_pad: bool = True,
    divisor: int | None = None,
    *,
    dims: int,
) -> Array:
    """To each element of images of ``shape`` its shares in the gradients of windows, or of bins where none is given."""
    g, is_last = (row_major(g), False) if window is not None else _laid(g, dims)
    found = empty_lying(shape, g.dtype, is_last, g)
    none = _none(dims)
    table = _table(shape, g.shape, is_last, window or none[0], stride or none[1], padding or none[2], none[3])
    table["divisor"], table["counts_padding"] = divisor or 0, count_include_pad
    _launch("shares_in", found, (g, found), table, g, ADAPTIVE=int(window is None))
    return found


# How images lie


def _laid(image: Array, dims: int) -> tuple[Array, bool]:
    """Images of so many dims whose channels lie side by side, or some in row-major order; and which they are."""
    is_last = image.ndim == dims + 2 and is_channels_last(image)
    return (image if is_last else row_major(image)), is_last


def _none(dims: int) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """Windows, strides, paddings and dilations that change nothing."""
    ones = (1,) * dims
    return ones, ones, (0,) * dims, ones


def _table(
    image: Sizes,
    out: Sizes,
    is_last: bool,
    window: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
) -> Any:
    """The kernels' argument; dims that are missing have one element."""
    table = np.zeros(1, _WINDOWS)
    dims = len(window)
    table["channels"] = image[-dims - 1] if is_last else 1
    sizes = (image[-dims:], out[-dims:], window, stride, padding, dilation)
    for name, given in zip(_SIZES, sizes, strict=True):
        table[name] = [int(name != "padding")] * (3 - dims) + list(given)
    return table


def _kind(winner: Array) -> str:
    return {1: "signed char", 4: "int"}[winner.dtype.itemsize]


def _lanes(volume: int, made: Array, is_last: bool) -> int:
    return 32 if volume >= _LARGE and not (is_last and made.size >= _ENOUGH) else 1


def _launch(
    name: str,
    made: Array,
    arrays: tuple[Any, ...],
    table: Any,
    image: Array,
    kind: str = "int",
    **defined: Any,
) -> None:
    """A thread for each element of ``made``, or several."""
    if not made.size:
        return
    index = "u32" if max(made.size, image.size) < 1 << 31 else "u64"
    choices = {
        "T": C_TYPES.get(image.dtype),
        "N": kind,
        "I": index,
        "ADAPTIVE": 0,
        "FRACTIONAL": 0,
        "LANES": 1,
    }
    choices |= defined
    blocks = min(MOST_BLOCKS, -(-made.size * choices["LANES"] // _THREADS))
    kernel("pooling", name, **choices)((blocks,), (_THREADS,), (*arrays, np.int64(made.size), table))
