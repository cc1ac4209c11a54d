"""What becomes of the losses of a batch: themselves, their mean or their sum, and PyTorch's older words for these."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.errors import AutogradError
from distrt.core.modes import is_grad_enabled
from distrt.core.ops.linalg.matrix import require_broadcast
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor


def reduction_of(reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """One of "none", "mean" and "sum"; the older arguments win where they are given.

    Raises:
        ValueError: for another text.
    """
    if size_average is not None or reduce is not None:
        return legacy_reduction(size_average, reduce)
    if reduction == "elementwise_mean":
        warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.", UserWarning)
        return "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def legacy_reduction(size_average: bool | None, reduce: bool | None, warns: bool = True) -> str:
    """What ``size_average`` and ``reduce`` mean together, with a warning."""
    reduced = reduce is None or reduce
    averaged = size_average is None or size_average
    reduction = "none" if not reduced else "mean" if averaged else "sum"
    if warns:
        warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            UserWarning,
        )
    return reduction


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses, their mean or their sum."""
    if reduction == "none":
        return losses
    return ops.mean(losses) if reduction == "mean" else ops.sum(losses)  # type: ignore[no-any-return]


def require_tensors(function: str, **values: Any) -> None:
    """Raises TypeError for what is no tensor, in PyTorch's words; the arguments are in their order.

    A weight may be None.
    """
    for position, (name, value) in enumerate(values.items(), 1):
        if not isinstance(value, Tensor) and (value is not None or name != "weight"):
            kind = f"{'numpy.' if isinstance(value, np.ndarray) else ''}{type(value).__name__}"
            raise TypeError(
                f"{function}(): argument '{name}' (position {position}) must be Tensor, not {kind}"
            )


def same_size(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the shape that they broadcast to, with a warning where they differ."""
    if input.size() == target.size():
        return input, target
    warn(
        f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will "
        "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
        UserWarning,
    )
    require_broadcast(input.shape, target.shape)
    expanded_input, expanded_target = ops.broadcast_tensors(input, target)
    return expanded_input, expanded_target


def require_no_gradient(function: str, **tensors: Tensor | None) -> None:
    """Raises AutogradError for a tensor that requires grad where the function has no derivative for it."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.requires_grad and is_grad_enabled():
            raise AutogradError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. This input cannot "
                "have requires_grad True."
            )
