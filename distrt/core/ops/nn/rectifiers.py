"""Activations that are straight lines between thresholds: leaky_relu, hardtanh, the hard and the soft shrinking ones.

Where a slope jumps, each takes the side that PyTorch takes. Called by ``nn/functional/activation.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, chosen, is_meta, is_on_gpu
from distrt.core.autocast import autocasts
from distrt.core.dtypes.promotion import convert
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import floating, wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.random.draws import draw_wide_uniform
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "prelu",
    "rrelu",
    "softshrink",
    "threshold",
]


@op(aux=("positive",))
def leaky_relu(input: Array, negative_slope: float = 0.01) -> Any:
    """``input`` where it is positive, else ``negative_slope`` times it."""
    work = floating("leaky_relu_cpu", input)
    positive = work > 0
    out = np.where(positive, work, work * work.dtype.type(negative_slope))
    return out.astype(input.dtype, copy=False), positive


leaky_relu.gradient(
    input=lambda g, positive, negative_slope: ops.where(positive, g, ops.mul(g, negative_slope))
)


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Generator | None = None,
) -> Any:
    """``input`` where it is positive, else a slope times it: drawn for each element, or the mean of the bounds.

    Raises:
        ShapeError: for bounds in the wrong order.
    """
    if lower > upper:
        raise ShapeError("Lower bound should be less than or equal to the upper bound")
    array = getattr(input, "_array", input)
    work = floating("leaky_relu_cpu", array)
    slopes: Any = work.dtype.type((lower + upper) / 2)
    if training:
        slopes = _drawn_slopes(work, lower, upper, generator)
    return _rrelu(input, chosen(work > 0, work.dtype.type(1), slopes))


def _drawn_slopes(work: Array, lower: float, upper: float, generator: Generator | None) -> Array:
    if is_on_gpu(work) or is_meta(
        work
    ):  # of all elements: those that need one cannot be counted without a wait
        drawn = draw_wide_uniform(work.shape, generator, work)
        return (drawn * (upper - lower) + lower).astype(work.dtype)
    slopes, below = np.ones_like(work, order="C"), work <= 0
    slopes[below] = draw_wide_uniform((int(np.count_nonzero(below)),), generator) * (upper - lower) + lower
    return slopes


@op(node="RreluWithNoise")
def _rrelu(input: Array, noise: IndexArray) -> Array:
    """``input`` times the slope that each element got."""
    return np.multiply(wide(input), noise).astype(input.dtype, copy=False)


_rrelu.gradient(input=lambda g, noise: ops.mul(widened(g), noise))


@autocasts("lower")
def prelu(input: Tensor, weight: Tensor) -> Any:
    """``input`` where it is positive, else ``weight`` times it: one weight, or one for each channel (dim 1).

    Raises:
        ShapeError: for a number of weights that is neither 1 nor that of the channels.
        DtypeError: for two dtypes.
    """
    if weight.ndim > 1:
        raise ShapeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if input.dtype != weight.dtype:
        raise DtypeError(
            f"prelu: Type promoting not supported. Got {scalar_type(input)} and {scalar_type(weight)}"
        )
    count = weight.shape[0] if weight.ndim else 1
    channels = input.shape[1] if input.ndim > 1 else 1
    if count not in (1, channels):
        raise ShapeError(
            f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and "
            f"channel size = {channels}."
        )
    sizes = [count if n == 1 else 1 for n in range(input.ndim)]
    return _prelu(input, ops.reshape(weight, sizes))


@op(node="PreluKernel")
def _prelu(input: Array, weight: Array) -> Array:
    """``input`` where it is positive, else ``weight`` times it. Shape: ``weight`` broadcasts."""
    work = floating("prelu_cpu", input)
    return np.where(work > 0, work, work * wide(weight)).astype(input.dtype, copy=False)


_prelu.gradient(
    input=lambda g, input, weight: ops.where(
        ops.gt(input, 0), widened(g), ops.mul(widened(weight), widened(g))
    ),
    weight=lambda g, input: ops.zero_unless(
        ops.mul(widened(input), widened(g)), ops.logical_not(ops.gt(input, 0))
    ),
)


@op()
def threshold(input: Array, threshold: float, value: float) -> Array:
    """``input`` where it is above ``threshold``, else ``value``."""
    if input.dtype.kind in "bc":
        raise NoKernelError(f"\"threshold_cpu\" not implemented for '{scalar_type(input)}'")
    limit, filling = (convert(each, input.dtype)[()] for each in (threshold, value))
    return chosen(input <= limit, filling, input)


threshold.gradient(
    input=lambda g, input, threshold: ops.zero_unless(g, ops.logical_not(ops.le(input, threshold)))
)


@op()
def hardtanh(input: Array, min_val: float = -1, max_val: float = 1) -> Array:
    """``input`` moved into [min_val, max_val]; at the bounds the slope is 0."""
    if input.dtype.kind == "b":
        raise DtypeError("Bool inputs not supported for hardtanh")
    if input.dtype.kind == "c":
        raise NoKernelError("clamp is not supported for complex types")
    low, high = (convert(bound, input.dtype)[()] for bound in (min_val, max_val))
    return np.minimum(np.maximum(input, low), high)


hardtanh.gradient(
    input=lambda g, input, min_val, max_val: ops.zero_unless(
        g, ops.logical_not(ops.logical_or(ops.le(input, min_val), ops.ge(input, max_val)))
    )
)


def _ramp(work: Array) -> Array:
    """0 below -3, 6 above 3, and a line in between."""
    return np.clip(work + 3, 0, 6)


@op()
def hardsigmoid(input: Array) -> Array:
    """A line from 0 at -3 to 1 at 3."""
    return np.true_divide(_ramp(floating("hardsigmoid_cpu", input)), 6).astype(input.dtype, copy=False)


_SIXTH = float(np.float32(1 / 6))  # rounded so far in PyTorch, for float64 as well

hardsigmoid.gradient(
    input=lambda g, input: ops.zero_unless(
        ops.mul(g, _SIXTH), ops.logical_and(ops.gt(input, -3), ops.lt(input, 3))
    )
)


@op()
def hardswish(input: Array) -> Array:
    """``input * hardsigmoid(input)``."""
    work = floating("hardswish_cpu", input)
    return np.true_divide(work * _ramp(work), 6).astype(input.dtype, copy=False)


def _hardswish_slope(g: Any, input: Any) -> Any:
    g, wider = widened(g), widened(input)
    slope = ops.mul(g, ops.add(ops.true_divide(wider, 3), 0.5))
    return ops.zero_unless(ops.where(ops.lt(input, 3), slope, g), ops.logical_not(ops.le(input, -3)))


hardswish.gradient(input=lambda g, input: _hardswish_slope(g, input))


@op()
def softshrink(input: Array, lambd: float = 0.5) -> Array:
    """``input`` moved towards 0 by ``lambd``, and 0 where it is within that.

    Raises:
        ShapeError: for a ``lambd`` outside the dtype's non-negative numbers.
    """
    work = floating("softshrink_check", input)
    largest = float(np.finfo(work.dtype).max)
    if not 0 <= lambd <= largest:
        raise ShapeError(
            f"lambda must be in range [0, {largest:g}] for input dtype {scalar_type(input)}, but found {lambd:g}"
        )
    step = work.dtype.type(lambd)
    moved = chosen(work > step, work - step, chosen(work < -step, work + step, work * 0))
    return moved.astype(input.dtype, copy=False)


@op()
def hardshrink(input: Array, lambd: float = 0.5) -> Array:
    """``input``, and 0 where it is within ``lambd`` of that."""
    floating("hardshrink_cpu", input)
    return chosen(_within(input, lambd), input.dtype.type(0), input)


def _within(input: Any, size: float) -> Any:
    return ops.logical_and(ops.ge(input, -size), ops.le(input, size))


def _outside_slope(g: Any, input: Any, lambd: float) -> Any:
    return ops.zero_unless(g, ops.logical_not(_within(input, lambd)))


softshrink.gradient(input=lambda g, input, lambd: _outside_slope(g, input, lambd))
hardshrink.gradient(input=lambda g, input, lambd: _outside_slope(g, input, lambd))
