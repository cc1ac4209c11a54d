"""Losses of classes: the negative log likelihood and the cross entropies."""

from __future__ import annotations

import math

from distrt.core import ops
from distrt.core.autocast import autocasts
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.tensor import Tensor
from distrt.nn.functional.reductions import reduced, reduction_of, require_no_gradient, require_tensors

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "nll_loss",
]


@autocasts("full")
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of the target classes. Shape: (N, C, …) or (C), and (N, …) or ()."""
    require_tensors("nll_loss_nd", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, size_average, reduce)
    return _of_classes(input, target, weight, ignore_index, reduction, fused=False)


def _of_classes(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, fused: bool
) -> Tensor:
    """The negative log likelihood of classes, of log probabilities or (``fused``) of logits."""
    require_no_gradient("nll_loss_forward" if input.ndim < 3 else "nll_loss2d_forward", weight=weight)
    if not input.ndim:
        raise ValueError(f"Expected 1 or more dimensions (got {input.ndim})")
    if input.ndim == 1:
        rows, targets = ops.unsqueeze(input, 0), _one_target(target)
        loss = _of_classes(rows, targets, weight, ignore_index, reduction, fused)
        return ops.reshape(loss, ()) if loss.ndim else loss
    found = target.shape[0] if target.ndim else 0
    if input.shape[0] != found:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({found})."
        )
    if fused:
        function = ops.cross_entropy if input.ndim == 2 else ops.cross_entropy2d
        return function(input, target, weight, ignore_index, reduction)[0]  # type: ignore[no-any-return]
    function = ops.nll_loss if input.ndim == 2 else ops.nll_loss2d
    return function(input, target, weight, ignore_index, reduction)  # type: ignore[no-any-return]


def _one_target(target: Tensor) -> Tensor:
    if target.ndim > 1:
        raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
    if target.shape not in ((), (1,)):
        raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}")
    return ops.reshape(target, (1,))  # type: ignore[no-any-return]


@autocasts("full")
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of logits with class indices, or with probabilities of ``input``'s own shape.

    Shape: (N, C, …) or (C), with (N, …) or () class indices.
    Source: https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """
    require_tensors("cross_entropy_loss", input=input, target=target, weight=weight)
    reduction = reduction_of(reduction, size_average, reduce)
    over_ranks = getattr(input, "_cross_entropy_over_ranks", None)  # of which this rank has some classes
    if over_ranks is not None:
        found = over_ranks(target, weight, ignore_index, reduction, label_smoothing)
        if found is not None:
            return found  # type: ignore[no-any-return]
    probabilities = input.shape == target.shape
    if probabilities and not target.is_floating_point():
        raise DtypeError(
            f"Expected floating point type for target with class probabilities, got {scalar_type(target)}"
        )
    if probabilities and ignore_index >= 0:
        raise DtypeError("ignore_index is not supported for floating point target")
    if label_smoothing > 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if probabilities:
        return _of_probabilities(input, target, weight, reduction, label_smoothing)
    if label_smoothing <= 0:
        return _of_classes(input, target, weight, ignore_index, reduction, fused=True)
    return _smoothed(input, target, weight, ignore_index, reduction, label_smoothing)


def _of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    class_dim = 0 if input.ndim == 1 else 1
    logs = ops.log_softmax(input, class_dim)
    classes = input.shape[class_dim]
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = ops.mul(logs, target)
    if weight is not None:
        terms = ops.mul(terms, _per_class(weight, input, class_dim))
    if reduction == "none":
        return ops.neg(ops.sum(terms, class_dim))  # type: ignore[no-any-return]
    total = ops.neg(ops.sum(terms))
    if reduction == "sum":
        return total  # type: ignore[no-any-return]
    places = math.prod(input.shape) // max(classes, 1)
    return ops.true_divide(total, places) if places else ops.mul(total, float("nan"))  # type: ignore[no-any-return]


def _per_class(weight: Tensor, input: Tensor, class_dim: int) -> Tensor:
    classes = input.shape[class_dim]
    if weight.shape != (classes,):
        raise ShapeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got "
            f"weight tensor of shape: {list(weight.shape)}"
        )
    return ops.reshape(weight, [-1 if dim == class_dim else 1 for dim in range(input.ndim)])  # type: ignore[no-any-return]


def _smoothed(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """A share of the loss is against the uniform distribution, at the places that are not ignored."""
    class_dim = 0 if input.ndim == 1 else 1
    classes = input.shape[class_dim] if input.ndim else 0
    logs = ops.log_softmax(input, class_dim)
    hard = _of_classes(logs, target, weight, ignore_index, reduction, fused=False)
    scaled = logs if weight is None else ops.mul(logs, _per_class(weight, input, class_dim))
    counted = ops.ne(target, ignore_index)
    losses = ops.zero_unless(ops.neg(ops.sum(scaled, class_dim)), counted)
    if reduction != "mean":
        uniform = reduced(losses, reduction)
    elif weight is None:
        uniform = ops.true_divide(ops.sum(losses), ops.sum(counted))
    else:
        weights = weight[ops.reshape(target, (-1,)) if target.is_meta else ops.masked_select(target, counted)]
        uniform = ops.true_divide(ops.sum(losses), ops.sum(weights))
    return ops.add(ops.mul(hard, 1 - label_smoothing), ops.mul(uniform, label_smoothing / classes))  # type: ignore[no-any-return]


@autocasts("full")
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The cross entropy of probabilities with targets between 0 and 1; a logarithm counts as -100 where it is less."""
    reduction = reduction_of(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. Please ensure they have the same size."
        )
    if weight is not None:
        _require_broadcast(weight, target)
    require_no_gradient("binary_cross_entropy", weight=weight)
    return ops.binary_cross_entropy(input, target, weight, reduction)  # type: ignore[no-any-return]


def _require_broadcast(weight: Tensor, target: Tensor) -> None:
    for dim in range(-1, -1 - min(weight.ndim, target.ndim), -1):
        if weight.shape[dim] != target.shape[dim] and 1 not in (weight.shape[dim], target.shape[dim]):
            raise ShapeError(
                f"Attempting to broadcast a dimension of length {weight.shape[dim]} at {dim}! Mismatching argument at "
                f"index 1 had {weight.size()}; but expected shape should be broadcastable to {list(target.shape)}"
            )


@autocasts("full")
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``binary_cross_entropy`` of the sigmoid of ``input``, in a form that cannot overflow."""
    reduction = reduction_of(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    require_no_gradient("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)  # type: ignore[no-any-return]
