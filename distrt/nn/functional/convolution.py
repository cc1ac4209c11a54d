"""Convolutions."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.creation import zeros
from distrt.core.tensor import Tensor
from distrt.nn.functional.sizes import pair

__all__ = ["conv2d"]


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
