"""Losses of numbers: absolute, squared, smooth and Huber errors."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.autocast import autocasts
from distrt.core.tensor import Tensor
from distrt.nn.functional.reductions import reduced, reduction_of, same_size

__all__ = ["huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss"]


@autocasts("full")
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared difference; a weighted mean divides by the sum of the weights."""
    expanded_input, expanded_target = same_size(input, target)
    if weight is None:
        reduction = reduction_of(reduction, size_average, reduce)
        return ops.mse_loss(expanded_input, expanded_target, reduction)  # type: ignore[no-any-return]
    errors = ops.square(ops.sub(expanded_input, expanded_target))
    return _weighted(errors, weight, input, reduction, size_average, reduce)


@autocasts("full")
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute difference; a weighted mean divides by the sum of the weights."""
    expanded_input, expanded_target = same_size(input, target)
    errors = ops.abs(ops.sub(expanded_input, expanded_target))
    if weight is None:
        return reduced(errors, reduction_of(reduction, size_average, reduce))
    return _weighted(errors, weight, input, reduction, size_average, reduce)


def _weighted(
    errors: Tensor,
    weight: Tensor,
    input: Tensor,
    reduction: str,
    size_average: bool | None,
    reduce: bool | None,
) -> Tensor:
    if size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    losses = _times(errors, weight, input, reduction)
    if reduction == "mean":
        return ops.true_divide(ops.sum(losses), ops.sum(weight))  # type: ignore[no-any-return]
    return reduced(losses, reduction)


def _times(errors: Any, weight: Tensor, input: Tensor, reduction: str) -> Tensor:
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")
    return ops.mul(errors, weight)  # type: ignore[no-any-return]


@autocasts("full")
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """The squared difference over ``2 beta`` where it is below ``beta``, the absolute one less ``beta / 2`` beyond.

    Source: Girshick 2015, "Fast R-CNN".
    """
    expanded_input, expanded_target = same_size(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    if beta == 0:
        return reduced(ops.abs(ops.sub(expanded_input, expanded_target)), reduction)
    return ops.smooth_l1_loss(expanded_input, expanded_target, beta, reduction)  # type: ignore[no-any-return]


@autocasts("full")
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared difference up to ``delta``, ``delta`` times the absolute one less ``delta / 2`` further out."""
    expanded_input, expanded_target = same_size(input, target)
    if weight is None:
        return ops.huber_loss(expanded_input, expanded_target, delta, reduction_of(reduction))  # type: ignore[no-any-return]
    errors = ops.huber_loss(expanded_input, expanded_target, delta, "none")
    return reduced(_times(errors, weight, input, reduction), reduction)
