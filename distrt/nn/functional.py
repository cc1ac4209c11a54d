"""The functions behind the layers, for direct use: ``import distrt.nn.functional as F``."""

from __future__ import annotations

import math
import warnings
from typing import Any

from distrt.core import ops
from distrt.core.creation import zeros
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.modes import no_grad
from distrt.core.random import numpy_generator
from distrt.core.tensor import Tensor

linear = ops.linear
one_hot = ops.one_hot
sigmoid = ops.sigmoid
tanh = ops.tanh


def pair(value: Any, name: str) -> tuple[int, int]:
    """One integer for both spatial dims, or two."""
    if isinstance(value, int):
        return value, value
    found = tuple(int(each) for each in value)
    if len(found) == 1:
        found *= 2
    if len(found) != 2:
        raise ShapeError(f"{name}: expected one integer or two, got {value!r}")
    return found[0], found[1]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return input.relu_() if inplace else ops.relu(input)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes each element with probability ``p`` and scales the others by ``1 / (1 - p)``."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    dropped: Tensor = ops.dropout(input, p, numpy_generator(None))
    return input.copy_(dropped) if inplace else dropped


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


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation. Shape: (N, C, H, W) or (C, H, W), weight (O, C/groups, kh, kw), bias (O)."""
    stride, dilation = pair(stride, "stride"), pair(dilation, "dilation")
    batched = input if input.ndim == 4 else ops.unsqueeze(input, 0)
    if isinstance(padding, str):
        padding, extra = named_padding(padding, tuple(weight.shape[2:]), stride, dilation)
        batched = _pad_after(batched, extra)
    out: Tensor = ops.convolution2d(batched, weight, stride, pair(padding, "padding"), dilation, groups)
    if bias is not None:
        out = ops.add(out, ops.reshape(bias, (1, -1, 1, 1)))
    return out if input.ndim == 4 else ops.squeeze(out, 0)


Pair = tuple[int, int]


def named_padding(name: str, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """The zeros on both sides of each spatial dim, and those that only the far side gets besides."""
    if name == "valid":
        return (0, 0), (0, 0)
    if name != "same":
        raise ValueError(f"Invalid padding string {name!r}, should be one of {{'valid', 'same'}}")
    if stride != (1, 1):
        raise ValueError("padding='same' is not supported for strided convolutions")
    rows, columns = (dilation[n] * (kernel[n] - 1) for n in (0, 1))
    return (rows // 2, columns // 2), (rows % 2, columns % 2)


def _pad_after(input: Tensor, extra: Pair) -> Tensor:
    """Zeros after the last row and the last column."""
    for dim, count in zip((-2, -1), extra, strict=True):
        if count:
            sizes = list(input.shape)
            sizes[dim] = count
            input = ops.cat([input, zeros(sizes, dtype=input.dtype)], dim)
    return input


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The largest element of each window. Shape: (N, C, H, W) or (C, H, W)."""
    if return_indices:
        raise UnsupportedError("max_pool2d: return_indices is not available yet")
    kernel = pair(kernel_size, "kernel_size")
    step = kernel if stride is None or stride == [] else pair(stride, "stride")
    batched = input if input.ndim == 4 else ops.unsqueeze(input, 0)
    out: Tensor = ops.max_pool2d(
        batched, kernel, step, pair(padding, "padding"), pair(dilation, "dilation"), ceil_mode
    )
    return out if input.ndim == 4 else ops.squeeze(out, 0)


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


_REDUCTIONS = ("none", "mean", "sum")


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction; expected one of {', '.join(_REDUCTIONS)}"
        )
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of the target classes. Shape: (N, C, …) or (C), and (N, …) or ()."""
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction; expected one of {', '.join(_REDUCTIONS)}"
        )
    if input.ndim == 1:
        single = nll_loss(ops.unsqueeze(input, 0), ops.reshape(target, (1,)), weight, ignore_index, reduction)
        return ops.reshape(single, ())  # type: ignore[no-any-return]
    if input.ndim and target.ndim and input.shape[0] != target.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]})."
        )
    return ops.nll_loss(input, target, weight, ignore_index, reduction)  # type: ignore[no-any-return]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of logits with class indices, or with probabilities of ``input``'s own shape.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    class_dim = 0 if input.ndim == 1 else 1
    logs = ops.log_softmax(input, class_dim)
    if tuple(target.shape) == tuple(input.shape):
        return _soft_cross_entropy(logs, target, weight, reduction, label_smoothing, class_dim)
    hard = nll_loss(logs, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return hard
    uniform = _smoothing(logs, target, weight, ignore_index, reduction, class_dim)
    return ops.add(hard * (1 - label_smoothing), uniform * (label_smoothing / input.shape[class_dim]))  # type: ignore[no-any-return]


def _soft_cross_entropy(
    logs: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    class_dim: int,
) -> Tensor:
    if not target.is_floating_point():
        raise DtypeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype}"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / target.shape[class_dim]
    scaled = logs if weight is None else logs * _per_class(weight, logs.ndim, class_dim)
    losses = -(scaled * target).sum(class_dim)
    if reduction == "mean":
        return losses.sum() / max(1, math.prod(losses.shape))
    return _reduce(losses, reduction)


def _per_class(weight: Tensor, ndim: int, class_dim: int) -> Tensor:
    return weight.reshape([-1 if n == class_dim else 1 for n in range(ndim)])


def _smoothing(
    logs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, class_dim: int
) -> Tensor:
    """The loss against the uniform distribution, over the positions that are not ignored."""
    scaled = logs if weight is None else logs * _per_class(weight, logs.ndim, class_dim)
    counted = ops.ne(target, ignore_index)
    losses = ops.where(counted, -scaled.sum(class_dim), 0.0)
    if reduction != "mean":
        return _reduce(losses, reduction)
    if weight is None:
        return losses.sum() / counted.sum()  # type: ignore[no-any-return]
    weights = ops.where(counted, weight[ops.where(counted, target, 0)], 0.0)
    return losses.sum() / weights.sum()  # type: ignore[no-any-return]


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference. Shapes that differ broadcast, with a warning."""
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will "
            "likely lead to "
            "incorrect results due to broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=2,
        )
    return _reduce(ops.square(ops.sub(input, target)), reduction)
