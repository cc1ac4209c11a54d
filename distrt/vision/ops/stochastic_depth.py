"""Stochastic depth: Huang et al. (2016), https://arxiv.org/abs/1603.09382."""

from __future__ import annotations

from distrt import nn
from distrt.core.creation import empty
from distrt.core.tensor import Tensor

__all__ = ["StochasticDepth", "stochastic_depth"]


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """Zeroes whole samples (mode "row") or the whole batch ("batch") with probability ``p``, and scales the others."""
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ["batch", "row"]:
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    survives = 1.0 - p
    size = [input.shape[0] if mode == "row" else 1, *[1] * (input.ndim - 1)]
    noise = empty(size, dtype=input.dtype, device=input.device).bernoulli_(survives)
    if survives > 0.0:
        noise.div_(survives)
    return input * noise


class StochasticDepth(nn.Module):
    """The layer of :func:`stochastic_depth`."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """The samples that are left, scaled."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(p={self.p}, mode={self.mode})"
