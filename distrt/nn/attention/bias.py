"""``causal_upper_left``, ``causal_lower_right``: masks for attention whose queries and keys differ in number.

Source: https://docs.pytorch.org/docs/stable/nn.attention.bias.html
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from distrt.core.overriding.dispatch import disabled
from distrt.core.tensor import Tensor

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """Where the triangle of what queries see begins."""

    UPPER_LEFT = 1  #: query i sees the keys up to i
    LOWER_RIGHT = 2  #: the last query sees all keys


class CausalBias(Tensor):
    """A mask of bools for ``scaled_dot_product_attention``: true where a query sees a key.

    Args:
        variant: where the triangle begins.
        seq_len_q: the number of queries.
        seq_len_kv: the number of keys.

    Shape: (seq_len_q, seq_len_kv).
    """

    __torch_function__ = disabled

    def __new__(cls, *args: Any) -> Any:
        """Room for one; ``__init__`` fills it."""
        return object.__new__(cls)

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        self.variant, self.seq_len_q, self.seq_len_kv = variant, seq_len_q, seq_len_kv
        offset = seq_len_kv - seq_len_q if variant is CausalVariant.LOWER_RIGHT else 0
        self._array, self._counter = np.tri(seq_len_q, seq_len_kv, offset, dtype=np.bool_), [0]


def causal_upper_left(*size: int) -> CausalBias:
    """Query i sees the keys up to i.

    Args:
        size: the number of queries, and that of keys.
    """
    return _made(CausalVariant.UPPER_LEFT, size)


def causal_lower_right(*size: int) -> CausalBias:
    """The last query sees all keys, and each one before it one key less: as in generating text with kept keys.

    Args:
        size: the number of queries, and that of keys.
    """
    return _made(CausalVariant.LOWER_RIGHT, size)


def _made(variant: CausalVariant, size: Any) -> CausalBias:
    if len(size) != 2:
        raise AssertionError(f"causal_{variant.name.lower()} only supports 2D tensors")
    return CausalBias(variant, *size)
