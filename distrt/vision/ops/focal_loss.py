"""The focal loss: Lin et al. (2017), https://arxiv.org/abs/1708.02002."""

from __future__ import annotations

from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn import functional as F

__all__ = ["sigmoid_focal_loss"]


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """Binary cross entropy that easy examples weigh less in; an ``alpha`` of -1 is none. Shape: both the same."""
    if not (0 <= alpha <= 1) and alpha != -1:
        raise ValueError(f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore.")
    p = ops.sigmoid(inputs)
    p_right = p * targets + (1 - p) * (1 - targets)
    loss: Tensor = (
        F.binary_cross_entropy_with_logits(inputs, targets, reduction="none") * (1 - p_right) ** gamma
    )
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError(
            f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', 'mean', 'sum'"
        )
    return loss.mean() if reduction == "mean" else loss.sum()
