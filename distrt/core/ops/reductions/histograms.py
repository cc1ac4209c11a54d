"""Counts of values in intervals. Nothing here has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_array, is_meta
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import wide
from distrt.core.tensor import Tensor

__all__ = ["histc", "histogram"]


@op()
def histc(input: IndexArray, bins: int = 100, min: float = 0, max: float = 0) -> Array:
    """How many elements lie in each of ``bins`` equal intervals from ``min`` to ``max``; the last one is closed.

    Equal bounds stand for the smallest and the largest element. What lies outside is not counted.
    """
    if input.dtype.kind == "c" or input.dtype not in dt.FLOATING_NUMPY:
        raise UnsupportedError(f"histc: not implemented for {dt.of(input)}")
    if bins <= 0:
        raise ShapeError(f"torch.histogram(): bins must be > 0, but got {bins}")
    if is_meta(input):
        return np.empty(bins, input.dtype, like=input)
    low, high = _bounds("torch.histc", wide(input), float(min), float(max))
    counts, _ = np.histogram(_inside(wide(input), low, high), bins, (low, high))
    return counts.astype(input.dtype)


def _bounds(name: str, values: Array, low: float, high: float, around: float = 1) -> tuple[float, float]:
    """The outer edges; ``around`` a value that stands alone."""
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ShapeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise ShapeError(f"{name}: max must be larger than min, got [{low}, {high}]")
    return (low - around, high + around) if low == high else (low, high)


def _inside(values: Array, low: float, high: float) -> Array:
    return values[(values >= low) & (values <= high)]


@op()
def histogram(
    input: IndexArray, bins: Any, *, range: Any = None, weight: IndexArray = None, density: bool = False
) -> Any:
    """The counts (or summed weights) of elements between neighbouring edges, and the edges.

    Args:
        input: float32 or float64.
        bins: how many equal intervals, or their edges, increasing.
        range: the outer edges of equal intervals; the smallest and the largest element for None.
        weight: one for each element.
        density: divide, so that the histogram integrates to 1.
    """
    if input.dtype.kind != "f" or input.dtype.itemsize == 2:
        raise UnsupportedError(f"histogram: not implemented for {dt.of(input)}")
    if weight is not None and weight.shape != input.shape:
        raise ShapeError(
            "torch.histogram(): if weight tensor is provided it should have the same shape as the input tensor "
            f"excluding its innermost dimension, got {list(weight.shape)} for {list(input.shape)}"
        )
    if weight is not None and weight.dtype != input.dtype:
        raise DtypeError("torch.histogram(): weight tensor should have the same dtype as the input")
    edges = np.asarray(_edges(input, bins, range), like=input)
    inside = (input >= edges[0]) & (input <= edges[-1])
    counts, _ = np.histogram(input[inside], edges, weights=None if weight is None else weight[inside])
    hist = counts.astype(input.dtype)
    if density:
        hist = hist / (hist.sum() * np.diff(edges))
    return hist.astype(input.dtype), edges


def _edges(input: Array, bins: Any, range: Any) -> Array:
    if isinstance(bins, Tensor):
        bins = bins._array
    if is_array(bins):
        if bins.ndim != 1 or not bins.size:
            raise ShapeError("torch.histogram(): bins tensor should have one dimension with elements")
        if bins.dtype != input.dtype:
            raise DtypeError("torch.histogram(): bins tensor should have the same dtype as the input")
        return bins
    if bins <= 0:
        raise ShapeError(f"torch.histogram(): bins must be > 0, but got {bins}")
    if range is None and not input.size:
        range = (0.0, 1.0)
    first, last = map(float, range) if range is not None else (0.0, 0.0)
    low, high = _bounds("torch.histogram()", input, first, last, around=0.5)
    return np.linspace(low, high, bins + 1, dtype=input.dtype)


histogram.outputs("hist", "bin_edges")
