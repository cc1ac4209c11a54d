"""Margins between the scores of classes that are meant and of those that are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, accumulated, as_array, beside, is_meta, known
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.pointwise.type_names import scalar_type

__all__ = ["multi_margin_loss", "multilabel_margin_loss"]


@op()
def multi_margin_loss(
    input: Array, target: IndexArray, p: int, margin: float, weight: IndexArray, reduction: str
) -> Array:
    """Each other class's ``max(0, margin - input[target] + input[class]) ** p``, over the number of classes.

    Shape: (N, C) and (N) -> () or (N).
    """
    _require_dtypes("multi_margin_loss_cpu_kernel", input, target)
    if weight is not None and weight.size != input.shape[1]:
        raise ShapeError(f"inconsistent weight size, expected {input.shape[1]} but got {list(weight.shape)}")
    if weight is not None and weight.dtype != input.dtype:
        raise DtypeError(f"expected scalar type {scalar_type(input)} but found {scalar_type(weight)}")
    if known(((target < 0) | (target >= input.shape[1])).any()):
        raise ShapeError("target out of range")
    return as_array(_plain_multi_margin(input, target, p, margin, weight, reduction)).astype(
        input.dtype, copy=False
    )


def _require_dtypes(kernel: str, input: Array, target: Array) -> None:
    if input.dtype not in (np.float32, np.float64):
        raise NoKernelError(f"\"{kernel}\" not implemented for '{scalar_type(input)}'")
    if target.dtype != np.int64:
        raise DtypeError(f"expected scalar type Long but found {scalar_type(target)}")


def _plain_multi_margin(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    place = target[:, None]
    misses = ops.relu(ops.add(ops.sub(input, ops.along_dim_pick(input, place, 1)), margin))
    misses = misses if p == 1 else ops.square(misses)
    if weight is not None:
        misses = ops.mul(misses, weight.reshape(-1)[place])
    others = np.arange(input.shape[1], like=beside(place)) != place
    return _averaged(ops.sum(ops.zero_unless(misses, others), 1), input.shape[1], reduction)


def _averaged(sums: Any, classes: int, reduction: str) -> Any:
    losses = ops.true_divide(sums, classes)
    if reduction == "none":
        return losses
    return ops.mean(losses) if reduction == "mean" else ops.sum(losses)


@multi_margin_loss.gradients
def _multi_margin_gradients(
    g: Any, input: Any, target: Any, p: int, margin: float, weight: Any, reduction: str
) -> tuple[Any, ...]:
    count, classes = input.shape
    rows = np.arange(count, like=target)
    misses = np.maximum(input - input[rows, target][:, None] + input.dtype.type(margin), 0)
    slope = (misses > 0).astype(input.dtype) if p == 1 else 2 * misses
    slope[rows, target] = 0
    share = g / (classes * (count if reduction == "mean" else 1))
    slope *= share[..., None] if weight is None else (share * weight.reshape(-1)[target])[:, None]
    slope[rows, target] = -slope.sum(axis=1)
    return (slope,)


multi_margin_loss.composite = _plain_multi_margin


@op(node="MultilabelMarginLoss")
def multilabel_margin_loss(input: Array, target: IndexArray, reduction: str) -> Array:
    """``max(0, 1 - input[meant] + input[other])`` of each class that is meant and each that is not, over all classes.

    Shape: (N, C) twice -> () or (N). A row of ``target`` lists the classes that are meant, up to the first -1.
    """
    _require_dtypes("multilabel_margin_loss_forward_out_frame", input, target)
    if target.size and not is_meta(target) and (target.min() < -1 or target.max() >= input.shape[1]):
        raise ShapeError("argument #2 'target' is out of range")
    return as_array(_plain_multilabel_margin(input, target, reduction)).astype(input.dtype, copy=False)


def _plain_multilabel_margin(input: Any, target: Any, reduction: str = "mean") -> Any:
    meant, pairs = _pairs(target)
    scores = ops.unsqueeze(ops.along_dim_pick(input, meant, 1, False), 2)
    misses = ops.relu(ops.add(ops.sub(ops.unsqueeze(input, 1), scores), 1))
    return _averaged(ops.sum(ops.zero_unless(misses, pairs), (1, 2)), input.shape[1], reduction)


def _pairs(target: Array) -> tuple[Array, Array]:
    """The classes meant, and for each (row, class meant, class) whether it counts. Shape: (N, C), (N, C, C)."""
    listed = accumulated(np.logical_and, target >= 0, 1)
    meant = np.where(listed, target, 0)
    is_meant = np.zeros(target.shape, bool, like=target)
    rows = np.broadcast_to(np.arange(target.shape[0], like=target)[:, None], target.shape)
    if not is_meta(target):
        is_meant[rows[listed], meant[listed]] = True
    return meant, listed[:, :, None] & ~is_meant[:, None, :]


@multilabel_margin_loss.gradients
def _multilabel_margin_gradients(g: Any, input: Any, target: Any, reduction: str) -> tuple[Any, ...]:
    count, classes = input.shape
    meant, pairs = _pairs(target)
    scores = np.take_along_axis(input, meant, 1)[:, :, None]
    missed = ((1 - scores + input[:, None, :] > 0) & pairs).astype(input.dtype)
    slope = missed.sum(axis=1)
    add_at(slope, (np.arange(count, like=target)[:, None], meant), -missed.sum(axis=2))
    share = g / (classes * (count if reduction == "mean" else 1))
    return (slope * share[..., None],)


multilabel_margin_loss.composite = _plain_multilabel_margin
