"""Residual networks, their wide form, and ResNeXt, which is the same class with groups.

Source: He et al., Deep residual learning (2015), https://arxiv.org/abs/1512.03385, in the form "1.5", whose 3x3
convolution has the stride; Zagoruyko and Komodakis (2016), https://arxiv.org/abs/1605.07146; Xie et al. (2016),
https://arxiv.org/abs/1611.05431.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt import nn
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn import init
from distrt.vision.models._api import builder
from distrt.vision.models._weights import weights_enum

__all__ = [
    "ResNeXt50_32X4D_Weights",
    "ResNeXt101_32X8D_Weights",
    "ResNeXt101_64X4D_Weights",
    "ResNet",
    "ResNet18_Weights",
    "ResNet34_Weights",
    "ResNet50_Weights",
    "ResNet101_Weights",
    "ResNet152_Weights",
    "Wide_ResNet50_2_Weights",
    "Wide_ResNet101_2_Weights",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]

ResNet18_Weights: Any = weights_enum("ResNet18_Weights", __name__)
ResNet34_Weights: Any = weights_enum("ResNet34_Weights", __name__)
ResNet50_Weights: Any = weights_enum("ResNet50_Weights", __name__)
ResNet101_Weights: Any = weights_enum("ResNet101_Weights", __name__)
ResNet152_Weights: Any = weights_enum("ResNet152_Weights", __name__)
ResNeXt50_32X4D_Weights: Any = weights_enum("ResNeXt50_32X4D_Weights", __name__)
ResNeXt101_32X8D_Weights: Any = weights_enum("ResNeXt101_32X8D_Weights", __name__)
ResNeXt101_64X4D_Weights: Any = weights_enum("ResNeXt101_64X4D_Weights", __name__)
Wide_ResNet50_2_Weights: Any = weights_enum("Wide_ResNet50_2_Weights", __name__)
Wide_ResNet101_2_Weights: Any = weights_enum("Wide_ResNet101_2_Weights", __name__)

_Norm = Callable[..., nn.Module]


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, but for its stride."""
    return nn.Conv2d(
        in_planes,
        out_planes,
        kernel_size=3,
        stride=stride,
        padding=dilation,
        groups=groups,
        bias=False,
        dilation=dilation,
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut. Shape: (N, inplanes, H, W) -> (N, planes, H / stride, W / stride)."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: _Norm | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, after the last activation."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        out = self.relu(out)
        return out


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, beside a shortcut.

    Shape: (N, inplanes, H, W) -> (N, 4 * planes, H / stride, W / stride).
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: _Norm | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, after the last activation."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        out = self.relu(out)
        return out


class ResNet(nn.Module):
    """Shape: (N, 3, H, W) -> (N, num_classes).

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        layers: blocks in each of the four stages.
        num_classes: the number of logits.
        zero_init_residual: the last scale of each block begins at 0, so that the block begins as its shortcut.
        groups: of the 3x3 convolutions (ResNeXt).
        width_per_group: channels of a bottleneck for 64 planes.
        replace_stride_with_dilation: for each of the last three stages, whether to dilate instead of striding.
        norm_layer: instead of ``BatchNorm2d``.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: list[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: list[bool] | None = None,
        norm_layer: _Norm | None = None,
    ) -> None:
        super().__init__()
        self._norm_layer: _Norm = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        dilates = replace_stride_with_dilation or [False, False, False]
        if len(dilates) != 3:
            raise ValueError(
                "replace_stride_with_dilation should be None or a 3-element tuple, got "
                f"{replace_stride_with_dilation}"
            )
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilates[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilates[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilates[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialise(zero_init_residual)

    def _make_layer(
        self,
        block: type[BasicBlock | Bottleneck],
        planes: int,
        blocks: int,
        stride: int = 1,
        dilate: bool = False,
    ) -> nn.Sequential:
        norm_layer = self._norm_layer
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, planes * block.expansion, stride), norm_layer(planes * block.expansion)
            )
        same = (self.groups, self.base_width)
        layers = [block(self.inplanes, planes, stride, downsample, *same, first_dilation, norm_layer)]
        self.inplanes = planes * block.expansion
        layers += [
            block(self.inplanes, planes, 1, None, *same, self.dilation, norm_layer) for _ in range(1, blocks)
        ]
        return nn.Sequential(*layers)

    def _initialise(self, zero_init_residual: bool) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
                init.constant_(layer.weight, 1)
                init.constant_(layer.bias, 0)
        if not zero_init_residual:
            return
        for layer in self.modules():
            last = getattr(layer, "bn3" if isinstance(layer, Bottleneck) else "bn2", None)
            if isinstance(layer, BasicBlock | Bottleneck) and getattr(last, "weight", None) is not None:
                init.constant_(last.weight, 0)  # type: ignore[union-attr]

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(ops.flatten(self.avgpool(x), 1))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self._forward_impl(x)


@builder(ResNet18_Weights)
def resnet18(**kwargs: Any) -> ResNet:
    """ResNet-18; the arguments are those of the class."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **kwargs)


@builder(ResNet34_Weights)
def resnet34(**kwargs: Any) -> ResNet:
    """ResNet-34; the arguments are those of the class."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **kwargs)


@builder(ResNet50_Weights)
def resnet50(**kwargs: Any) -> ResNet:
    """ResNet-50; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **kwargs)


@builder(ResNet101_Weights)
def resnet101(**kwargs: Any) -> ResNet:
    """ResNet-101; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **kwargs)


@builder(ResNet152_Weights)
def resnet152(**kwargs: Any) -> ResNet:
    """ResNet-152; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 8, 36, 3], **kwargs)


def _with(kwargs: dict[str, Any], **fixed: int) -> dict[str, Any]:
    """The arguments with those that make the model what its name says, which nothing may contradict."""
    for name, value in fixed.items():
        if kwargs.setdefault(name, value) != value:
            raise ValueError(f"The parameter '{name}' expected value {value} but got {kwargs[name]} instead.")
    return kwargs


@builder(ResNeXt50_32X4D_Weights)
def resnext50_32x4d(**kwargs: Any) -> ResNet:
    """ResNeXt-50, 32 groups of 4 channels; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **_with(kwargs, groups=32, width_per_group=4))


@builder(ResNeXt101_32X8D_Weights)
def resnext101_32x8d(**kwargs: Any) -> ResNet:
    """ResNeXt-101, 32 groups of 8 channels; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **_with(kwargs, groups=32, width_per_group=8))


@builder(ResNeXt101_64X4D_Weights)
def resnext101_64x4d(**kwargs: Any) -> ResNet:
    """ResNeXt-101, 64 groups of 4 channels; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **_with(kwargs, groups=64, width_per_group=4))


@builder(Wide_ResNet50_2_Weights)
def wide_resnet50_2(**kwargs: Any) -> ResNet:
    """ResNet-50 with bottlenecks of twice the width; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **_with(kwargs, width_per_group=128))


@builder(Wide_ResNet101_2_Weights)
def wide_resnet101_2(**kwargs: Any) -> ResNet:
    """ResNet-101 with bottlenecks of twice the width; the arguments are those of the class."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **_with(kwargs, width_per_group=128))
