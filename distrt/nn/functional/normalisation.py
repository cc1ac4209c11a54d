"""Normalisation by means and variances, by norms, and by neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from distrt.core import ops
from distrt.core.creation import zeros
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel: with the batch's statistics in training, with the running ones otherwise.

    In training the running statistics move towards the batch's mean and unbiased variance by ``momentum``.

    Raises:
        ValueError: in training, for one value per channel or an ``eps`` that is not positive.
    """
    if training:
        _require_several(input.shape, input.shape)
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    return ops.batch_norm(  # type: ignore[no-any-return]
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )


def _require_several(sizes: Sequence[int], shown: object) -> None:
    """Refuses (N, C, …) with one value per channel C."""
    if sizes[0] * math.prod(sizes[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {shown}")


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of each sample: with its own statistics, or with the running ones of the channel.

    Raises:
        ValueError: for one value per channel, by its own statistics.
    """
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    return ops.instance_norm(  # type: ignore[no-any-return]
        input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises the last dims, which are of ``normalized_shape``, of each sample."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)  # type: ignore[no-any-return]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divides the last dims, which are of ``normalized_shape``, by their root mean square."""
    return ops.rms_norm(input, normalized_shape, weight, eps)  # type: ignore[no-any-return]


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each group of channels of each sample.

    Raises:
        RuntimeError: for an input without channels, or channels that cannot be grouped.
        ValueError: for one value per group.
    """
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    seen = [input.shape[0] * input.shape[1] // num_groups, num_groups, *input.shape[2:]]
    _require_several(seen, seen)
    return ops.group_norm(input, num_groups, weight, bias, eps)  # type: ignore[no-any-return]


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divides by a power of the mean square of the ``size`` channels around each. Shape: (N, C, …) -> the same.

    Raises:
        ValueError: for fewer than 3 dims.
        ShapeError: for a size that is not positive.

    Source: Krizhevsky, Sutskever and Hinton 2012.
    """
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {input.ndim} dimensions)"
        )
    if not input.numel():
        return input
    if size <= 0:
        raise ShapeError(f"kernel size should be greater than zero, but got kH: {size} kW: 1")
    before, after = (
        zeros((input.shape[0], count, *input.shape[2:]), dtype=input.dtype, device=input.device)
        for count in (size // 2, (size - 1) // 2)
    )
    padded = ops.cat([before, ops.mul(input, input), after], 1)
    rounding = None if input.is_floating_point() or input.is_complex() else "trunc"
    mean = ops.div(ops.sum(padded.unfold(1, size, 1), -1), size, rounding_mode=rounding)
    return ops.true_divide(input, ops.pow(ops.add(ops.mul(mean, alpha), k), beta))  # type: ignore[no-any-return]


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Vectors along ``dim`` divided by their p-norms; a norm below ``eps`` counts as ``eps``."""
    sizes = ops.clamp(input.norm(p, dim, keepdim=True), min=eps)
    return ops.div(input, ops.expand(sizes, input.shape), out=out)  # type: ignore[no-any-return]
