"""Losses of each element with its target: squared, smooth and Huber errors, binary cross entropies, the soft margin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, beside, filled, known
from distrt.core.dtypes.promotion import result_dtype
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.pointwise.type_names import scalar_type

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "mse_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


def _reduced(losses: Array, reduction: str, dtype: np.dtype[Any]) -> Array:
    """The losses themselves, their mean or their sum, rounded to ``dtype``."""
    if reduction == "sum":
        losses = np.add.reduce(losses, axis=None)
    elif reduction == "mean":
        losses = np.true_divide(np.add.reduce(losses, axis=None), losses.size)
    return as_array(losses).astype(dtype, copy=False)


def _share(g: Any, meta: Any, reduction: str) -> Any:
    """What reaches each loss of the result's gradient."""
    g = widened(g)
    return ops.true_divide(g, max(math.prod(meta.shape), 1)) if reduction == "mean" else g


def _difference(input: Any, target: Any) -> Any:
    return ops.sub(widened(input), widened(target))


def _as_array(value: Any) -> Any:
    """NumPy makes numbers of 0-d results, and a clamp takes numbers for those of Python, which have no dtype."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def _require_floats(kernel: str, *arrays: Array) -> None:
    dtype = result_dtype(*arrays)
    if dtype.kind not in "fV":
        raise NoKernelError(f"\"{kernel}\" not implemented for '{scalar_type(np.empty(0, dtype))}'")


def _require_dtype(found: Any, expected: Any) -> None:
    """Raises DtypeError unless the two are the same, in PyTorch's words."""
    if found != expected:
        found, expected = (scalar_type(np.empty(0, each)) for each in (found, expected))
        raise DtypeError(f"Found dtype {found} but expected {expected}")


def _require_result(computed: np.dtype[Any], stored: np.dtype[Any]) -> None:
    """Raises DtypeError where a result cannot be kept in its dtype, in PyTorch's words."""
    if stored.kind not in "fVc" and computed.kind in "fV":
        computed_name, stored_name = (scalar_type(np.empty(0, each)) for each in (computed, stored))
        raise DtypeError(
            f"result type {computed_name} can't be cast to the desired output type {stored_name}"
        )


# The squared error


@op(dtype="promote")
def mse_loss(input: Array, target: Array, reduction: str) -> Array:
    """The squared difference. Shape: broadcasts."""
    _require_floats("mse_cpu", input, target)
    losses = np.subtract(wide(input), wide(target))
    return _reduced(np.multiply(losses, losses, out=losses if losses.ndim else None), reduction, input.dtype)


mse_loss.gradient(
    input=lambda g, input, target, reduction: _squared_slope(g, input, target, reduction, 2),
    target=lambda g, input, target, reduction: _squared_slope(g, input, target, reduction, -2),
)


def _squared_slope(g: Any, input: Any, target: Any, reduction: str, factor: int) -> Any:
    difference = _difference(input, target)
    return ops.mul(difference, ops.mul(_share(g, difference, reduction), factor))


# Errors that are squares near 0 and straight lines further out


@op(dtype="promote", node="SmoothL1Loss")
def smooth_l1_loss(input: Array, target: Array, beta: float, reduction: str) -> Array:
    """``d² / (2 beta)`` for a difference ``d`` below ``beta``, ``|d| - beta / 2`` for others."""
    if beta < 0:
        raise DtypeError("smooth_l1_loss does not support negative values for beta.")
    _require_floats("smooth_l1_cpu", input, target)
    error = np.abs(np.subtract(wide(input), wide(target)))
    beta = error.dtype.type(beta)
    return _reduced(_bent(error, beta, beta) if beta else error, reduction, input.dtype)


def _bent(error: Array, bound: Any, divisor: Any) -> Array:
    """``error² / 2`` up to ``bound`` and a straight line from there on, over ``divisor``; may overwrite the error.

    Without a choice between two results, which would take several times as long.
    """
    near = np.minimum(error, bound)
    error -= near * near.dtype.type(0.5)
    near /= divisor  # first, so that the product cannot overflow
    error *= near
    return error


smooth_l1_loss.gradient(
    input=lambda g, input, target, beta, reduction: _bent_slope(g, input, target, beta, 1 / beta, reduction),
    target=lambda g, input, target, beta, reduction: _bent_slope(
        g, input, target, beta, -1 / beta, reduction
    ),
)


@op()
def huber_loss(input: Array, target: Array, delta: float, reduction: str) -> Array:
    """``d² / 2`` for a difference ``d`` up to ``delta``, ``delta (|d| - delta / 2)`` for others."""
    if delta <= 0:
        raise DtypeError("huber_loss does not support non-positive values for delta.")
    _require_floats("huber_cpu", input, target)
    _require_result(result_dtype(input, target), input.dtype)
    error = np.abs(np.subtract(wide(input), wide(target)))
    return _reduced(_bent(error, error.dtype.type(delta), error.dtype.type(1)), reduction, input.dtype)


huber_loss.gradient(
    input=lambda g, input, target, delta, reduction: _huber_slope(g, input, target, delta, 1.0, reduction),
    target=lambda g, input, target, delta, reduction: _huber_slope(g, input, target, delta, -1.0, reduction),
)


def _huber_slope(g: Any, input: Any, target: Any, delta: float, steepness: float, reduction: str) -> Any:
    _require_dtype(*(getattr(each, "_array", each).dtype for each in (target, input)))
    return _bent_slope(g, input, target, delta, steepness, reduction)


def _bent_slope(g: Any, input: Any, target: Any, bound: float, steepness: float, reduction: str) -> Any:
    difference = _difference(input, target)
    steps = ops.mul(ops.clamp(_as_array(difference), -bound, bound), steepness)
    return ops.mul(steps, _share(g, difference, reduction))


# Binary cross entropies


@op()
def binary_cross_entropy(input: Array, target: Array, weight: IndexArray, reduction: str) -> Array:
    """The cross entropy of probabilities; a logarithm counts as -100 where it is less."""
    _require_dtype(target.dtype, input.dtype)
    _require_floats("binary_cross_entropy", input)
    probability, truth = wide(input), wide(target)
    for name, values in (("input", probability), ("target", truth)):
        if known(((values < 0) | (values > 1) | (values != values)).any()):
            raise ShapeError(f"all elements of {name} should be between 0 and 1")
    lowest = probability.dtype.type(-100)
    losses = (truth - 1) * np.maximum(np.log1p(-probability), lowest)
    losses -= truth * np.maximum(np.log(probability), lowest)
    return _reduced(_weighted(losses, weight), reduction, input.dtype)


def _weighted(losses: Array, weight: Array | None) -> Array:
    if weight is None:
        return losses
    try:
        shape = np.broadcast_shapes(losses.shape, weight.shape)
    except ValueError:
        dim, sizes = _clash(losses.shape, weight.shape)
        raise ShapeError(
            f"The size of tensor a ({sizes[0]}) must match the size of tensor b ({sizes[1]}) at non-singleton "
            f"dimension {dim}"
        ) from None
    if shape != losses.shape:
        raise ShapeError(
            f"output with shape {list(losses.shape)} doesn't match the broadcast shape {list(shape)}"
        )
    return losses * weight.astype(losses.dtype, copy=False)


def _clash(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """The last dim, counted in the longer shape, where two shapes do not broadcast, and their sizes there."""
    rank = max(len(left), len(right))
    pairs = list(zip(*((1,) * (rank - len(shape)) + shape for shape in (left, right)), strict=True))
    dim = max(place for place, sizes in enumerate(pairs) if 1 not in sizes and sizes[0] != sizes[1])
    return dim, pairs[dim]


binary_cross_entropy.gradient(
    input=lambda g, input, target, weight, reduction: _probability_slope(g, input, target, weight, reduction),
    target=lambda g, input, weight, reduction: _odds_slope(g, input, weight, reduction),
)


def _probability_slope(g: Any, input: Any, target: Any, weight: Any, reduction: str) -> Any:
    probability = widened(input)
    spread = ops.clamp_min(_as_array(ops.mul(ops.sub(1, probability), probability)), 1e-12)
    slope = ops.true_divide(_difference(input, target), spread)
    return _times(ops.mul(slope, _share(g, input, reduction)), weight)


def _odds_slope(g: Any, input: Any, weight: Any, reduction: str) -> Any:
    probability = widened(input)
    slope = ops.sub(ops.log1p(ops.neg(probability)), ops.log(probability))
    return _times(ops.mul(slope, _share(g, input, reduction)), weight)


def _times(slope: Any, weight: Any) -> Any:
    return slope if weight is None else ops.mul(slope, widened(weight))


@op()
def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: IndexArray, pos_weight: IndexArray, reduction: str
) -> Array:
    """The cross entropy of ``sigmoid(input)``, in a form that cannot overflow; of the target's dtype, as PyTorch's."""
    _require_floats("log_sigmoid_cpu", input)
    if target.dtype == np.bool_:
        raise DtypeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    _require_result(input.dtype, target.dtype)
    logits, truth = wide(input), wide(target)
    log_sigmoid = np.minimum(logits, 0) - np.log1p(np.exp(-np.abs(logits)))
    if pos_weight is not None:
        log_sigmoid = log_sigmoid * _weighted(truth, pos_weight - pos_weight.dtype.type(1)) + log_sigmoid
    losses = (1 - truth) * logits - log_sigmoid
    return _reduced(_weighted(losses, weight), reduction, target.dtype)


binary_cross_entropy_with_logits.gradient(
    input=lambda g, input, target, weight, pos_weight, reduction: _logit_slope(
        g, input, target, weight, pos_weight, reduction
    ),
    target=lambda g, input, weight, pos_weight, reduction: _truth_slope(
        g, input, weight, pos_weight, reduction
    ),
)


def _logit_slope(g: Any, input: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    probability, truth = ops.sigmoid(widened(input)), widened(target)
    if pos_weight is None:
        slope = ops.sub(probability, truth)
    else:
        positive = ops.mul(truth, pos_weight)
        slope = ops.sub(ops.mul(ops.sub(ops.add(positive, 1), truth), probability), positive)
    return _times(ops.mul(slope, _share(g, input, reduction)), weight)


def _truth_slope(g: Any, input: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    logits = widened(input)
    slope = ops.neg(logits)
    if pos_weight is not None:
        certain = filled(tuple(logits.shape), 1, beside(logits).dtype, beside(logits))
        log_sigmoid = ops.neg(binary_cross_entropy_with_logits(logits, certain, None, None, "none"))
        slope = ops.add(slope, ops.mul(log_sigmoid, ops.sub(1, pos_weight)))
    return _times(ops.mul(slope, _share(g, input, reduction)), weight)


# The soft margin


@op()
def soft_margin_loss(input: Array, target: IndexArray, reduction: str) -> Array:
    """``log(1 + exp(-target * input))``, of the input's shape and dtype."""
    if input.dtype == np.bool_:
        raise DtypeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` or `logical_not()` operator instead."
        )
    _require_result(np.dtype(np.float32), input.dtype)
    logits = wide(input)
    losses = np.log1p(np.exp(_weighted(-logits, wide(target))))
    return _reduced(losses, reduction, input.dtype)


soft_margin_loss.gradient(
    input=lambda g, input, target, reduction: _margin_slope(g, input, widened(target), reduction)
)


def _margin_slope(g: Any, input: Any, target: Any, reduction: str) -> Any:
    against = ops.neg(target)
    slope = ops.mul(against, ops.sigmoid(ops.mul(against, widened(input))))
    return ops.mul(slope, _share(g, input, reduction))
