"""Batch, instance and group normalisation on GPUs: an image is read twice and written once, in each direction.

It is seen as (lines, channels, width). What is to be summed over lines and width is summed in parts, as many as fill a
GPU; a small launch puts the parts together, in an order that is always the same, and says which straight line each
channel takes; the last goes along these lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, is_on_gpu, row_major
from distrt.core.kernels.cuda.images import Seen, along, by_channel, code_of, known, summed, threads, warps
from distrt.core.kernels.cuda.launching import C_TYPES
from distrt.core.kernels.cuda.rows import computed, parameters
from distrt.core.layouts import is_channels_last, lying

__all__ = [
    "by_running",
    "move_along",
    "move_running",
    "slopes",
    "slopes_by_running",
    "standardise",
    "suits",
]

Dims = tuple[int, ...]


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
    input: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    view: Any,
    moving: tuple[Any, ...] | None = None,
) -> tuple[Array, Array, Array]:
    """As ``distrt.core.ops.nn.standardising.standardise``."""
    image, seen, sets = _seen(input, view)
    wide = computed(image)
    means, variances = np.empty((2, sets.sets), wide, like=image)
    # All that share a mean are summed at once, whichever channel they are of.
    whole = seen._replace(channels=sets.sets, width=seen.width * sets.own)
    found, columns, parts = summed(image, None, None, whole, 1)
    lines = _settled(found, means, variances, weight, bias, sets, columns, parts, eps, image, moving)
    out = along(image, None, lines, None, seen)
    shape = [1 if n in view.dims else size for n, size in enumerate(view.shape)]
    return out, means.reshape(shape), variances.reshape(shape)


def by_running(
    input: Array, weight: Array | None, bias: Array | None, mean: Array | None, variance: Array, eps: float
) -> Array:
    """Each channel of (N, C, …) minus its mean, if there is one, over the root of its variance, scaled and shifted."""
    image, seen = by_channel(input)
    center, varies = (None if each is None else known(each, image) for each in (mean, variance))
    sets = _Sets(seen.channels, 1, seen.channels, 1)
    lines = _settled(None, center, varies, weight, bias, sets, 1, 0, eps, image)
    return along(image, None, lines, None, seen)


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
    image, seen = by_channel(g if input is None else input)
    g = lying(g, is_channels_last(image))
    wide, channels = computed(image), seen.channels
    average, varies = known(mean, image), known(variance, image)
    of_bias, of_weight = (np.empty(channels, wide, like=image) for _ in range(2))
    lines = np.empty((4, channels), wide, like=image)
    sets = _Sets(channels, 1, channels, 1)
    _settle_slopes(image, g, average, varies, weight, (of_bias, of_weight, *lines), seen, sets, eps)
    scales = lines[1]
    g_input = along(g, None, (None, scales, None), None, seen) if needs[0] else None
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
    """As ``distrt.core.ops.nn.standardising.slopes``; the gradients of weight and bias in a row."""
    image, seen, sets = _seen(input, view)
    g = lying(g, is_channels_last(image))
    wide, channels = computed(image), seen.channels
    of_each = [
        np.empty(channels, wide, like=image) for _ in range(2)
    ]  # each a parameter's own, to be its gradient
    lines = np.empty((4, channels), wide, like=image)
    _settle_slopes(image, g, average, variance, weight, (*of_each, *lines), seen, sets, eps)
    centers, scales, factors, shifts = lines
    g_input = along(image, g, (centers, factors, shifts), scales, seen) if needs[0] else None
    if channels > sets.weights:
        of_each = [
            each.reshape(-1, sets.weights).sum(axis=0, dtype=np.float64).astype(wide) for each in of_each
        ]
    of_bias, of_weight = of_each
    return g_input, of_weight if weight is not None and needs[1] else None, of_bias if needs[2] else None


def move_along(input: Array, *running: Array) -> bool:
    """Whether ``standardise`` moves these running statistics: they are what is computed in, and beside the image."""
    wide = computed(input)
    return all(
        is_on_gpu(each) and each.dtype == wide and each.flags.c_contiguous and each.device == input.device
        for each in running
    )


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
    code = code_of("move_running", mean, W=C_TYPES[of_batch.dtype], PAIRED=0)
    numbers = (np.int64(mean.size), wide(1 - momentum), wide(momentum), wide(unbiased))
    code(*threads(mean.size), (*pair, *found, *numbers))
    return True


def _seen(input: Array, view: Any) -> tuple[Array, Seen, _Sets]:
    channels = input.shape[1]
    if 0 in view.dims:
        image, seen = by_channel(input)
        return image, seen, _Sets(channels, 1, channels, input.size // channels)
    own = view.shape[2] if len(view.shape) == 4 else 1
    every = input.shape[0] * channels
    seen = Seen(1, every, math.prod(input.shape[2:]))
    return row_major(input), seen, _Sets(every // own, own, channels, own * seen.width)


def _settle_slopes(
    image: Array,
    g: Array,
    means: Array,
    variances: Array,
    weight: Array | None,
    of_each: Sequence[Array],
    seen: Seen,
    sets: _Sets,
    eps: float,
) -> None:
    """Into ``of_each``: the gradients of bias and weight, center, scale, and the line of what statistics pass on."""
    wide = computed(image)
    found, columns, parts = summed(image, g, means, seen, sets.own)
    (weight,), stored = parameters(image, weight)
    code = code_of("settle_slopes", image, W=stored, PAIRED=1, T=C_TYPES[np.dtype(wide)])
    numbers = (
        *map(np.int64, (sets.sets, columns, parts, sets.own, sets.weights)),
        wide(sets.members),
        wide(eps),
    )
    code(*warps(sets.sets), (found, means, variances, weight, *of_each, *numbers))


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
    moving: tuple[Any, ...] | None = None,
) -> Array:
    """Center, factor and shift of each channel."""
    wide = computed(image)
    running_mean, running_variance, momentum, unbiased = moving or (None, None, 0, 1)
    lines = np.empty((3, sets.sets * sets.own), wide, like=image)
    (weight, bias), stored = parameters(image, weight, bias)
    numbers = (
        *map(np.int64, (sets.sets, columns, parts, sets.own, sets.weights)),
        wide(sets.members),
        wide(eps),
        *map(wide, (1 - momentum, momentum, unbiased)),
    )
    running = running_mean, running_variance
    code = code_of("settle_moments", image, W=stored, PAIRED=0, T=C_TYPES[np.dtype(wide)])
    code(*warps(sets.sets), (found, means, variances, weight, bias, *lines, *running, *numbers))
    return lines
