"""Normalisation by means and variances."""

from __future__ import annotations

from distrt.core import ops
from distrt.core.errors import ShapeError
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor

__all__ = ["batch_norm"]


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
    """
    channels = input.shape[1] if input.ndim > 1 else 0
    for name, values in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if values is not None and values.numel() != channels:
            raise ShapeError(f"{name} should contain {channels} elements not {values.numel()}")
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
        return _normalise(input, running_mean, running_var, weight, bias, eps)
    count = input.numel() // max(1, channels)
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    out, mean, variance = ops.batch_norm(input, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        with no_grad():
            running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
            running_var.mul_(1 - momentum).add_(variance, alpha=momentum * count / (count - 1))
    return out  # type: ignore[no-any-return]


def _normalise(
    input: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    sizes = (1, -1, *[1] * (input.ndim - 2))
    scale = ops.rsqrt(ops.add(variance, eps))
    scale = scale if weight is None else ops.mul(scale, weight)
    shift = ops.neg(ops.mul(mean, scale))
    shift = shift if bias is None else ops.add(shift, bias)
    return ops.add(ops.mul(input, ops.reshape(scale, sizes)), ops.reshape(shift, sizes))  # type: ignore[no-any-return]
