"""Losses as modules."""

from __future__ import annotations

from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn.modules.module import Module

__all__ = ["CrossEntropyLoss", "MSELoss"]


class CrossEntropyLoss(Module):
    """The cross entropy of logits with class indices, or with probabilities of the logits' shape."""

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Shape: (N, C, …) and (N, …) -> (), or (N, …) with ``reduction="none"``."""
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(Module):
    """The squared difference, averaged, summed or as it is."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Shape: two of the same -> (), or the same with ``reduction="none"``."""
        return F.mse_loss(input, target, self.reduction)
