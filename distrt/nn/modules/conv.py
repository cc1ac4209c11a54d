"""Convolution layers."""

from __future__ import annotations

from typing import Any

from distrt.core.creation import empty
from distrt.core.errors import UnsupportedError
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.functional.convolution import named_padding
from distrt.nn.functional.sizes import pair
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlation over two spatial dims. Shape: (N, in_channels, H, W) -> (N, out_channels, H', W')."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            named_padding(padding, (1, 1), pair(stride, "stride"), (1, 1))  # refuses what does not fit
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular', got {padding_mode!r}"
            )
        if padding_mode != "zeros":
            raise UnsupportedError(
                f"Conv2d: padding_mode={padding_mode!r} is not available yet; pad the input and use padding=0"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = pair(stride, "stride")
        self.padding = padding if isinstance(padding, str) else pair(padding, "padding")
        self.dilation = pair(dilation, "dilation")
        self.groups = groups
        self.padding_mode = padding_mode
        self.weight = Parameter(
            empty(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype, device=device)
        )
        self.register_parameter(
            "bias", Parameter(empty(out_channels, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights, uniform within 1 / sqrt(fan_in)."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Channels and every option that is not the default."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
