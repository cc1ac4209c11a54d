"""Layers that normalise each sample by itself: over its last dims, groups of channels, or neighbouring channels."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.creation import empty
from distrt.core.tensor import Tensor, wrap
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class _Affine(Module):
    """A weight and a bias, each of which may be missing."""

    def _make(self, shape: Any, has_weight: bool, has_bias: bool, device: Any, dtype: Any) -> None:
        for name, wanted in (("weight", has_weight), ("bias", has_bias)):
            self.register_parameter(
                name, Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


def _as_shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, numbers.Integral):
        return (int(normalized_shape),)
    return tuple(normalized_shape)  # type: ignore[arg-type]


class LayerNorm(_Affine):
    """The last dims, which are of ``normalized_shape``, with their mean and variance taken out, scaled and shifted."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        has_bias = elementwise_affine and bias
        self._make(self.normalized_shape, elementwise_affine, has_bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (…, *normalized_shape) -> the same."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape and the options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(_Affine):
    """Each group of channels with its mean and variance taken out; a weight and a bias for each channel."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._make(num_channels, affine, affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, num_channels, …) -> the same."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Sizes and options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """The last dims, which are of ``normalized_shape``, divided by their root mean square, and scaled."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made = (
            Parameter(empty(self.normalized_shape, device=device, dtype=dtype))
            if elementwise_affine
            else None
        )
        self.register_parameter("weight", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (…, *normalized_shape) -> the same."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The shape and the options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class _Response(Module):
    """What the two layers over neighbouring channels share."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def extra_repr(self) -> str:
        """The four options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class LocalResponseNorm(_Response):
    """Divides by a power of the mean square of the ``size`` channels around each."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, …) -> the same."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)


class CrossMapLRN2d(_Response):
    """As ``LocalResponseNorm``, in the older form that some saved models name.

    Which channels are counted is PyTorch's: in the middle of many channels also the first, and one in front. The
    gradient here is the derivative of that; PyTorch's is written for other channels and differs.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, H, W) -> the same."""
        if input.ndim != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.ndim}D instead.")
        batch, channels, height, width = input.shape
        counted = wrap(_counted_channels(channels, self.size).astype(input._array.dtype)).to(input.device)
        squares = ops.reshape(ops.mul(input, input), (batch, channels, height * width))
        sums = ops.reshape(ops.matmul(counted, squares), input.shape)
        scale = ops.add(ops.mul(sums, self.alpha / self.size), self.k)
        return ops.mul(input, ops.pow(scale, -self.beta))  # type: ignore[no-any-return]


def _counted_channels(channels: int, size: int) -> Any:
    """1 in each channel's row at every channel that counts for it."""
    reach = min(int((size - 1) / 2 + 1), channels)
    row, column = np.ogrid[:channels, :channels]
    return (column < row + reach) & ((column == 0) | (column > row - reach))
