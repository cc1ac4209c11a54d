"""Softmax and the losses on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import DimensionError, DtypeError, ShapeError, UnsupportedError
from distrt.core.op import IndexArray, op
from distrt.core.ops.dims import one_dim
from distrt.core.ops.half import wide

__all__ = [
    "log_softmax",
    "nll_loss",
    "softmax",
]

F32 = dt.float32.numpy


@op(autocast="full")
def softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """Exponentials along ``dim``, divided by their sum; shifted by the maximum so that they cannot overflow."""
    axis = one_dim(dim, input.ndim)
    work = _in_floats(input, dtype, "softmax")
    if not work.size or not work.ndim:
        return np.where(np.isfinite(work), np.ones((), work.dtype), np.full((), np.nan, work.dtype))
    values = wide(work)
    powers = values - np.maximum.reduce(values, axis=axis, keepdims=True)
    np.exp(powers, out=powers)
    powers /= np.add.reduce(powers, axis=axis, keepdims=True)
    return powers.astype(work.dtype, copy=False)


softmax.gradient(input=lambda g, out, dim: _softmax_slope(g, out, dim))


def _softmax_slope(g: Any, out: Any, dim: int) -> Any:
    g, out = _widened(g), _widened(out)
    return ops.mul(out, ops.sub(g, ops.sum(ops.mul(g, out), dim, True)))


def _widened(value: Any) -> Any:
    """Half precision as float32: a derivative is rounded once, too."""
    return ops.to_dtype(value, F32) if getattr(value, "_array", value).dtype.itemsize == 2 else value


@op(autocast="full")
def log_softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """Log of the softmax along ``dim``, shifted by the maximum so that it cannot overflow.

    Shape: any -> same. Autocast: runs in float32.
    """
    axis = one_dim(dim, input.ndim)
    work = _in_floats(input, dtype, "log_softmax")
    if not work.size or not work.ndim:
        return np.where(np.isfinite(work), np.zeros((), work.dtype), np.full((), np.nan, work.dtype))
    values = wide(work)
    shifted = values - np.maximum.reduce(values, axis=axis, keepdims=True)
    shifted -= np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))
    return shifted.astype(work.dtype, copy=False)


def _in_floats(input: Array, dtype: Any, name: str) -> Array:
    if dtype is not None:
        input = input.astype(dt.to_numpy(dtype), copy=False)
    if input.dtype is not F32 and (input.dtype.kind == "c" or input.dtype not in dt.FLOATING_NUMPY):
        raise UnsupportedError(
            f"{name}(): not implemented for {dt.of(input)}; say dtype=torch.float32 to convert it"
        )
    return input


log_softmax.gradient(input=lambda g, out, dim: _log_softmax_slope(g, out, dim))


def _log_softmax_slope(g: Any, out: Any, dim: int) -> Any:
    g, out = _widened(g), _widened(out)
    return ops.sub(g, ops.mul(ops.exp(out), ops.sum(g, dim, True)))


@op(node="NllLoss", aux=("scale",))
def nll_loss(input: Array, target: IndexArray, weight: IndexArray, ignore_index: int, reduction: str) -> Any:
    """The negative of ``input`` at each target class, weighted; reduced by "mean", "sum" or "none".

    Shape: (N, C, …) and (N, …) -> () or (N, …). The mean divides by the sum of the weights, as PyTorch's does.
    ``scale`` is what the output's gradient is multiplied with at each target.
    """
    _check_targets(input, target, weight, ignore_index)
    counted = target != ignore_index
    safe = np.where(counted, target, 0)
    scale = (
        counted.astype(input.dtype)
        if weight is None
        else np.where(counted, weight[safe], 0).astype(input.dtype)
    )
    losses = -np.take_along_axis(input, np.expand_dims(safe, 1), 1).squeeze(1)
    losses = np.where(counted, losses * scale, np.zeros((), input.dtype))
    if reduction == "none":
        return losses, scale
    if reduction == "sum":
        return losses.sum(dtype=input.dtype), scale
    total = scale.sum(dtype=input.dtype)
    return np.true_divide(losses.sum(dtype=input.dtype), total), np.true_divide(scale, total)


def _check_targets(input: Array, target: Array, weight: Array | None, ignore_index: int) -> None:
    if target.dtype not in (np.int64, np.uint8):
        raise DtypeError(f"expected target dtype to be Long or Byte, but got {dt.of(target)}")
    if weight is not None and weight.shape != input.shape[1:2]:
        raise ShapeError(
            f"weight tensor should be defined either for all {input.shape[1]} classes or no classes but got weight "
            f"tensor of shape: {list(weight.shape)}"
        )
    if input.ndim < 2 or (input.shape[0], *input.shape[2:]) != target.shape:
        raise ShapeError(
            f"a target for an input of {list(input.shape)} must have shape {[*input.shape[:1], *input.shape[2:]]}, but "
            f"it has {list(target.shape)}"
        )
    wrong = (target != ignore_index) & ((target < 0) | (target >= input.shape[1]))
    if wrong.any():
        raise DimensionError(
            f"Target {int(target[wrong].flat[0])} is out of bounds for {input.shape[1]} classes."
        )


@op()
def nll_loss_route(
    input: Array, target: IndexArray, scale: IndexArray, shape: tuple[int, ...], ignore_index: int
) -> Array:
    """Zeros of ``shape`` with ``-input * scale`` at each target."""
    routed = np.zeros(shape, input.dtype)
    safe = np.expand_dims(np.where(target == ignore_index, 0, target), 1)
    np.put_along_axis(routed, safe, np.expand_dims(np.broadcast_to(-input * scale, target.shape), 1), 1)
    return routed


nll_loss.gradient(
    input=lambda g, target, scale, input_meta, ignore_index: nll_loss_route(
        g, target, scale, input_meta.shape, ignore_index
    )
)
nll_loss_route.gradient(
    input=lambda g, target, scale, input_meta, ignore_index: _unroute(
        g, target, scale, input_meta.shape, ignore_index
    )
)


def _unroute(g: Any, target: Any, scale: Any, shape: tuple[int, ...], ignore_index: int) -> Any:
    safe = np.expand_dims(np.where(_plain(target) == ignore_index, 0, _plain(target)), 1)
    picked = ops.mul(ops.squeeze(ops.along_dim_pick(g, safe, 1), 1), -scale)
    return picked if shape else ops.sum(picked)


def _plain(value: Any) -> Array:
    return value._array if hasattr(value, "_array") else value
