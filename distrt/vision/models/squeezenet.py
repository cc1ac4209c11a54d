"""SqueezeNet: Iandola et al. (2016), https://arxiv.org/abs/1602.07360."""

from __future__ import annotations

from typing import Any

from distrt import nn
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn import init
from distrt.vision.models._api import builder
from distrt.vision.models._weights import weights_enum

__all__ = ["SqueezeNet", "SqueezeNet1_0_Weights", "SqueezeNet1_1_Weights", "squeezenet1_0", "squeezenet1_1"]

SqueezeNet1_0_Weights: Any = weights_enum("SqueezeNet1_0_Weights", __name__)
SqueezeNet1_1_Weights: Any = weights_enum("SqueezeNet1_1_Weights", __name__)

#: By version: kernel and channels of the first convolution; the Fire modules (squeezed, expanded), None for a pooling.
_VERSIONS: dict[str, tuple[int, int, list[tuple[int, int] | None]]] = {
    "1_0": (
        7,
        96,
        [
            None,
            (16, 64),
            (16, 64),
            (32, 128),
            None,
            (32, 128),
            (48, 192),
            (48, 192),
            (64, 256),
            None,
            (64, 256),
        ],
    ),
    "1_1": (
        3,
        64,
        [
            None,
            (16, 64),
            (16, 64),
            None,
            (32, 128),
            (32, 128),
            None,
            (48, 192),
            (48, 192),
            (64, 256),
            (64, 256),
        ],
    ),
}


class Fire(nn.Module):
    """Squeeze by a 1x1 convolution, expand by 1x1 and 3x3 ones side by side."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        x = self.squeeze_activation(self.squeeze(x))
        return ops.cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1
        )


class SqueezeNet(nn.Module):
    """Shape: (N, 3, H, W) -> (N, num_classes). ``version`` is "1_0" or "1_1"."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        if version not in _VERSIONS:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        kernel, channels, fires = _VERSIONS[version]
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels, kernel_size=kernel, stride=2),
            nn.ReLU(inplace=True),
        ]
        for fire in fires:
            if fire is None:
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
            else:
                layers.append(Fire(channels, fire[0], fire[1], fire[1]))
                channels = 2 * fire[1]
        self.features = nn.Sequential(*layers)
        final = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), final, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                if layer is final:
                    init.normal_(layer.weight, mean=0.0, std=0.01)
                else:
                    init.kaiming_uniform_(layer.weight)
                if layer.bias is not None:
                    init.constant_(layer.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return ops.flatten(self.classifier(self.features(x)), 1)


@builder(SqueezeNet1_0_Weights)
def squeezenet1_0(**kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.0; the arguments are those of the class."""
    return SqueezeNet("1_0", **kwargs)


@builder(SqueezeNet1_1_Weights)
def squeezenet1_1(**kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1, with 2.4 times less arithmetic; the arguments are those of the class."""
    return SqueezeNet("1_1", **kwargs)
