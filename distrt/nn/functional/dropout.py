"""Dropout: zeroing at random, in training."""

from __future__ import annotations

from distrt.core import ops
from distrt.core.random import numpy_generator
from distrt.core.tensor import Tensor

__all__ = ["dropout"]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes each element with probability ``p`` and scales the others by ``1 / (1 - p)``."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    dropped: Tensor = ops.dropout(input, p, numpy_generator(None))
    return input.copy_(dropped) if inplace else dropped
