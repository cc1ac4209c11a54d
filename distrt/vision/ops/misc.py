"""Layers that torchvision's models are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distrt import nn
from distrt.core import ops
from distrt.core.creation import ones, zeros
from distrt.core.tensor import Tensor
from distrt.nn import functional as F

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "Conv3dNormActivation",
    "FrozenBatchNorm2d",
    "Permute",
    "SqueezeExcitation",
]

_Layer = Callable[..., nn.Module]


class FrozenBatchNorm2d(nn.Module):
    """BatchNorm2d whose statistics, scale and shift are buffers that do not change. Shape: (N, C, H, W) -> the same."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", ones(num_features))
        self.register_buffer("bias", zeros(num_features))
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)  # the files of BatchNorm2d have it
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(self, x: Tensor) -> Tensor:
        """Scales and shifts each channel."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.weight.shape[0]}, eps={self.eps})"


class ConvNormActivation(nn.Sequential):
    """A convolution, and after it a norm and an activation unless they are None.

    Args:
        in_channels: of the convolution, as those that follow.
        out_channels: see above.
        kernel_size: see above.
        stride: see above.
        padding: by default what keeps the size under stride 1.
        groups: see above.
        norm_layer: called with the number of channels.
        activation_layer: called with ``inplace=``, unless that is None.
        dilation: see above.
        inplace: the activation works in place.
        bias: by default, there is one where there is no norm.
        conv_layer: the class of the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...] = 3,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str | None = None,
        groups: int = 1,
        norm_layer: _Layer | None = nn.BatchNorm2d,
        activation_layer: _Layer | None = nn.ReLU,
        dilation: int | tuple[int, ...] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
        conv_layer: _Layer = nn.Conv2d,
    ) -> None:
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        layers: list[nn.Module] = [
            conv_layer(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation=dilation,
                groups=groups,
                bias=norm_layer is None if bias is None else bias,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels
        if self.__class__ is ConvNormActivation:
            raise TypeError(
                "ConvNormActivation is the base class: use Conv2dNormActivation or Conv3dNormActivation"
            )


def _same_padding(kernel_size: Any, dilation: Any) -> Any:
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    count = len(kernel_size) if isinstance(kernel_size, Sequence) else len(dilation)
    kernels = kernel_size if isinstance(kernel_size, Sequence) else (kernel_size,) * count
    dilations = dilation if isinstance(dilation, Sequence) else (dilation,) * count
    return tuple((kernel - 1) // 2 * each for kernel, each in zip(kernels, dilations, strict=True))


class Conv2dNormActivation(ConvNormActivation):
    """``Conv2d``, a norm and an activation; the arguments are those of ``ConvNormActivation`` without the last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "conv_layer": nn.Conv2d})


class Conv3dNormActivation(ConvNormActivation):
    """``Conv3d``, a norm and an activation; the arguments are those of ``ConvNormActivation`` without the last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"norm_layer": nn.BatchNorm3d, **kwargs, "conv_layer": nn.Conv3d})


class SqueezeExcitation(nn.Module):
    """Weighs the channels by what they hold on average. Shape: (N, C, H, W) -> the same.

    Source: Hu et al., Squeeze-and-excitation networks (2017), https://arxiv.org/abs/1709.01507.
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: _Layer = nn.ReLU,
        scale_activation: _Layer = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        """The weighed channels."""
        scale = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(scale)) * input


class MLP(nn.Sequential):
    """Linear layers with norms, activations and dropout. Shape: (*, in_channels) -> (*, hidden_channels[-1]).

    Args:
        in_channels: width of the input.
        hidden_channels: width of each layer, the last one included.
        norm_layer: called with the width, after all layers but the last.
        activation_layer: called with ``inplace=``, unless that is None.
        inplace: activations and dropout work in place.
        bias: of the linear layers.
        dropout: after every layer.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: list[int],
        norm_layer: _Layer | None = None,
        activation_layer: _Layer | None = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        options: dict[str, Any] = {} if inplace is None else {"inplace": inplace}
        layers: list[nn.Module] = []
        width = in_channels
        for hidden in hidden_channels[:-1]:
            layers.append(nn.Linear(width, hidden, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(hidden))
            if activation_layer is not None:
                layers.append(activation_layer(**options))
            layers.append(nn.Dropout(dropout, **options))
            width = hidden
        layers.append(nn.Linear(width, hidden_channels[-1], bias=bias))
        layers.append(nn.Dropout(dropout, **options))
        super().__init__(*layers)


class Permute(nn.Module):
    """Changes the order of the dims."""

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        """The tensor with its dims in this order."""
        return ops.permute(x, self.dims)


interpolate = F.interpolate
