"""Activations and softmax."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.creation import empty_like, zeros_like
from distrt.core.definitions.in_place_functions import (
    celu_,
    elu_,
    hardsigmoid_,
    hardswish_,
    hardtanh_,
    leaky_relu_,
    mish_,
    relu_,
    rrelu_,
    selu_,
    silu_,
    threshold_,
)
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "one_hot",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]

gelu = ops.gelu
hardshrink = ops.hardshrink
logsigmoid = ops.log_sigmoid
one_hot = ops.one_hot
prelu = ops.prelu
softplus = ops.softplus
softshrink = ops.softshrink


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``input`` where it is above ``threshold``, else ``value``."""
    return threshold_(input, threshold, value) if inplace else ops.threshold(input, threshold, value)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return relu_(input) if inplace else ops.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``input`` moved into [0, 6]."""
    return hardtanh_(input, 0, 6) if inplace else ops.hardtanh(input, 0, 6)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` moved into [min_val, max_val].

    Raises:
        ValueError: for bounds in the wrong order.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return hardtanh_(input, min_val, max_val) if inplace else ops.hardtanh(input, min_val, max_val)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` where it is positive, else ``negative_slope`` times it."""
    return leaky_relu_(input, negative_slope) if inplace else ops.leaky_relu(input, negative_slope)


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """``input`` where it is positive, else a slope times it: drawn in training, the mean of the bounds otherwise."""
    return (rrelu_ if inplace else ops.rrelu)(input, lower, upper, training)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where it is positive, else ``alpha * (exp(input) - 1)``."""
    return elu_(input, alpha) if inplace else ops.elu(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The ``elu`` that keeps a signal's mean and variance."""
    return selu_(input) if inplace else ops.selu(input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where it is positive, else ``alpha * (exp(input / alpha) - 1)``."""
    return celu_(input, alpha) if inplace else ops.celu(input, alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``."""
    return silu_(input) if inplace else ops.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``."""
    return mish_(input) if inplace else ops.mish(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """A line from 0 at -3 to 1 at 3."""
    return hardsigmoid_(input) if inplace else ops.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * hardsigmoid(input)``."""
    return hardswish_(input) if inplace else ops.hardswish(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim`` times the sigmoid of the second half.

    Raises:
        RuntimeError: where the dim cannot be halved.
    """
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    return ops.glu(input, dim)  # type: ignore[no-any-return]


def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``."""
    return input - input.tanh()


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``."""
    return input / (input.abs() + 1)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``."""
    return input.sigmoid()


# Softmax


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Exponentials along ``dim``, divided by their sum. ``_stacklevel`` has no effect."""
    return ops.softmax(input, _dim(input, dim, "softmax"), dtype)  # type: ignore[no-any-return]


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The softmax of ``-input``."""
    return ops.softmax(-input, _dim(input, dim, "softmin"), dtype)  # type: ignore[no-any-return]


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of the softmax along ``dim``."""
    return ops.log_softmax(input, _dim(input, dim, "log_softmax"), dtype)  # type: ignore[no-any-return]


def _dim(input: Tensor, dim: int | None, name: str) -> int:
    if dim is not None:
        return dim
    warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        UserWarning,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A softmax of ``logits`` with noise, so that its largest element is a draw from their distribution.

    Args:
        logits: logarithms of probabilities, up to a constant.
        tau: the lower, the closer to a one-hot vector.
        hard: returns the one-hot vector itself, with the gradient of the soft one.
        eps: has no effect.
        dim: the dim of the classes.

    Source: Jang, Gu and Poole 2016.
    """
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.", UserWarning)
    noise = -empty_like(logits, requires_grad=False).exponential_().log()
    soft: Tensor = ops.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().max(dim, keepdim=True)[1]
    chosen: Tensor = zeros_like(logits, requires_grad=False).scatter_(dim, index, 1.0)
    return chosen - soft.detach() + soft
