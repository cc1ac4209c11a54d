"""Losses against the indices of classes: the negative log likelihood, alone and in one pass with its log-softmax."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, chosen, is_on_gpu, largest
from distrt.core.errors import DimensionError, DtypeError, NoKernelError, ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.kernels import softmax as kernel
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.pointwise.type_names import scalar_type

__all__ = ["cross_entropy", "cross_entropy2d", "nll_loss", "nll_loss2d"]


@op(node="NllLoss", aux=("scale",))
def cross_entropy(
    input: Array, target: IndexArray, weight: IndexArray, ignore_index: int, reduction: str
) -> Any:
    """``nll_loss`` of the log-softmax of ``input``, in one pass each way; half precision rounds once, at the end.

    Shape: (N, C) and (N) -> (), or (N) for "none". The probabilities are the second output, so that the input itself
    need not be kept.
    """
    return softmax_losses(input, target, weight, ignore_index, reduction)


@op(node="NllLoss2D", aux=("scale",))
def cross_entropy2d(
    input: Array, target: IndexArray, weight: IndexArray, ignore_index: int, reduction: str
) -> Any:
    """As ``cross_entropy``, over dims behind the classes. Shape: (N, C, d, …) and (N, d, …) -> () or (N, d, …)."""
    return softmax_losses(input, target, weight, ignore_index, reduction)


def softmax_losses(
    input: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str
) -> tuple[Array, Array, Array]:
    """The loss, the probabilities, and the scale of each place's gradient."""
    if input.dtype.kind not in "fV":
        raise NoKernelError(f"\"log_softmax_lastdim_kernel_impl\" not implemented for '{scalar_type(input)}'")
    _check(input, target, weight)
    places = _places(input, target, weight, ignore_index)
    if used.gpu and input.ndim == 2 and on_gpu.rows.suits(input):
        losses, probabilities = on_gpu.rows.class_losses(input, places.safe)
        result, scale = _reduced(losses, places, reduction, input.dtype)
        return result, probabilities, scale
    values = wide(input)
    if values.ndim == 2 and kernel.suits(values):
        probabilities, peaks, totals = kernel.spread(values)
        losses = peaks.squeeze(1) - _picked(values, places.safe)
    else:
        probabilities = values - largest(values, 1)
        losses = np.negative(_picked(probabilities, places.safe))
        np.exp(probabilities, out=probabilities)
        totals = np.add.reduce(probabilities, axis=1, keepdims=True)
        probabilities /= totals
    losses += np.log(totals.squeeze(1))
    result, scale = _reduced(losses, places, reduction, input.dtype)
    return result, probabilities, scale


@op()
def cross_entropy_slope(
    outer: Array, probabilities: Array, target: IndexArray, scale: IndexArray, ignore_index: int
) -> Array:
    """``outer * scale`` times the probabilities, less 1 at each target."""
    factor = np.multiply(wide(outer), scale)
    is_one_factor = not factor.ndim
    if used.gpu and probabilities.ndim == 2 and on_gpu.rows.suits(probabilities):
        return on_gpu.rows.class_slopes(probabilities, factor, target, outer.dtype)
    slope = np.multiply(probabilities, factor if is_one_factor else np.expand_dims(factor, 1))
    # One scale for all says that no place is ignored.
    safe = target if not scale.ndim else np.where(target == ignore_index, 0, target)
    if slope.ndim == 2:
        slope[_rows(safe), safe] -= factor
        return slope
    if slope.flags.c_contiguous:
        slope.reshape(-1)[_flat_places(safe, slope.shape[1])] -= factor
        return slope
    place = np.expand_dims(safe, 1)
    at_target = np.take_along_axis(slope, place, 1) - (factor if is_one_factor else np.expand_dims(factor, 1))
    np.put_along_axis(slope, place, at_target, 1)
    return slope


def _slope_of_slope(g: Any, probabilities: Any, target: Any, scale: Any, ignore_index: int) -> Any:
    place = np.expand_dims(np.where(_plain(target) == ignore_index, 0, _plain(target)), 1)
    at_target = ops.squeeze(ops.along_dim_pick(g, place, 1), 1)
    return ops.mul(ops.sub(ops.sum(ops.mul(g, probabilities), 1), at_target), scale)


def _for_all_classes(factor: Any) -> Any:
    return ops.unsqueeze(factor, 1) if factor.ndim else factor


cross_entropy_slope.gradient(
    outer=lambda g, probabilities, target, scale, ignore_index: _slope_of_slope(
        g, probabilities, target, scale, ignore_index
    ),
    probabilities=lambda g, outer, scale: ops.mul(g, _for_all_classes(ops.mul(widened(outer), scale))),
)


def _logits_slope(
    g_loss: Any, g_probabilities: Any, probabilities: Any, target: Any, scale: Any, ignore_index: int
) -> Any:
    slope = None
    if g_loss is not None:
        slope = cross_entropy_slope(g_loss, probabilities, target, scale, ignore_index)
    if g_probabilities is None:
        return slope
    change = ops.sub(g_probabilities, ops.sum(ops.mul(g_probabilities, probabilities), 1, True))
    through = ops.mul(probabilities, change)
    return through if slope is None else ops.add(slope, through)


for _fused in (cross_entropy, cross_entropy2d):
    _fused.outputs("loss", "probabilities")
    _fused.gradient(
        input=lambda g_loss, g_probabilities, probabilities, target, scale, ignore_index: _logits_slope(
            g_loss, g_probabilities, probabilities, target, scale, ignore_index
        )
    )


@op(node="NllLoss", aux=("scale",))
def nll_loss(input: Array, target: IndexArray, weight: IndexArray, ignore_index: int, reduction: str) -> Any:
    """The negative of ``input`` at each target class, weighted; reduced by "mean", "sum" or "none".

    Shape: (N, C) and (N) -> () or (N). The mean divides by the sum of the weights, as PyTorch's does. ``scale`` is
    what the output's gradient is multiplied with at each target.
    """
    return _nll_loss(input, target, weight, ignore_index, reduction)


@op(node="NllLoss2D", aux=("scale",))
def nll_loss2d(
    input: Array, target: IndexArray, weight: IndexArray, ignore_index: int, reduction: str
) -> Any:
    """As ``nll_loss``, over dims behind the classes. Shape: (N, C, d, …) and (N, d, …) -> () or (N, d, …)."""
    return _nll_loss(input, target, weight, ignore_index, reduction)


def _nll_loss(
    input: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str
) -> tuple[Array, Array]:
    if input.dtype.kind not in "fV":
        raise NoKernelError(f"\"nll_loss_out_frame\" not implemented for '{scalar_type(input)}'")
    _check(input, target, weight)
    places = _places(input, target, weight, ignore_index)
    losses = np.negative(wide(_picked(input, places.safe)))
    return _reduced(losses, places, reduction, input.dtype)


def _check(input: Array, target: Array, weight: Array | None) -> None:
    """Raises ShapeError and DtypeError for what PyTorch refuses, in its words."""
    classes, places = input.shape[1], (input.shape[0], *input.shape[2:])
    if target.dtype.str not in ("<i8", "|u1"):
        raise DtypeError(f"expected target dtype to be Long or Byte, but got {scalar_type(target)}")
    if input.ndim > 2 and target.dtype != np.int64:
        raise DtypeError(f"expected scalar type Long but found {scalar_type(target)}")
    if weight is not None and (
        weight.size != classes if input.ndim > 2 else weight.shape != input.shape[1:2]
    ):
        raise ShapeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
            f"shape: {list(weight.shape)}"
        )
    if weight is not None and weight.dtype != input.dtype:
        raise DtypeError(f"expected scalar type {scalar_type(input)} but found {scalar_type(weight)}")
    if places == target.shape:
        return
    if input.ndim == 2:
        raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
    if input.ndim == 4 and target.ndim != 3:
        raise ShapeError(
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: "
            f"{target.ndim}"
        )
    if input.ndim == 4:
        raise ShapeError(f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}")
    raise ShapeError(f"Expected target size {list(places)}, got {list(target.shape)}")


class _Places(NamedTuple):
    """The targets with 0 for those to ignore, which ones count, and the weight of each; None: all count, as 1."""

    safe: Array
    counted: Array | None
    weights: Array | None


def _places(input: Array, target: Array, weight: Array | None, ignore_index: int) -> _Places:
    """What the targets say.

    Raises:
        DimensionError: for a target that is no class.
    """
    classes = input.shape[1]
    is_simple = weight is None and not 0 <= ignore_index < classes
    if is_simple and target.size and isinstance(target, np.ndarray):
        # A negative number is a large one without its sign.
        highest = target.max() if target.dtype.kind == "u" else target.view(np.uint64).max()
        if highest < classes:
            return _Places(target, None, None)
    require_classes(target, classes, ignore_index)
    counted = target != ignore_index
    safe = np.where(counted, target, 0)
    work = np.float32 if input.dtype.itemsize == 2 else input.dtype
    if weight is None or not safe.size:
        return _Places(safe, counted, counted.astype(work))
    return _Places(safe, counted, np.where(counted, weight.reshape(-1)[safe], 0).astype(work))


def require_classes(target: Array, classes: int, ignore_index: int) -> None:
    """Raises DimensionError for a target that is no class; for one on a GPU, where the program waits next."""
    if used.gpu and is_on_gpu(target):
        on_gpu.checks.require_range(target, 0, classes, "Target {0} is out of bounds.", ignore_index)
    elif isinstance(target, np.ndarray):
        wrong = (target != ignore_index) & ((target < 0) | (target >= classes))
        if wrong.any():
            raise DimensionError(f"Target {int(target[wrong][0])} is out of bounds.")


def _rows(safe: Array) -> Array:
    """The number of each target's row."""
    return _counted(safe.size) if isinstance(safe, np.ndarray) else np.arange(safe.size, like=safe)


@functools.lru_cache(maxsize=64)
def _counted(count: int) -> Array:
    rows = np.arange(count)
    rows.flags.writeable = False
    return rows


def _picked(values: Array, safe: Array) -> Array:
    """The elements at each target."""
    if not safe.size:
        return np.zeros(safe.shape, values.dtype, like=values)
    if values.ndim == 2:
        return values[_rows(safe), safe]
    return values.reshape(-1).take(_flat_places(safe, values.shape[1]))


def _flat_places(safe: Array, classes: int) -> Array:
    """Where each target's element is among all of an array in row-major order. Shape: (N, d, …) of (N, C, d, …)."""
    inner = math.prod(safe.shape[1:])
    firsts = np.arange(0, safe.size * classes, max(1, inner * classes), like=safe)
    starts = firsts[:, None] + np.arange(inner, like=safe)
    return safe * np.int64(inner) + starts.reshape(safe.shape)


def _reduced(losses: Array, places: _Places, reduction: str, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """The result, and what each place's gradient is scaled with: nothing at all where the place is ignored.

    The scale has no dims where it is the same for all places and none is ignored.
    """
    counted, weights = places.counted, places.weights
    if counted is None or weights is None:
        count = losses.dtype.type(losses.size)
        scale = losses.dtype.type(1 / count if reduction == "mean" else 1)
        if reduction == "none":
            return losses.astype(dtype, copy=False), scale
        result = np.add.reduce(losses, axis=None)
        return as_array(result / count if reduction == "mean" else result).astype(dtype, copy=False), scale
    losses = chosen(counted, losses * weights, losses.dtype.type(0))
    if reduction == "none":
        return losses.astype(dtype, copy=False), weights
    result = np.add.reduce(losses, axis=None)
    if reduction == "mean":
        total = np.add.reduce(weights, axis=None)
        result, weights = result / total, chosen(counted, weights / total, weights.dtype.type(0))
    return as_array(result).astype(dtype, copy=False), weights


@op()
def nll_loss_route(
    input: Array, target: IndexArray, scale: IndexArray, shape: tuple[int, ...], ignore_index: int
) -> Array:
    """Zeros of ``shape`` with ``-input * scale`` at each target."""
    routed = np.zeros(shape, input.dtype, like=input)
    if not routed.size:
        return routed
    safe = np.expand_dims(np.where(target == ignore_index, 0, target), 1)
    values = np.negative(wide(input)) * scale
    np.put_along_axis(routed, safe, np.expand_dims(np.broadcast_to(values, target.shape), 1), 1)
    return routed


nll_loss_route.gradient(
    input=lambda g, target, scale, input_meta, ignore_index: _unroute(
        g, target, scale, input_meta.shape, ignore_index
    )
)


def _unroute(g: Any, target: Any, scale: Any, shape: tuple[int, ...], ignore_index: int) -> Any:
    safe = np.expand_dims(np.where(_plain(target) == ignore_index, 0, _plain(target)), 1)
    picked = ops.mul(ops.squeeze(ops.along_dim_pick(g, safe, 1), 1), -_plain(scale))
    return picked if shape else ops.sum(picked)


def _plain(value: Any) -> Array:
    return value._array if hasattr(value, "_array") else value


for _alone in (nll_loss, nll_loss2d):
    _alone.gradient(
        input=lambda g, target, scale, input_meta, ignore_index: nll_loss_route(
            g, target, scale, input_meta.shape, ignore_index
        )
    )
