"""Convolutions whose weights are large beside their images, by products of matrices.

Every output pixel gets a row with all numbers of its window. oneDNN's convolutions read the whole weight anew for each
image, and put it in order before; a product reads it once, as it lies.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels.onednn.convolution import Geometry, OneDNNConvolution
from distrt.core.kernels.onednn.library import OneDNNError, library
from distrt.core.kernels.onednn.product import product, suits

__all__ = ["ByColumns", "columns_of"]

# How many times as large as the images a weight has to be. Below, convolutions are as fast.
_TIMES = 4


@functools.lru_cache(maxsize=512)
def columns_of(geometry: Geometry) -> ByColumns | None:
    """The bfloat16 convolution of these sizes; None where this is not the way, or oneDNN cannot do it."""
    onednn = library()
    if onednn is None or not _fits(geometry):
        return None
    try:
        return ByColumns(onednn, geometry, "bfloat16")
    except OneDNNError:
        return None


def _fits(geometry: Geometry) -> bool:
    weight = geometry.weight
    terms = math.prod(weight[1:])
    pixels = geometry.output[0] * math.prod(geometry.output[2:])
    return (
        geometry.groups == 1
        and set(geometry.dilation) == {1}
        and math.prod(weight) >= _TIMES * max(math.prod(geometry.input), math.prod(geometry.output))
        and suits((pixels, terms), (terms, weight[0]), dt.bfloat16.numpy)
    )


class ByColumns(OneDNNConvolution):
    """One convolution; only the input's gradient, whose columns would have to be added up, is oneDNN's own."""

    def forward(self, input: Array, weight: Array, bias: Array | None) -> Array:
        """The output, its channels last in memory."""
        samples, outs, *size = self._geometry.output
        matrix = weight.reshape(outs, -1)
        made = product(self._columns(input), matrix.T, bias)
        assert made is not None, "what _fits lets through is done"
        return _channels_second(made.reshape(samples, *size, outs))

    def weight_gradient(self, input: Array, g: Array) -> Array:
        """What the output's gradient gives for the weight, in row-major order."""
        rows = np.moveaxis(g, 1, -1).reshape(-1, g.shape[1])
        found = product(rows.T, self._columns(input))
        assert found is not None, "what _fits lets through is done"
        return found.reshape(self._geometry.weight)

    def _columns(self, input: Array) -> Array:
        """Shape: (N, C, …) -> (N * output pixels, C * kernel)."""
        geometry = self._geometry
        kernel = geometry.weight[2:]
        around = [(each, each) for each in geometry.padding]
        padded = np.pad(np.moveaxis(_bits(input), 1, -1), [(0, 0), *around, (0, 0)])
        samples, channels = geometry.input[:2]
        columns = np.empty((samples, *geometry.output[2:], channels, math.prod(kernel)), padded.dtype)
        for number, part in enumerate(self._taps(padded)):
            columns[..., number] = part
        return columns.reshape(-1, channels * math.prod(kernel)).view(input.dtype)

    def _taps(self, padded: Array) -> Iterator[Array]:
        """What each position of the kernel sees. Shape: (N, …, C), each (N, output…, C)."""
        geometry = self._geometry
        for position in np.ndindex(*geometry.weight[2:]):
            spans = zip(position, geometry.output[2:], geometry.stride, strict=True)
            yield padded[
                :, *(slice(first, first + (count - 1) * step + 1, step) for first, count, step in spans)
            ]


def _bits(array: Array) -> Array:
    """bfloat16 as integers, which NumPy copies faster."""
    return array.view(np.uint16)


def _channels_second(array: Array) -> Array:
    """Shape: (N, …, C) -> (N, C, …), in the same memory."""
    return np.moveaxis(array, -1, 1)
