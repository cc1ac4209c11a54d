"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from distrt.core.creation import empty
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.functional.sizes import ntuple
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]


class _ConvNd(Module):
    """What all convolution layers share: the options, the parameters, and the text."""

    _spatial_dims: ClassVar[int] = 0

    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: str | tuple[int, ...],
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _require_options(in_channels, out_channels, stride, padding, groups, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = _both_sides(padding, kernel_size, dilation)
        channels = (
            (in_channels, out_channels // groups) if transposed else (out_channels, in_channels // groups)
        )
        self.weight = Parameter(empty(*channels, *kernel_size, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(empty(out_channels, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights, uniform within 1 / sqrt(fan_in)."""
        init.default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        """Channels and every option that is not the default."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != (0,) * len(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * len(self.output_padding):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode}"


def _require_options(
    in_channels: int,
    out_channels: int,
    stride: tuple[int, ...],
    padding: str | tuple[int, ...],
    groups: int,
    padding_mode: str,
) -> None:
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if in_channels % groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if out_channels % groups != 0:
        raise ValueError("out_channels must be divisible by groups")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'same', 'valid'}}")
        if padding == "same" and any(step != 1 for step in stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
    modes = ("zeros", "reflect", "replicate", "circular")
    if padding_mode not in modes:
        listed = ", ".join(map(repr, modes))
        raise ValueError(f"padding_mode must be one of {{{listed}}}, but got padding_mode='{padding_mode}'")


def _both_sides(padding: str | tuple[int, ...], kernel: tuple[int, ...], dilation: tuple[int, ...]) -> Any:
    """The padding as ``F.pad`` takes it: before and after each dim, the last dim first."""
    if not isinstance(padding, str):
        return tuple(each for each in reversed(padding) for _ in range(2))
    if padding == "valid":
        return [0, 0] * len(kernel)
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return [side for total in reversed(totals) for side in (total // 2, total - total // 2)]


class _PlainConvNd(_ConvNd):
    """The convolutions that are not transposed; the class's number of spatial dims completes it."""

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
        dims = self._spatial_dims
        super().__init__(
            in_channels,
            out_channels,
            ntuple(kernel_size, dims),
            ntuple(stride, dims),
            padding if isinstance(padding, str) else ntuple(padding, dims),
            ntuple(dilation, dims),
            False,
            (0,) * dims,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self._spatial_dims - 1]
        if self.padding_mode != "zeros":
            around = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            return convolve(around, weight, bias, self.stride, 0, self.dilation, self.groups)
        return convolve(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, in_channels, ...) -> (N, out_channels, ...), with or without the batch dim."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_PlainConvNd):
    """Cross-correlation over one spatial dim. Shape: (N, in_channels, L) -> (N, out_channels, L')."""

    _spatial_dims = 1


class Conv2d(_PlainConvNd):
    """Cross-correlation over two spatial dims. Shape: (N, in_channels, H, W) -> (N, out_channels, H', W')."""

    _spatial_dims = 2


class Conv3d(_PlainConvNd):
    """Cross-correlation over three spatial dims. Shape: (N, in_channels, D, H, W) -> (N, out_channels, D', H', W')."""

    _spatial_dims = 3


class _ConvTransposeNd(_ConvNd):
    """The transposed convolutions; the class's number of spatial dims completes it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        dims = self._spatial_dims
        super().__init__(
            in_channels,
            out_channels,
            ntuple(kernel_size, dims),
            ntuple(stride, dims),
            ntuple(padding, dims),
            ntuple(dilation, dims),
            True,
            ntuple(output_padding, dims),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Shape: (N, in_channels, ...) -> (N, out_channels, ...); ``output_size`` chooses among the sizes that fit."""
        if self.padding_mode != "zeros":
            raise ValueError(f"Only `zeros` padding mode is supported for {type(self).__name__}")
        more = self.output_padding if output_size is None else self._fitting(input, output_size)
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._spatial_dims - 1]
        return convolve(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _fitting(self, input: Tensor, output_size: Sequence[int]) -> list[int]:
        """The output padding that gives the wanted size."""
        dims = self._spatial_dims
        lead = 2 if input.ndim == dims + 2 else 1
        if len(output_size) == lead + dims:
            output_size = output_size[lead:]
        if len(output_size) != dims:
            raise ValueError(
                f"ConvTranspose{dims}D: for {input.ndim}D input, output_size must have {dims} or {lead + dims} "
                f"elements (got {len(output_size)})"
            )
        least = [
            (input.shape[lead + d] - 1) * self.stride[d]
            - 2 * int(self.padding[d])
            + self.dilation[d] * (self.kernel_size[d] - 1)
            + 1
            for d in range(dims)
        ]
        most = [size + step - 1 for size, step in zip(least, self.stride, strict=True)]
        if any(not low <= size <= high for low, size, high in zip(least, output_size, most, strict=True)):
            raise ValueError(
                f"requested an output size of {output_size}, but valid sizes range from {least} to {most} (for an "
                f"input of {input.shape[2:]})"
            )
        return [size - low for size, low in zip(output_size, least, strict=True)]


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of a convolution over one spatial dim. Shape: (N, in_channels, L) -> (N, out_channels, L')."""

    _spatial_dims = 1


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of a convolution over two dims. Shape: (N, in_channels, H, W) -> (N, out_channels, H', W')."""

    _spatial_dims = 2


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of a convolution over three dims. Shape: (N, in_channels, D, H, W) -> (N, out_channels, ...)."""

    _spatial_dims = 3
