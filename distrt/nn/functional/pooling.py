"""Pooling: one value per window."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.errors import UnsupportedError
from distrt.core.tensor import Tensor
from distrt.nn.functional.sizes import pair

__all__ = ["max_pool2d"]


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
