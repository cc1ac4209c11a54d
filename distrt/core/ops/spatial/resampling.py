"""Resampling along dims: each new position is a weighted sum of a few old ones, its *taps*.

Every mode of ``interpolate`` is such a linear map for each dim by itself, told by a :class:`Taps`
(``resampling_taps.py`` makes them), so one operation serves all; its derivative is the same operation with the maps
transposed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distrt.core.arrays import Array
from distrt.core.gpu.places import table
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide

__all__ = ["resample"]


class Taps(NamedTuple):
    """The linear map of one dim.

    Attributes:
        index: (taps, new size), the old positions.
        weight: (taps, new size), or None for one tap of weight 1.
        old_size: how many old positions there are.
    """

    index: Array
    weight: Array | None
    old_size: int

    @property
    def ratio(self) -> float:
        """The new size by the old."""
        return self.index.shape[1] / self.old_size  # type: ignore[no-any-return]

    def transposed(self) -> Taps:
        """The map back: for each old position the new ones that it is a tap of."""
        new_size = self.index.shape[1]
        weight = np.ones(self.index.shape, np.float32) if self.weight is None else self.weight
        order = np.argsort(self.index, axis=None, kind="stable")
        old, new = self.index.ravel()[order], np.tile(np.arange(new_size), len(self.index))[order]
        counts = np.bincount(old, minlength=self.old_size)
        firsts = np.cumsum(counts) - counts
        place = np.arange(len(old)) - firsts[old]
        # Where there are fewer taps than elsewhere, the first one with weight 0: what is not a number stays local.
        padding = new[np.minimum(firsts, len(new) - 1)]
        index = np.tile(padding, (counts.max(), 1))
        weights = np.zeros(index.shape, weight.dtype, like=weight)
        index[place, old] = new
        weights[place, old] = weight.ravel()[order]
        return Taps(index, weights, new_size)

    def matrix(self) -> Array:
        """The map as a matrix of (new size, old size), in float64."""
        weight = np.ones(self.index.shape) if self.weight is None else self.weight
        dense = np.zeros((self.index.shape[1], self.old_size))
        np.add.at(dense, (np.arange(len(dense)), self.index), weight)
        return dense


@op(node="Upsample")
def resample(input: Array, taps: tuple[Taps, ...]) -> Array:
    """The last dims mapped, each by its taps. Shape: (…, *old sizes) -> (…, *new sizes)."""
    if input.dtype == np.uint8 and any(each.weight is not None for each in taps):
        return _resample_bytes(input, taps)
    result = input if all(each.weight is None for each in taps) else wide(input)
    dims = {axis - len(taps): each for axis, each in enumerate(taps)}
    for axis, each in sorted(dims.items(), key=lambda item: item[1].ratio):  # what shrinks most comes first
        result = _along(result, each, axis)
    return result.astype(input.dtype, copy=False)


def _along(values: Array, taps: Taps, axis: int) -> Array:
    if taps.weight is None:
        return values.take(table(taps.index[0], values), axis)
    weights = taps.weight.astype(values.dtype).reshape(*taps.weight.shape, *[1] * (-1 - axis))
    weights, places = table(weights, values), table(taps.index, values)
    total = None
    for index, weight in zip(places, weights, strict=True):
        part = values.take(index, axis)
        part *= weight
        total = part if total is None else np.add(total, part, out=total)
    return total


resample.gradient(input=lambda g, taps: resample(g, tuple(each.transposed() for each in taps)))


def _resample_bytes(input: Array, taps: tuple[Taps, ...]) -> Array:
    """Bytes, as PyTorch and Pillow do them: weights of 16 bits, rounded to a byte after each dim, the last dim first.

    The products of integers are exact in float64.
    """
    result = input.astype(np.float64)
    for axis, each in zip(range(-1, -1 - len(taps), -1), taps[::-1], strict=True):
        matrix = each.matrix()
        bits = next((n for n in range(22) if int(0.5 + matrix.max() * 2 ** (n + 1)) >= 2**15), 22)
        scaled = matrix * 2.0**bits
        whole = np.trunc(scaled + np.where(scaled < 0, -0.5, 0.5))
        summed = np.moveaxis(np.moveaxis(result, axis, -1) @ table(whole.T, result), -1, axis)
        result = np.clip(np.floor((summed + 2.0 ** (bits - 1)) / 2.0**bits), 0, 255)
    return result.astype(np.uint8, order="C")
