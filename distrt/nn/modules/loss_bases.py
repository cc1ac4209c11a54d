"""What losses share as modules; ``nn.modules.loss`` has them at PyTorch's path."""

from __future__ import annotations

from distrt.core.tensor import Tensor
from distrt.nn.functional.reductions import legacy_reduction
from distrt.nn.modules.module import Module


class _Loss(Module):
    """What all losses share: how the losses of a batch are reduced."""

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = legacy_reduction(size_average, reduce)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a weight for each class or element, which is part of the state."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
