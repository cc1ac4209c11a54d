"""Losses that ask for a margin: between classes, between pairs of samples, and in triplets of them."""

from __future__ import annotations

from collections.abc import Callable

from distrt.core import ops
from distrt.core.autocast import autocasts
from distrt.core.dtypes.promotion import result_dtype
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.ops.linalg.matrix import require_broadcast
from distrt.core.tensor import Tensor
from distrt.nn.functional.distance import pairwise_distance
from distrt.nn.functional.reductions import reduced, reduction_of, require_no_gradient, require_tensors

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


@autocasts("full")
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """By how much other classes come within ``margin`` of the target, to the power ``p``. Shape: (N, C) or (C)."""
    reduction = reduction_of(reduction, size_average, reduce)
    require_tensors("multi_margin_loss", input=input, target=target)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    require_no_gradient("multi_margin_loss", weight=weight)
    rows = _rows(input)
    if target.shape != rows.shape[:1] and (input.ndim > 1 or target.numel() != 1 or target.ndim > 1):
        raise ShapeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch "
            f"size). Expected target size [{rows.shape[0]}], but got {list(target.shape)}. Input has shape "
            f"{list(input.shape)}."
        )
    targets = ops.reshape(target, (rows.shape[0],))
    loss = ops.multi_margin_loss(rows, targets, p, margin, weight, reduction)
    return loss if loss.ndim == 0 or target.ndim else ops.reshape(loss, ())  # type: ignore[no-any-return]


def _rows(input: Tensor) -> Tensor:
    """The samples as a matrix.

    Raises:
        ShapeError: for more dims than two, or for no class.
    """
    if input.ndim > 2 or 0 in input.shape[-1:]:
        raise ShapeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    return input if input.ndim == 2 else ops.reshape(input, (1, -1))


@autocasts("full")
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """By how much classes not meant come within 1 of those that ``target`` lists, up to its first -1.

    Shape: (N, C) or (C), both.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    require_tensors("multilabel_margin_loss", input=input, target=target)
    rows = _rows(input)
    if target.shape != input.shape and (input.ndim > 1 or target.ndim > 1 or target.numel() != input.numel()):
        raise ShapeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    loss = ops.multilabel_margin_loss(rows, ops.reshape(target, rows.shape), reduction)
    return loss if input.ndim > 1 or not loss.ndim else ops.reshape(loss, ())  # type: ignore[no-any-return]


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The binary cross entropy of each class's logit, averaged over the classes. Shape: (N, C), both."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    truth = (
        ops.to_dtype(target, result_dtype(input._array, target._array))
        if target._array.dtype != bool
        else target
    )
    require_broadcast(truth.shape, input.shape)
    logits, truth = ops.broadcast_tensors(input, truth)
    losses = ops.binary_cross_entropy_with_logits(logits, truth, None, None, "none")
    if weight is not None:
        losses = ops.mul(losses, weight)
    classes = input.size(input.ndim - 1)
    losses = ops.true_divide(ops.sum(losses, input.ndim - 1), classes)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    return reduced(losses, reduction)


@autocasts("full")
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The logistic loss of scores with targets 1 and -1: ``log(1 + exp(-target * input))``."""
    reduction = reduction_of(reduction, size_average, reduce)
    require_tensors("soft_margin_loss", input=input, target=target)
    require_no_gradient("soft_margin_loss", target=target)
    return ops.soft_margin_loss(input, target, reduction)  # type: ignore[no-any-return]


@autocasts("full")
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """A distance where the target is 1; by how much it is below ``margin`` where the target is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    require_tensors("hinge_embedding_loss", input=input, target=target)
    _require_numbers(input)
    apart = ops.to_dtype(ops.clamp_min(ops.sub(margin, input), 0), input._array.dtype)
    losses = ops.add(ops.zero_unless(apart, ops.ne(target, 1)), ops.zero_unless(input, ops.ne(target, -1)))
    return reduced(losses, reduction)


def _require_numbers(input: Tensor) -> None:
    if str(input.dtype) == "torch.bool":
        raise DtypeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )


@autocasts("full")
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """By how much ``input1`` fails to be larger by ``margin`` (target 1), or ``input2`` (target -1)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    gaps = ops.mul(ops.neg(target), ops.sub(input1, input2))
    return reduced(ops.clamp_min(ops.add(gaps, float(margin)), 0), reduction)


@autocasts("full")
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """One less the cosine of two vectors (target 1), or by how much the cosine is above ``margin`` (target -1).

    Shape: (N, D), (N, D) and (N) -> () or (N); or (D), (D) and ().
    """
    reduction = reduction_of(reduction, size_average, reduce)
    require_tensors("cosine_embedding_loss", input1=input1, input2=input2, target=target)
    if target.ndim > 1:
        raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
    wanted = target.ndim + 1
    if not input1.ndim == input2.ndim == wanted:
        raise ShapeError(
            f"{target.ndim}D target tensor expects {wanted}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    lengths = [ops.add(ops.sum(ops.mul(each, each), -1), 1e-12) for each in (input1, input2)]
    cosine = ops.true_divide(ops.sum(ops.mul(input1, input2), -1), ops.sqrt(ops.mul(*lengths)))
    losses = ops.add(
        ops.zero_unless(ops.sub(1, cosine), ops.eq(target, 1)),
        ops.zero_unless(ops.clamp_min(ops.sub(cosine, margin), 0), ops.eq(target, -1)),
    )
    return reduced(losses, reduction)


@autocasts("full")
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """By how much the negative is not ``margin`` further from the anchor than the positive, in the ``p``-norm.

    ``swap`` takes the distance of the negative from the positive where that is the smaller one.
    Source: Balntas et al. 2016, "Learning local feature descriptors with triplets".
    """
    reduction = reduction_of(reduction, size_average, reduce)
    require_tensors("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    return _triplet(
        lambda x1, x2: pairwise_distance(x1, x2, p, eps),
        (anchor, positive, negative),
        margin,
        swap,
        reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``triplet_margin_loss`` with a distance of one's own; the Euclidean one without."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return _triplet(
        distance_function or pairwise_distance, (anchor, positive, negative), margin, swap, reduction
    )


def _triplet(
    distance: Callable[[Tensor, Tensor], Tensor],
    triplet: tuple[Tensor, Tensor, Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    anchor, positive, negative = triplet
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced(ops.clamp_min(ops.sub(ops.add(near, margin), far), 0), reduction)
