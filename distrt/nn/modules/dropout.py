"""Dropout layers."""

from __future__ import annotations

from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn.modules.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _DropoutNd(Module):
    """A probability, and whether the input is overwritten."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The probability, and whether it works in place."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training, zeroes each element with probability ``p`` and scales the others by ``1 / (1 - p)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """As ``Dropout``, of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, L) or (C, L) -> the same."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """As ``Dropout``, of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, H, W), or (N, C, L) with a warning -> the same."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """As ``Dropout``, of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, D, H, W) or (C, D, H, W) -> the same."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout for networks with ``selu``: mean 0 and variance 1 stay. ``inplace`` has no effect, as in PyTorch."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """As ``AlphaDropout``, of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, …) -> the same."""
        return F.feature_alpha_dropout(input, self.p, self.training)
