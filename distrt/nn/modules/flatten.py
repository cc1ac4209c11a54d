"""Layers that change the shape only."""

from __future__ import annotations

from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module

__all__ = ["Flatten"]


class Flatten(Module):
    """The dims from ``start_dim`` to ``end_dim`` as one; the default keeps the batch dim."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, …) -> (N, product of the rest)."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dims."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
