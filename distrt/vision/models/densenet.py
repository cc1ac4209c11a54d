"""DenseNet: Huang et al., Densely connected convolutional networks (2016), https://arxiv.org/abs/1608.06993."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

from distrt import nn
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.vision.models._api import builder
from distrt.vision.models._weights import weights_enum

__all__ = [
    "DenseNet",
    "DenseNet121_Weights",
    "DenseNet161_Weights",
    "DenseNet169_Weights",
    "DenseNet201_Weights",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
]

DenseNet121_Weights: Any = weights_enum("DenseNet121_Weights", __name__)
DenseNet161_Weights: Any = weights_enum("DenseNet161_Weights", __name__)
DenseNet169_Weights: Any = weights_enum("DenseNet169_Weights", __name__)
DenseNet201_Weights: Any = weights_enum("DenseNet201_Weights", __name__)


class _DenseLayer(nn.Module):
    """Adds ``growth_rate`` channels, made of all that came before."""

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(
            bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False
        )
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def forward(self, input: Tensor | list[Tensor]) -> Tensor:
        features = [input] if isinstance(input, Tensor) else input
        bottleneck = self.conv1(self.relu1(self.norm1(ops.cat(features, 1))))
        new = self.conv2(self.relu2(self.norm2(bottleneck)))
        if self.drop_rate > 0:
            new = F.dropout(new, p=self.drop_rate, training=self.training)
        return new


class _DenseBlock(nn.ModuleDict):
    """Layers of which each sees all before it."""

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        for number in range(num_layers):
            layer = _DenseLayer(
                num_input_features + number * growth_rate, growth_rate, bn_size, drop_rate, memory_efficient
            )
            self.add_module(f"denselayer{number + 1}", layer)

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return ops.cat(features, 1)


class _Transition(nn.Sequential):
    """Halves the size, and the channels as said."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, kernel_size=1, stride=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Shape: (N, 3, H, W) -> (N, num_classes).

    Args:
        growth_rate: channels that each layer adds.
        block_config: layers in each block.
        num_init_features: channels of the first convolution.
        bn_size: width of a layer's bottleneck, in growth rates.
        drop_rate: dropout after each layer.
        num_classes: the number of logits.
        memory_efficient: accepted; distrt keeps what backward needs either way.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: tuple[int, ...] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        channels = num_init_features
        first = nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=first,
            norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        for number, depth in enumerate(block_config, start=1):
            layers[f"denseblock{number}"] = _DenseBlock(
                depth, channels, bn_size, growth_rate, drop_rate, memory_efficient
            )
            channels += depth * growth_rate
            if number < len(block_config):
                layers[f"transition{number}"] = _Transition(channels, channels // 2)
                channels //= 2
        layers[f"norm{len(block_config) + 1}"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(channels, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                init.kaiming_normal_(layer.weight)
            elif isinstance(layer, nn.BatchNorm2d):
                init.constant_(layer.weight, 1)
                init.constant_(layer.bias, 0)
            elif isinstance(layer, nn.Linear):
                init.constant_(layer.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        out = F.relu(self.features(x), inplace=True)
        out = ops.flatten(F.adaptive_avg_pool2d(out, (1, 1)), 1)
        logits: Tensor = self.classifier(out)
        return logits


_OLD = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    """The published files were written when a layer's parts were called ``norm.1`` instead of ``norm1``."""
    return {_OLD.sub(r"\1\2", key): value for key, value in state.items()}


@builder(DenseNet121_Weights, renamed=_renamed)
def densenet121(**kwargs: Any) -> DenseNet:
    """DenseNet-121; the arguments are those of the class."""
    return DenseNet(32, (6, 12, 24, 16), 64, **kwargs)


@builder(DenseNet161_Weights, renamed=_renamed)
def densenet161(**kwargs: Any) -> DenseNet:
    """DenseNet-161; the arguments are those of the class."""
    return DenseNet(48, (6, 12, 36, 24), 96, **kwargs)


@builder(DenseNet169_Weights, renamed=_renamed)
def densenet169(**kwargs: Any) -> DenseNet:
    """DenseNet-169; the arguments are those of the class."""
    return DenseNet(32, (6, 12, 32, 32), 64, **kwargs)


@builder(DenseNet201_Weights, renamed=_renamed)
def densenet201(**kwargs: Any) -> DenseNet:
    """DenseNet-201; the arguments are those of the class."""
    return DenseNet(32, (6, 12, 48, 32), 64, **kwargs)
