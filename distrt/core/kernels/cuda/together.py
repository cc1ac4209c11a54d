"""Batch normalisation on GPUs by the statistics of several ranks' images together: `distrt.parallel.global_batch`.

A rank's image is read twice and written once, in each direction; what travels between ranks is float64.
"""

from __future__ import annotations

import numpy as np

from distrt.core.arrays import Array, row_major
from distrt.core.kernels.cuda.images import Seen, along, by_channel, code_of, known, summed, threads, warps
from distrt.core.kernels.cuda.launching import C_TYPES
from distrt.core.kernels.cuda.rows import computed, parameters
from distrt.core.layouts import is_channels_last, lying

__all__ = ["by_statistics", "combined", "own_slopes", "own_statistics", "slopes_by_statistics"]


def own_statistics(input: Array) -> Array:
    """How many values each channel of (N, C, …) has, their means, and their squared distances from these: (1 + 2 C)."""
    image, seen = by_channel(input)
    return _settle_own(image, None, None, None, seen, image.size // seen.channels, 0.0)


def combined(rows: Array) -> tuple[Array, Array]:
    """Means and squared distances from them, of all ranks' `own_statistics` (R, 1 + 2 C), one after another."""
    channels = rows.shape[1] // 2
    mean, squares = np.empty((2, channels), np.float64, like=rows)
    code = code_of("combine_rows", rows, PAIRED=0)
    code(*threads(channels), (row_major(rows), mean, squares, np.int64(len(rows)), np.int64(channels)))
    return mean, squares


def by_statistics(
    input: Array, weight: Array | None, bias: Array | None, mean: Array, squares: Array, size: int, eps: float
) -> Array:
    """Each channel minus its mean, over the root of its variance, which is ``squares / size``, scaled and shifted."""
    image, seen = by_channel(input)
    centers, factors, shifts, _ = _settled_together(image, mean, squares, None, weight, bias, size, eps)
    return along(image, None, (centers, factors, shifts), None, seen)


def own_slopes(g: Array, input: Array, mean: Array, squares: Array, size: int, eps: float) -> Array:
    """The gradients of bias and weight of one rank's image (2, C)."""
    image, seen = by_channel(input)
    return _settle_own(image, lying(g, is_channels_last(image)), mean, squares, seen, size, eps)


def slopes_by_statistics(
    g: Array,
    input: Array,
    weight: Array | None,
    sums: Array,
    mean: Array,
    squares: Array,
    size: int,
    eps: float,
) -> Array:
    """The gradient of one rank's image; ``sums`` of all ranks' `own_slopes`."""
    image, seen = by_channel(input)
    lines = _settled_together(image, mean, squares, sums, weight, None, size, eps)
    return along(image, lying(g, is_channels_last(image)), lines[:3], lines[3], seen)


def _settle_own(
    image: Array,
    g: Array | None,
    mean: Array | None,
    squares: Array | None,
    seen: Seen,
    count: int,
    eps: float,
) -> Array:
    means = None if mean is None else known(mean, image)
    found, columns, parts = summed(image, g, means, seen, 1)
    shape = (1 + 2 * seen.channels,) if g is None else (2, seen.channels)
    own = np.empty(shape, np.float64, like=image)
    code = code_of("settle_own", image, PAIRED=int(g is not None), T=C_TYPES[np.dtype(computed(image))])
    numbers = map(np.int64, (seen.channels, columns, parts))
    code(*warps(seen.channels), (found, own, squares, *numbers, np.float64(count), np.float64(eps)))
    return own


def _settled_together(
    image: Array,
    mean: Array,
    squares: Array,
    sums: Array | None,
    weight: Array | None,
    bias: Array | None,
    size: int,
    eps: float,
) -> Array:
    """Center, factor and shift of each channel, and the gradient's scale where ``sums`` are given."""
    wide, channels = computed(image), len(mean)
    lines: Array = np.empty((4, channels), wide, like=image)
    (weight, bias), stored = parameters(image, weight, bias)
    paired = int(sums is not None)
    code = code_of("settle_together", image, W=stored, PAIRED=paired, T=C_TYPES[np.dtype(wide)])
    numbers = np.int64(channels), np.float64(size), np.float64(eps)
    code(*threads(channels), (mean, squares, sums, weight, bias, *lines, *numbers))
    return lines
