"""Losses."""

from __future__ import annotations

import math
import warnings

from distrt.core import ops
from distrt.core.errors import DtypeError
from distrt.core.tensor import Tensor

__all__ = ["cross_entropy", "mse_loss", "nll_loss"]

_REDUCTIONS = ("none", "mean", "sum")


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction; expected one of {', '.join(_REDUCTIONS)}"
        )
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of the target classes. Shape: (N, C, …) or (C), and (N, …) or ()."""
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction; expected one of {', '.join(_REDUCTIONS)}"
        )
    if input.ndim == 1:
        single = nll_loss(ops.unsqueeze(input, 0), ops.reshape(target, (1,)), weight, ignore_index, reduction)
        return ops.reshape(single, ())  # type: ignore[no-any-return]
    if input.ndim and target.ndim and input.shape[0] != target.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]})."
        )
    return ops.nll_loss(input, target, weight, ignore_index, reduction)  # type: ignore[no-any-return]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of logits with class indices, or with probabilities of ``input``'s own shape.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    class_dim = 0 if input.ndim == 1 else 1
    logs = ops.log_softmax(input, class_dim)
    if tuple(target.shape) == tuple(input.shape):
        return _soft_cross_entropy(logs, target, weight, reduction, label_smoothing, class_dim)
    hard = nll_loss(logs, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return hard
    uniform = _smoothing(logs, target, weight, ignore_index, reduction, class_dim)
    return ops.add(hard * (1 - label_smoothing), uniform * (label_smoothing / input.shape[class_dim]))  # type: ignore[no-any-return]


def _soft_cross_entropy(
    logs: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    class_dim: int,
) -> Tensor:
    if not target.is_floating_point():
        raise DtypeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype}"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / target.shape[class_dim]
    scaled = logs if weight is None else logs * _per_class(weight, logs.ndim, class_dim)
    losses = -(scaled * target).sum(class_dim)
    if reduction == "mean":
        return losses.sum() / max(1, math.prod(losses.shape))
    return _reduce(losses, reduction)


def _per_class(weight: Tensor, ndim: int, class_dim: int) -> Tensor:
    return weight.reshape([-1 if n == class_dim else 1 for n in range(ndim)])


def _smoothing(
    logs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, class_dim: int
) -> Tensor:
    """The loss against the uniform distribution, over the positions that are not ignored."""
    scaled = logs if weight is None else logs * _per_class(weight, logs.ndim, class_dim)
    counted = ops.ne(target, ignore_index)
    losses = ops.where(counted, -scaled.sum(class_dim), 0.0)
    if reduction != "mean":
        return _reduce(losses, reduction)
    if weight is None:
        return losses.sum() / counted.sum()  # type: ignore[no-any-return]
    weights = ops.where(counted, weight[ops.where(counted, target, 0)], 0.0)
    return losses.sum() / weights.sum()  # type: ignore[no-any-return]


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference. Shapes that differ broadcast, with a warning."""
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will "
            "likely lead to "
            "incorrect results due to broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=2,
        )
    return _reduce(ops.square(ops.sub(input, target)), reduction)
