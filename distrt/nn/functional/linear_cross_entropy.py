"""A linear layer and the cross entropy of its outputs as one, for very many classes."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.functional.classification import cross_entropy
from distrt.nn.functional.reductions import require_no_gradient

__all__ = ["linear_cross_entropy"]


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    With ``options``, an ``nn.LinearCrossEntropyOptions``, the logits exist for a part of the rows at a time.

    Shape: (N, D) or (D), (C, d, …, D), and targets as ``cross_entropy`` takes them for logits of (N, C, d, …).
    """
    _check(input, linear_weight, linear_bias)
    logits_shape = (*input.shape[:-1], *linear_weight.shape[:-1])
    if target.shape == logits_shape and ignore_index is not None:
        raise DtypeError("ignore_index cannot be specified when target contains probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    if options is not None and _is_divisible(linear_weight, linear_bias, target, reduction, label_smoothing):
        return _by_parts(input, linear_weight, target, linear_bias, weight, reduction, ignored, options)
    classes = math.prod(linear_weight.shape[:-1])
    matrix = ops.reshape(linear_weight, (classes, linear_weight.shape[-1]))
    offsets = None if linear_bias is None else ops.reshape(linear_bias, (classes,))
    logits = ops.reshape(ops.linear(input, matrix, offsets), logits_shape)
    return cross_entropy(
        logits,
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=ignored,
        label_smoothing=label_smoothing,
    )


def _check(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> None:
    if not 1 <= input.ndim <= 2:
        raise ShapeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise ShapeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}")
    if input.shape[-1] != linear_weight.shape[-1]:
        raise ShapeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1]:
        raise ShapeError(
            f"expected linear_bias shape {tuple(linear_weight.shape[:-1])}, got {tuple(linear_bias.shape)}"
        )
    if linear_weight.ndim > 2 and input.ndim == 1:
        raise ShapeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {input.shape[-1]}), got unbatched input with shape {tuple(input.shape)}"
        )


def _is_divisible(
    linear_weight: Tensor, linear_bias: Tensor | None, target: Tensor, reduction: str, label_smoothing: float
) -> bool:
    """Whether the rows may be taken a part at a time; a warning says if not."""
    out_features = tuple(linear_weight.shape[1:-1])
    is_long = str(target.dtype) == "torch.int64"
    if reduction in ("mean", "sum", "none") and label_smoothing == 0 and is_long and not out_features:
        return True
    warn(
        "linear_cross_entropy: ``options`` ignored; chunked path needs reduction in {'mean','sum','none'}, "
        f"label_smoothing == 0, target.dtype == int64, out_features == (). Got reduction={reduction!r}, "
        f"label_smoothing={label_smoothing}, target.dtype={target.dtype}, out_features={out_features}, tracing=False, "
        f"linear_bias.shape={None if linear_bias is None else tuple(linear_bias.shape)}.",
        UserWarning,
    )
    return False


def _by_parts(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None,
    weight: Tensor | None,
    reduction: str,
    ignored: int,
    options: Any,
) -> Tensor:
    require_no_gradient("linear_cross_entropy", weight=weight)
    rows = input if input.ndim == 2 else ops.unsqueeze(input, 0)
    targets = target if input.ndim == 2 else ops.unsqueeze(target, 0)
    if targets.shape != rows.shape[:1]:
        raise ShapeError(f"expected a target of {list(rows.shape[:1])}, got {list(targets.shape)}")
    size = options.rows_at_a_time(*rows.shape, linear_weight.shape[0], input.dtype)
    loss = ops.linear_cross_entropy(
        rows, linear_weight, linear_bias, targets, weight, ignored, reduction, size
    )
    return ops.reshape(loss, ()) if input.ndim == 1 and loss.ndim else loss  # type: ignore[no-any-return]
