"""Batch, instance and group normalisation on GPUs: an image is read twice and written once, in each direction.

It is seen as (lines, channels, width). What is to be summed over lines and width is summed in parts, as many as fill a
GPU; a small launch puts the parts together, in an order that is always the same, and says which straight line each
channel takes; the last goes along these lines.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.launching import C_TYPES, MOST_BLOCKS, aligned, kernel
from distrt.core.kernels.cuda.rows import computed, parameters
from distrt.core.layouts import is_channels_last, lying

__all__ = ["by_running", "move_running", "slopes", "slopes_by_running", "standardise", "suits"]

_THREADS = 256
_VECTOR_BYTES = 16

# Blocks that keep a GPU busy, and elements of a part that are worth a block.
_ENOUGH_BLOCKS = 1024
_WORTH_A_BLOCK = 8192

# Images narrower than this are summed column by column, where there are lines enough; those below the second always.
_NARROW, _MANY_LINES, _NARROWEST = 128, 64, 32

Dims = tuple[int, ...]


class _Seen(NamedTuple):
    """How kernels see an image, in the order in which it lies: (lines, channels, width)."""

    lines: int
    channels: int
    width: int


class _Sets(NamedTuple):
    """What shares a mean: so many sets of ``own`` channels each, whose weights are those of ``weights`` channels."""

    sets: int
    own: int
    weights: int
    members: int  # elements of a set


def suits(input: Array, dims: Dims) -> bool:
    """Whether these kernels take statistics over some dims of (N, C, everything) or (N, groups, own, everything)."""
    return is_on_gpu(input) and input.size > 0 and input.dtype in C_TYPES and dims in ((0, 2), (2,), (2, 3))


def standardise(
    input: Array, weight: Array | None, bias: Array | None, eps: float, view: Any
) -> tuple[Array, Array, Array]:
    """As ``distrt.core.ops.nn.standardising.standardise``."""
    image, seen, sets = _seen(input, view)
    wide = computed(image)
    means, variances = np.empty((2, sets.sets), wide, like=image)
    # All that share a mean are summed at once, whichever channel they are of.
    whole = seen._replace(channels=sets.sets, width=seen.width * sets.own)
    found, columns, parts = _summed(image, None, None, whole, 1)
    lines = _settled(found, means, variances, weight, bias, sets, columns, parts, eps, image)
    out = _along(image, None, lines, None, seen)
    shape = [1 if n in view.dims else size for n, size in enumerate(view.shape)]
    return out, means.reshape(shape), variances.reshape(shape)


def by_running(
    input: Array, weight: Array | None, bias: Array | None, mean: Array | None, variance: Array, eps: float
) -> Array:
    """Each channel of (N, C, …) minus its mean, if there is one, over the root of its variance, scaled and shifted."""
    image, seen = _by_channel(input)
    known = [None if each is None else _known(each, image) for each in (mean, variance)]
    sets = _Sets(seen.channels, 1, seen.channels, 1)
    lines = _settled(None, known[0], known[1], weight, bias, sets, 1, 0, eps, image)
    return _along(image, None, lines, None, seen)


def slopes_by_running(
    g: Array,
    input: Array | None,
    weight: Array | None,
    mean: Array,
    variance: Array,
    eps: float,
    needs: tuple[bool, ...],
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of what `by_running` is given: the statistics have none. ``input`` is for the weight's alone."""
    if not any(needs[1:]):
        return by_running(g, weight, None, None, variance, eps), None, None
    image, seen = _by_channel(g if input is None else input)
    g = lying(g, is_channels_last(image))
    wide, channels = computed(image), seen.channels
    average, varies = _known(mean, image), _known(variance, image)
    of_each = np.empty((6, channels), wide, like=image)
    _settle_slopes(image, g, average, varies, weight, of_each, seen, _Sets(channels, 1, channels, 1), eps)
    of_bias, of_weight, _, scales = of_each[:4]
    g_input = _along(g, None, (None, scales, None), None, seen) if needs[0] else None
    return g_input, of_weight if needs[1] else None, of_bias if needs[2] else None


def slopes(
    g: Array,
    input: Array,
    weight: Array | None,
    average: Array,
    variance: Array,
    eps: float,
    needs: tuple[bool, ...],
    view: Any,
) -> tuple[Array | None, Array | None, Array | None]:
    """As ``distrt.core.ops.nn.standardising.slopes``."""
    image, seen, sets = _seen(input, view)
    g = lying(g, is_channels_last(image))
    wide, channels = computed(image), seen.channels
    of_each = np.empty((6, channels), wide, like=image)
    _settle_slopes(image, g, average, variance, weight, of_each, seen, sets, eps)
    centers, scales, factors, shifts = of_each[2:]
    g_input = _along(image, g, (centers, factors, shifts), scales, seen) if needs[0] else None
    of_each = of_each[:2].reshape(2, -1, sets.weights)
    if of_each.shape[1] > 1:
        of_each = of_each.sum(axis=1, dtype=np.float64).astype(wide)
    of_bias, of_weight = of_each.reshape(2, -1)
    g_weight = None if weight is None or not needs[1] else of_weight.reshape(weight.shape)
    return g_input, g_weight, of_bias.reshape(view.parameters) if needs[2] else None


def move_running(
    mean: Array, variance: Array, of_batch: Array, varies: Array, momentum: float, unbiased: float
) -> bool:
    """Moves both running statistics towards a batch's, in place and in one launch; False where it cannot.

    Args:
        mean, variance: the running ones.
        of_batch, varies: the batch's.
        momentum: how far they go.
        unbiased: what the batch's variance is multiplied with.
    """
    pair, found = (mean, variance), (of_batch, varies)
    kinds = {each.dtype for each in pair}, {each.dtype for each in found}
    if any(len(each) > 1 or not each <= set(C_TYPES) for each in kinds):
        return False
    if not all(each.flags.c_contiguous for each in (*pair, *found)):
        return False
    wide = computed(mean)
    code = kernel("channels", "move_running", **_types(mean, 1), W=C_TYPES[of_batch.dtype], PAIRED=0, **_REST)
    numbers = (np.int64(mean.size), wide(1 - momentum), wide(momentum), wide(unbiased))
    code((-(-mean.size // _THREADS),), (_THREADS,), (*pair, *found, *numbers))
    return True


# How an image is seen


def _by_channel(input: Array) -> tuple[Array, _Seen]:
    """The image in the order in which it lies, or in row-major order, and how it is seen."""
    channels = input.shape[1]
    if is_channels_last(input):
        return input, _Seen(input.size // channels, channels, 1)
    return row_major(input), _Seen(input.shape[0], channels, math.prod(input.shape[2:]))


def _known(statistic: Array, image: Array) -> Array:
    """One for each channel, in the dtype that images are computed in."""
    return row_major(statistic.reshape(-1).astype(computed(image), copy=False))


def _seen(input: Array, view: Any) -> tuple[Array, _Seen, _Sets]:
    channels = input.shape[1]
    if 0 in view.dims:
        image, seen = _by_channel(input)
        return image, seen, _Sets(channels, 1, channels, input.size // channels)
    own = view.shape[2] if len(view.shape) == 4 else 1
    every = input.shape[0] * channels
    seen = _Seen(1, every, math.prod(input.shape[2:]))
    return row_major(input), seen, _Sets(every // own, own, channels, own * seen.width)


# Launches

# What is open of kernels that do not look at it: all the same, so that what is compiled is little.
_REST: dict[str, Any] = {"LANES": 32, "ACROSS": 32, "I": "u32"}


def _types(image: Array, vector: int) -> dict[str, Any]:
    return {"T": C_TYPES[image.dtype], "VECTOR": vector}


def _code(name: str, image: Array, vector: int = 1, **defined: Any) -> Any:
    return kernel("channels", name, **{**_types(image, vector), "W": "float", **_REST, **defined})


def _warps(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of a warp for each."""
    return (min(MOST_BLOCKS, -(-count * 32 // _THREADS)),), (_THREADS,)


def _at_once(image: Array) -> int:
    return _VECTOR_BYTES // int(image.itemsize)


def _summed(
    image: Array, g: Array | None, means: Array | None, seen: _Seen, own: int
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
    code = _code("sums_of_planes", image, vector, PAIRED=int(g is not None), LANES=lanes)
    blocks = min(_ENOUGH_BLOCKS * 64, -(-channels * parts * lanes // _THREADS))
    numbers = map(np.int64, (lines, channels, width, own, parts))
    code((blocks,), (_THREADS,), (image, g, means, found, *numbers))
    return found, 1, parts


def _summed_by_column(
    image: Array, g: Array | None, means: Array | None, seen: _Seen, own: int, sums: int
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
    code = _code("sums_of_columns", image, vector, PAIRED=int(g is not None), ACROSS=across)
    numbers = map(np.int64, (lines, channels, width, own, stretch))
    code((blocks, parts), (_THREADS,), (image, g, means, found, *numbers))
    return found, width, parts


def _settle_slopes(
    image: Array,
    g: Array,
    means: Array,
    variances: Array,
    weight: Array | None,
    of_each: Array,
    seen: _Seen,
    sets: _Sets,
    eps: float,
) -> None:
    """Into ``of_each``: the gradients of bias and weight, center, scale, and the line of what statistics pass on."""
    wide = computed(image)
    found, columns, parts = _summed(image, g, means, seen, sets.own)
    (weight,), stored = parameters(image, weight)
    code = _code("settle_slopes", image, W=stored, PAIRED=1, T=C_TYPES[np.dtype(wide)])
    numbers = (
        *map(np.int64, (sets.sets, columns, parts, sets.own, sets.weights)),
        wide(sets.members),
        wide(eps),
    )
    code(*_warps(sets.sets), (found, means, variances, weight, *of_each, *numbers))


def _settled(
    found: Array | None,
    means: Array | None,
    variances: Array,
    weight: Array | None,
    bias: Array | None,
    sets: _Sets,
    columns: int,
    parts: int,
    eps: float,
    image: Array,
) -> Array:
    """Center, factor and shift of each channel."""
    wide = computed(image)
    lines = np.empty((3, sets.sets * sets.own), wide, like=image)
    (weight, bias), stored = parameters(image, weight, bias)
    numbers = (
        *map(np.int64, (sets.sets, columns, parts, sets.own, sets.weights)),
        wide(sets.members),
        wide(eps),
    )
    code = _code("settle_moments", image, W=stored, PAIRED=0, T=C_TYPES[np.dtype(wide)])
    code(*_warps(sets.sets), (found, means, variances, weight, bias, *lines, *numbers))
    return lines


def _along(image: Array, g: Array | None, lines: Any, scales: Array | None, seen: _Seen) -> Array:
    """Each channel along its line, where the image's elements lie."""
    out = np.empty_like(image)
    vector = aligned(_VECTOR_BYTES, _at_once(image), image, g, out)
    index = "u32" if image.size < 1 << 31 else "u64"
    code = _code("along_lines", image, vector, PAIRED=int(g is not None), I=index)
    blocks = min(MOST_BLOCKS, -(-image.size // (vector * _THREADS)))
    centers, factors, shifts = lines
    numbers = map(np.int64, (image.size, seen.channels, seen.width))
    code((blocks,), (_THREADS,), (image, g, centers, factors, shifts, scales, out, *numbers))
    return out
