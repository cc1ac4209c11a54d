"""Counts of values in intervals. Nothing here has a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array, filled, is_array, is_meta
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import wide
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.return_types import return_type

__all__ = ["histc", "histogram", "histogramdd"]


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
    edges = np.asarray(_edges("histogram", input, bins, range), like=input)
    inside = (input >= edges[0]) & (input <= edges[-1])
    counts, _ = np.histogram(input[inside], edges, weights=None if weight is None else weight[inside])
    hist = counts.astype(input.dtype)
    if density:
        hist = hist / (hist.sum() * np.diff(edges))
    return hist.astype(input.dtype), edges


def _edges(operation: str, input: Array, bins: Any, range: Any, where: str = "") -> Array:
    if isinstance(bins, Tensor):
        bins = bins._array
    if is_array(bins):
        if bins.ndim != 1 or not bins.size:
            raise ShapeError(
                f"torch.{operation}(): bins tensor should have one dimension with elements{where}"
            )
        if bins.dtype != input.dtype:
            raise DtypeError(
                f"torch.{operation}(): bins tensor should have the same dtype as the input{where}"
            )
        return bins
    if bins <= 0:
        raise ShapeError(f"torch.{operation}(): bins must be > 0, but got {bins}{where}")
    if range is None and not input.size:
        range = (0.0, 1.0)
    first, last = map(float, range) if range is not None else (0.0, 0.0)
    low, high = _bounds(f"torch.{operation}()", input, first, last, around=0.5)
    return np.linspace(low, high, bins + 1, dtype=input.dtype)


histogram.outputs("hist", "bin_edges")


def histogramdd(
    input: Tensor,
    bins: int | Sequence[Any],
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """The counts (or summed weights) of points in boxes, and the edges along each dim.

    Args:
        input: float32 or float64, a point in its last dim. Shape: (…, N).
        bins: how many equal intervals each coordinate has, one number for all or N of them; or N tensors of edges.
        range: the outer edges of equal intervals, two for each coordinate; its smallest and largest for None.
        weight: one for each point. Shape: (…).
        density: divide, so that the histogram integrates to 1.
    """
    points = input._array
    if points.dtype.kind != "f" or points.dtype.itemsize == 2:
        raise UnsupportedError(f"histogramdd: not implemented for {dt.of(points)}")
    if points.ndim < 2:
        raise ShapeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    weights = _weights_of_points(input, weight)
    size = points.shape[-1]
    each = [bins] * size if isinstance(bins, int) else list(bins)
    if len(each) != size:
        raise ShapeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    if range is not None and len(range) != 2 * size:
        raise ShapeError(
            f"torch.histogramdd: for a {size}-dimensional histogram range should have {2 * size} elements, but got "
            f"{len(range)}"
        )
    rows = points.reshape(-1, size)
    edges = [
        np.asarray(_edges("histogramdd", rows[:, dim], count, ends, f" for dimension {dim}"), like=points)
        for dim, count in enumerate(each)
        for ends in (None if range is None else range[2 * dim : 2 * dim + 2],)
    ]
    hist = _counted(rows, edges, weights).astype(points.dtype)
    if density:
        hist = hist / hist.sum()
        for dim, along in enumerate(edges):
            hist = hist / np.diff(along).reshape((-1,) + (1,) * (size - 1 - dim))
    return _Histogram((wrap(hist), tuple([wrap(along) for along in edges])))


def _counted(points: Array, edges: list[Array], weights: Array | None) -> Array:
    """The counts in each box; a box has its lower edges, and the last along a dim the upper one, too."""
    shape = tuple(len(along) - 1 for along in edges)
    inside = filled(len(points), True, bool, points)
    for dim, along in enumerate(edges):
        inside &= (points[:, dim] >= along[0]) & (points[:, dim] <= along[-1])
    if 0 in shape:
        return np.zeros(shape, like=points)
    places = [
        np.minimum(np.searchsorted(along, points[inside, dim], "right") - 1, len(along) - 2)
        for dim, along in enumerate(edges)
    ]
    box = np.ravel_multi_index(tuple(places), shape, mode="clip")
    chosen = None if weights is None else weights[inside]
    return np.bincount(box, chosen, math.prod(shape)).reshape(shape)


_Histogram = return_type("histogramdd", ("hist", "bin_edges"))


def _weights_of_points(input: Tensor, weight: Tensor | None) -> Array | None:
    if weight is None:
        return None
    if weight.shape != input.shape[:-1]:
        raise ShapeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor "
            f"excluding its innermost dimension, but got input with shape {list(input.shape)} and weight with shape "
            f"{list(weight.shape)}"
        )
    if weight.dtype != input.dtype:
        raise DtypeError(
            "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the same "
            f"dtype, but got input({input.dtype}), and weight({weight.dtype})"
        )
    return weight._array.reshape(-1)
