"""VGG: Simonyan and Zisserman, Very deep convolutional networks (2014), https://arxiv.org/abs/1409.1556."""

from __future__ import annotations

from typing import Any

from distrt import nn
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn import init
from distrt.vision.models._api import builder
from distrt.vision.models._weights import weights_enum

__all__ = [
    "VGG",
    "VGG11_BN_Weights",
    "VGG11_Weights",
    "VGG13_BN_Weights",
    "VGG13_Weights",
    "VGG16_BN_Weights",
    "VGG16_Weights",
    "VGG19_BN_Weights",
    "VGG19_Weights",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

VGG11_Weights: Any = weights_enum("VGG11_Weights", __name__)
VGG11_BN_Weights: Any = weights_enum("VGG11_BN_Weights", __name__)
VGG13_Weights: Any = weights_enum("VGG13_Weights", __name__)
VGG13_BN_Weights: Any = weights_enum("VGG13_BN_Weights", __name__)
VGG16_Weights: Any = weights_enum("VGG16_Weights", __name__)
VGG16_BN_Weights: Any = weights_enum("VGG16_BN_Weights", __name__)
VGG19_Weights: Any = weights_enum("VGG19_Weights", __name__)
VGG19_BN_Weights: Any = weights_enum("VGG19_BN_Weights", __name__)

#: The paper's configurations: output channels of each convolution, "M" for a pooling.
cfgs: dict[str, list[str | int]] = {
    "A": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "B": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "D": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "E": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


class VGG(nn.Module):
    """Shape: (N, 3, H, W) -> (N, num_classes), H and W at least 32.

    Args:
        features: the convolutions, which give 512 channels.
        num_classes: the number of logits.
        init_weights: initialise as torchvision does; False leaves the layers' own values.
        dropout: of the classifier.
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    init.constant_(layer.bias, 0)
            elif isinstance(layer, nn.BatchNorm2d):
                init.constant_(layer.weight, 1)
                init.constant_(layer.bias, 0)
            elif isinstance(layer, nn.Linear):
                init.normal_(layer.weight, 0, 0.01)
                init.constant_(layer.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        x = self.avgpool(self.features(x))
        logits: Tensor = self.classifier(ops.flatten(x, 1))
        return logits


def make_layers(cfg: list[str | int], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions of a configuration."""
    layers: list[nn.Module] = []
    channels = 3
    for each in cfg:
        if each == "M":
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, int(each), kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(int(each)))
        layers.append(nn.ReLU(inplace=True))
        channels = int(each)
    return nn.Sequential(*layers)


def _vgg(cfg: str, batch_norm: bool, **kwargs: Any) -> VGG:
    return VGG(make_layers(cfgs[cfg], batch_norm=batch_norm), **kwargs)


def _unfilled(weights: Any) -> dict[str, Any]:
    """What the file's values replace need not be initialised."""
    return {"init_weights": False}


@builder(VGG11_Weights, arguments=_unfilled)
def vgg11(**kwargs: Any) -> VGG:
    """VGG-11, configuration A; the arguments are those of the class."""
    return _vgg("A", False, **kwargs)


@builder(VGG11_BN_Weights, arguments=_unfilled)
def vgg11_bn(**kwargs: Any) -> VGG:
    """VGG-11 with batch normalisation, configuration A; the arguments are those of the class."""
    return _vgg("A", True, **kwargs)


@builder(VGG13_Weights, arguments=_unfilled)
def vgg13(**kwargs: Any) -> VGG:
    """VGG-13, configuration B; the arguments are those of the class."""
    return _vgg("B", False, **kwargs)


@builder(VGG13_BN_Weights, arguments=_unfilled)
def vgg13_bn(**kwargs: Any) -> VGG:
    """VGG-13 with batch normalisation, configuration B; the arguments are those of the class."""
    return _vgg("B", True, **kwargs)


@builder(VGG16_Weights, arguments=_unfilled)
def vgg16(**kwargs: Any) -> VGG:
    """VGG-16, configuration D; the arguments are those of the class."""
    return _vgg("D", False, **kwargs)


@builder(VGG16_BN_Weights, arguments=_unfilled)
def vgg16_bn(**kwargs: Any) -> VGG:
    """VGG-16 with batch normalisation, configuration D; the arguments are those of the class."""
    return _vgg("D", True, **kwargs)


@builder(VGG19_Weights, arguments=_unfilled)
def vgg19(**kwargs: Any) -> VGG:
    """VGG-19, configuration E; the arguments are those of the class."""
    return _vgg("E", False, **kwargs)


@builder(VGG19_BN_Weights, arguments=_unfilled)
def vgg19_bn(**kwargs: Any) -> VGG:
    """VGG-19 with batch normalisation, configuration E; the arguments are those of the class."""
    return _vgg("E", True, **kwargs)
