"""MobileNetV2: Sandler et al., Inverted residuals and linear bottlenecks (2018), https://arxiv.org/abs/1801.04381."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt import nn
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn import init
from distrt.vision.models._api import builder
from distrt.vision.models._utils import _make_divisible
from distrt.vision.models._weights import weights_enum
from distrt.vision.ops.misc import Conv2dNormActivation

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

MobileNet_V2_Weights: Any = weights_enum("MobileNet_V2_Weights", __name__)

#: For each stage: factor of expansion, output channels, number of blocks, stride of the first.
_SETTING = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; beside a shortcut where the shape stays."""

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.stride = stride
        if stride not in [1, 2]:
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        parts: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, kernel_size=1, **parts))
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, **parts),
            nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
            norm_layer(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        out: Tensor = x + self.conv(x) if self.use_res_connect else self.conv(x)
        return out


class MobileNetV2(nn.Module):
    """Shape: (N, 3, H, W) -> (N, num_classes).

    Args:
        num_classes: the number of logits.
        width_mult: factor of all channel counts.
        inverted_residual_setting: a row for each stage: expansion, channels, blocks, stride.
        round_nearest: channel counts are multiples of it.
        block: instead of ``InvertedResidual``.
        norm_layer: instead of ``BatchNorm2d``.
        dropout: of the classifier.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: list[list[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        block = block or InvertedResidual
        norm_layer = norm_layer or nn.BatchNorm2d
        setting = _SETTING if inverted_residual_setting is None else inverted_residual_setting
        if len(setting) == 0 or len(setting[0]) != 4:
            raise ValueError(
                f"inverted_residual_setting should be non-empty or a 4-element list, got {inverted_residual_setting}"
            )
        parts: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
        channels = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, **parts)]
        for expansion, wanted, blocks, stride in setting:
            out_channels = _make_divisible(wanted * width_mult, round_nearest)
            for number in range(blocks):
                first = stride if number == 0 else 1
                features.append(
                    block(channels, out_channels, first, expand_ratio=expansion, norm_layer=norm_layer)
                )
                channels = out_channels
        features.append(Conv2dNormActivation(channels, self.last_channel, kernel_size=1, **parts))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        logits: Tensor = self.classifier(ops.flatten(x, 1))
        return logits


def initialise(model: nn.Module) -> None:
    """Sets the weights as both MobileNets begin."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            init.kaiming_normal_(layer.weight, mode="fan_out")
            if layer.bias is not None:
                init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            init.ones_(layer.weight)
            init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            init.normal_(layer.weight, 0, 0.01)
            init.zeros_(layer.bias)


@builder(MobileNet_V2_Weights)
def mobilenet_v2(**kwargs: Any) -> MobileNetV2:
    """MobileNetV2; the arguments are those of the class."""
    return MobileNetV2(**kwargs)
