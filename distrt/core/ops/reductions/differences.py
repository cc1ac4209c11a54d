"""Differences of neighbours, and integrals by the trapezoidal rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.ops.shapes.dims import Dims, all_dims, one_dim
from distrt.core.tensor import Tensor, wrap

__all__ = ["cumulative_trapezoid", "diff", "gradient", "trapezoid", "trapz"]


@takes_out
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The ``n``-th differences of neighbours along ``dim``; of bools, whether they differ.

    Args:
        input: at least 1-D.
        n: how many times to take differences.
        dim: the dim.
        prepend: put before ``input`` along ``dim``.
        append: put after it.

    Raises:
        ShapeError: for a 0-d tensor, a negative ``n``, or ends of another number of dims.
    """
    if not input.ndim:
        raise ShapeError("diff expects input to be at least one-dimensional")
    axis = one_dim(dim, input.ndim)
    for each in (prepend, append):
        if each is not None and each.ndim != input.ndim:
            raise ShapeError(
                f"diff expects prepend or append to be the same dimension as input, got {each.ndim} and {input.ndim}"
            )
    if n < 0:
        raise ShapeError(f"order must be non-negative but got {n}")
    parts = [each for each in (prepend, input, append) if each is not None]
    values = ops.cat(parts, axis) if len(parts) > 1 and n else ops.clone(input) if n == 0 else input
    for _ in range(min(n, values.shape[axis])):
        subtract = ops.ne if values.dtype.category == 0 else ops.sub
        values = subtract(_later(values, axis), _earlier(values, axis))
    return values


def _later(values: Any, axis: int) -> Any:
    """All but the first along ``axis``."""
    return ops.index(values, (*[slice(None)] * axis, slice(1, None)))


def _earlier(values: Any, axis: int) -> Any:
    """All but the last along ``axis``."""
    return ops.index(values, (*[slice(None)] * axis, slice(0, max(values.shape[axis] - 1, 0))))


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral of ``y`` along ``dim`` by the trapezoidal rule.

    Args:
        y: the values.
        x: where they were taken: 1-D, or as many as ``y`` has.
        dx: the distance between neighbours, 1 when neither is given.
        dim: the dim.
    """
    if y.ndim and not y.shape[one_dim(dim, y.ndim)]:
        axis = one_dim(dim, y.ndim)
        return wrap(np.zeros((*y.shape[:axis], *y.shape[axis + 1 :]), y._array.dtype, like=y._array))
    axis = _sampled("trapezoid", y, x, dx, dim)
    if x is not None:
        return ops.true_divide(ops.sum(_areas(y, x, axis), axis), 2.0)
    ends = ops.add(_at(y, axis, 0), _at(y, axis, -1))
    return ops.mul(ops.sub(ops.sum(y, axis), ops.mul(ends, 0.5)), 1.0 if dx is None else dx)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The running integral of ``y`` along ``dim`` by the trapezoidal rule; one place shorter than ``y``."""
    axis = _sampled("cumulative_trapezoid", y, x, dx, dim)
    if x is not None:
        return ops.true_divide(ops.cumsum(_areas(y, x, axis), axis), 2.0)
    heights = ops.add(_later(y, axis), _earlier(y, axis))
    return ops.cumsum(ops.mul(heights, (1.0 if dx is None else dx) / 2.0), axis)


def trapz(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Another name of ``trapezoid``."""
    return trapezoid(y, x, dx=dx, dim=dim)


def _sampled(name: str, y: Any, x: Any, dx: Any, dim: int) -> int:
    """The dim, after a look at the arguments."""
    if x is not None and dx is not None:
        raise TypeError(f"{name}(): takes either x or dx, not both")
    if not y.ndim:
        raise DimensionError(f"Dimension specified as {dim} but tensor has no dimensions")
    for letter, each in (("y", y), ("x", x), ("dx", dx)):
        if isinstance(each, bool) or (isinstance(each, Tensor) and each.dtype.category == 0):
            raise DtypeError(f"{name}: received a bool input for `{letter}`, but bool is not supported")
    axis = one_dim(dim, y.ndim)
    if x is not None and (not 0 < x.ndim <= y.ndim or (x.ndim == 1 and x.shape[0] != y.shape[axis])):
        raise ShapeError(f"{name}: There must be one `x` value for each sample point")
    return axis


def _at(values: Any, axis: int, place: int) -> Any:
    return ops.index(values, (*[slice(None)] * axis, place))


def _areas(y: Any, x: Any, axis: int) -> Any:
    """Twice the area between neighbours."""
    heights = ops.add(_later(y, axis), _earlier(y, axis))
    if x.ndim == 1:
        x = ops.reshape(x, (-1,) + (1,) * (y.ndim - 1 - axis))
        return ops.mul(ops.sub(_later(x, 0), _earlier(x, 0)), heights)
    along = axis - y.ndim + x.ndim
    return ops.mul(ops.sub(_later(x, along), _earlier(x, along)), heights)


# Derivatives of what is known at some places only


def gradient(input: Any, *, spacing: Any = 1, dim: Dims = None, edge_order: int = 1) -> tuple[Any, ...]:
    """The derivative along each of ``dim`` by differences: of second order inside, of ``edge_order`` at the ends.

    Args:
        input: the values.
        spacing: the distance between neighbours, 1 for None; or one for each dim; or the coordinates along each dim.
        dim: the dims; all of them for None.
        edge_order: 1 or 2.

    Raises:
        ShapeError: for another order, too few elements, or a spacing for another number of dims.
    """
    axes = all_dims(dim, input.ndim)
    if spacing is None:
        spacing = 1
    if isinstance(spacing, Tensor):
        raise TypeError("gradient(): argument 'spacing' must be a number, or a list of numbers or Tensors")
    steps = list(spacing) if isinstance(spacing, list | tuple) else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise ShapeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have the "
            f"same length, but got a spacing argument of length {len(steps)} and {len(axes)} dims"
        )
    if edge_order not in (1, 2):
        raise ShapeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    if any(input.shape[axis] <= edge_order for axis in axes):
        raise ShapeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return tuple([_slope(input, axis, step, edge_order) for axis, step in zip(axes, steps, strict=True)])


def _slope(input: Any, axis: int, step: Any, edge_order: int) -> Any:
    """The derivative along ``axis``, put together of both ends and what is between them."""
    size = input.shape[axis]
    if isinstance(step, Tensor):
        if tuple(step.shape) != (size,):
            raise ShapeError(f"torch.gradient: {list(step.shape)} coordinates for a dim of size {size}")
        widths = ops.reshape(diff(step), (-1,) + (1,) * (input.ndim - 1 - axis))
        before, after = _part(widths, 0, 0, -1), _part(widths, 0, 1, None)
        ends = _part(widths, 0, 0, 1), _part(widths, 0, size - 2, None)
    else:
        before = after = step
        ends = step, step
    middle = _weighted(input, axis, 0, size - 2, _centred(before, after)) if size > 2 else None
    if edge_order == 1:
        rises = diff(input, dim=axis)
        left = ops.true_divide(_part(rises, axis, 0, 1), ends[0])
        right = ops.true_divide(_part(rises, axis, size - 2, None), ends[1])
    else:
        near, far = (_part(before, 0, 0, 1), _part(after, 0, 0, 1)) if isinstance(step, Tensor) else ends
        left = _weighted(input, axis, 0, 1, _at_left(near, far))
        near, far = (
            (_part(before, 0, -1, None), _part(after, 0, -1, None)) if isinstance(step, Tensor) else ends
        )
        right = _weighted(input, axis, size - 3, 1, _at_right(near, far))
    return ops.cat([each for each in (left, middle, right) if each is not None], axis)


def _part(values: Any, axis: int, start: int, stop: int | None) -> Any:
    size = values.shape[axis]
    return ops.index(values, (*[slice(None)] * axis, slice(*slice(start, stop).indices(size))))


def _weighted(input: Any, axis: int, start: int, count: int, weights: tuple[Any, Any, Any]) -> Any:
    """The sum of three neighbours from ``start`` on, ``count`` times, each with its weight."""
    terms = [
        ops.mul(_part(input, axis, start + n, start + n + count), weight) for n, weight in enumerate(weights)
    ]
    return ops.add(ops.add(terms[0], terms[1]), terms[2])


# The derivative of the parabola through three points, at each of them; the points are a and b apart.


def _centred(a: Any, b: Any) -> tuple[Any, Any, Any]:
    return -b / (a * (a + b)), (b - a) / (a * b), a / (b * (a + b))


def _at_left(a: Any, b: Any) -> tuple[Any, Any, Any]:
    return -(2 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b))


def _at_right(a: Any, b: Any) -> tuple[Any, Any, Any]:
    return b / (a * (a + b)), -(a + b) / (a * b), (a + 2 * b) / (b * (a + b))
