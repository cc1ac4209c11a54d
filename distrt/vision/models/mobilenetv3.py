"""MobileNetV3: Howard et al., Searching for MobileNetV3 (2019), https://arxiv.org/abs/1905.02244."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from distrt import nn
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.vision.models._api import builder
from distrt.vision.models._utils import _make_divisible
from distrt.vision.models._weights import weights_enum
from distrt.vision.models.mobilenetv2 import initialise
from distrt.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

__all__ = [
    "MobileNetV3",
    "MobileNet_V3_Large_Weights",
    "MobileNet_V3_Small_Weights",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
]

MobileNet_V3_Large_Weights: Any = weights_enum("MobileNet_V3_Large_Weights", __name__)
MobileNet_V3_Small_Weights: Any = weights_enum("MobileNet_V3_Small_Weights", __name__)

#: Tables 1 and 2 of the paper: channels in, kernel, expanded channels, channels out, squeeze and excitation,
#: activation ("RE" or "HS"), stride. The rows from ``tail`` on may be halved and dilated.
_LARGE: list[tuple[int, int, int, int, bool, str, int]] = [
    (16, 3, 16, 16, False, "RE", 1),
    (16, 3, 64, 24, False, "RE", 2),
    (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2),
    (40, 5, 120, 40, True, "RE", 1),
    (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2),
    (80, 3, 200, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 480, 112, True, "HS", 1),
    (112, 3, 672, 112, True, "HS", 1),
    (112, 5, 672, 160, True, "HS", 2),
    (160, 5, 960, 160, True, "HS", 1),
    (160, 5, 960, 160, True, "HS", 1),
]
_SMALL: list[tuple[int, int, int, int, bool, str, int]] = [
    (16, 3, 16, 16, True, "RE", 2),
    (16, 3, 72, 24, False, "RE", 2),
    (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2),
    (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1),
    (48, 5, 144, 48, True, "HS", 1),
    (48, 5, 288, 96, True, "HS", 2),
    (96, 5, 576, 96, True, "HS", 1),
    (96, 5, 576, 96, True, "HS", 1),
]
_TAIL = 3  # rows


class InvertedResidualConfig:
    """One row of the tables, with its channels multiplied by the width."""

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """The channel count at another width, a multiple of 8."""
        return _make_divisible(channels * width_mult, 8)


_squeeze = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, weigh the channels, project; beside a shortcut where the shape stays."""

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: Callable[..., nn.Module],
        se_layer: Callable[..., nn.Module] = _squeeze,
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        activation: Any = nn.Hardswish if cnf.use_hs else nn.ReLU
        expanded = cnf.expanded_channels
        layers: list[nn.Module] = []
        if expanded != cnf.input_channels:
            layers.append(
                Conv2dNormActivation(
                    cnf.input_channels,
                    expanded,
                    kernel_size=1,
                    norm_layer=norm_layer,
                    activation_layer=activation,
                )
            )
        layers.append(
            Conv2dNormActivation(
                expanded,
                expanded,
                kernel_size=cnf.kernel,
                stride=1 if cnf.dilation > 1 else cnf.stride,
                dilation=cnf.dilation,
                groups=expanded,
                norm_layer=norm_layer,
                activation_layer=activation,
            )
        )
        if cnf.use_se:
            layers.append(se_layer(expanded, _make_divisible(expanded // 4, 8)))
        layers.append(
            Conv2dNormActivation(
                expanded, cnf.out_channels, kernel_size=1, norm_layer=norm_layer, activation_layer=None
            )
        )
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Tensor) -> Tensor:
        """The block's output."""
        result = self.block(input)
        if self.use_res_connect:
            result += input
        return result


class MobileNetV3(nn.Module):
    """Shape: (N, 3, H, W) -> (N, num_classes).

    Args:
        inverted_residual_setting: the blocks.
        last_channel: width of the classifier's hidden layer.
        num_classes: the number of logits.
        block: instead of ``InvertedResidual``.
        norm_layer: instead of ``BatchNorm2d(eps=0.001, momentum=0.01)``.
        dropout: of the classifier.
        kwargs: not used, as in torchvision.
    """

    def __init__(
        self,
        inverted_residual_setting: list[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        setting = inverted_residual_setting
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not (
            isinstance(setting, Sequence) and all(isinstance(row, InvertedResidualConfig) for row in setting)
        ):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        block = block or InvertedResidual
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        parts: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.Hardswish}
        first, last = setting[0].input_channels, setting[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **parts),
            *(block(row, norm_layer) for row in setting),
            Conv2dNormActivation(last, 6 * last, kernel_size=1, **parts),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        x = self.avgpool(self.features(x))
        logits: Tensor = self.classifier(ops.flatten(x, 1))
        return logits


def _mobilenet_v3(
    table: list[tuple[int, int, int, int, bool, str, int]],
    last_channel: int,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **kwargs: Any,
) -> MobileNetV3:
    divider = 2 if reduced_tail else 1
    dilation = 2 if dilated else 1
    setting = []
    for number, (inputs, kernel, expanded, outputs, squeezes, activation, stride) in enumerate(table):
        depth = number - (len(table) - _TAIL)  # 0, 1, 2 in the tail
        if depth >= 0:
            outputs //= divider
        if depth >= 1:
            inputs, expanded = inputs // divider, expanded // divider
        setting.append(
            InvertedResidualConfig(
                inputs,
                kernel,
                expanded,
                outputs,
                squeezes,
                activation,
                stride,
                dilation if depth >= 0 else 1,
                width_mult,
            )
        )
    last = InvertedResidualConfig.adjust_channels(last_channel // divider, width_mult)
    return MobileNetV3(setting, last, **kwargs)


@builder(MobileNet_V3_Large_Weights)
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """The large model; ``width_mult``, ``reduced_tail``, ``dilated``, and the arguments of the class."""
    return _mobilenet_v3(_LARGE, 1280, **kwargs)


@builder(MobileNet_V3_Small_Weights)
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """The small model; ``width_mult``, ``reduced_tail``, ``dilated``, and the arguments of the class."""
    return _mobilenet_v3(_SMALL, 1024, **kwargs)
