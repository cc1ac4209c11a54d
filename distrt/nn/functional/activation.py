"""Activations and softmax."""

from __future__ import annotations

import warnings
from typing import Any

from distrt.core import ops
from distrt.core.tensor import Tensor

__all__ = ["log_softmax", "one_hot", "relu", "sigmoid", "softmax", "tanh"]


sigmoid = ops.sigmoid
tanh = ops.tanh
one_hot = ops.one_hot


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return input.relu_() if inplace else ops.relu(input)


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Exponentials along ``dim``, divided by their sum."""
    return ops.softmax(_typed(input, dtype), _softmax_dim(input, dim, "softmax"))  # type: ignore[no-any-return]


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """The logarithm of the softmax along ``dim``."""
    return ops.log_softmax(_typed(input, dtype), _softmax_dim(input, dim, "log_softmax"))  # type: ignore[no-any-return]


def _typed(input: Tensor, dtype: Any) -> Tensor:
    return input if dtype is None else input.to(dtype)


def _softmax_dim(input: Tensor, dim: int | None, name: str) -> int:
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=3,
    )
    return 0 if input.ndim in (0, 1, 3) else 1
