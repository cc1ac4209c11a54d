"""Augmentation by learnt or random sequences of simple changes.

Source: AutoAugment (Cubuk et al., 2018), https://arxiv.org/abs/1805.09501, whose tables of policies stand here;
RandAugment (2019), https://arxiv.org/abs/1909.13719; TrivialAugment (Mueller and Hutter, 2021),
https://arxiv.org/abs/2103.10158; AugMix (Hendrycks et al., 2019), https://arxiv.org/abs/1912.02781.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

from distrt.core.creation import arange, from_numpy, linspace, rand, randint, tensor
from distrt.core.random.generator import numpy_generator
from distrt.core.tensor import Tensor
from distrt.nn import Module
from distrt.vision.transforms import functional as F
from distrt.vision.transforms.arguments import fill_for, whole
from distrt.vision.transforms.interpolation import InterpolationMode

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]

_NEAREST = InterpolationMode.NEAREST
_SHEARS_AND_SHIFTS = ("ShearX", "ShearY", "TranslateX", "TranslateY")
_ENHANCEMENTS = ("Brightness", "Color", "Contrast", "Sharpness")

#: (name -> magnitudes, and whether their sign is drawn)
_Space = dict[str, tuple[Tensor, bool]]


class AutoAugmentPolicy(Enum):
    """Which data a policy was learnt on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# The tables of the paper's appendix: two changes a row, each with its probability and the number of its magnitude, if
# it has one. Rows are separated by semicolons.
_POLICIES = {
    AutoAugmentPolicy.IMAGENET: """
Posterize 0.4 8 + Rotate 0.6 9; Solarize 0.6 5 + AutoContrast 0.6; Equalize 0.8 + Equalize 0.6;
Posterize 0.6 7 + Posterize 0.6 6; Equalize 0.4 + Solarize 0.2 4; Equalize 0.4 + Rotate 0.8 8;
Solarize 0.6 3 + Equalize 0.6; Posterize 0.8 5 + Equalize 1.0; Rotate 0.2 3 + Solarize 0.6 8;
Equalize 0.6 + Posterize 0.4 6; Rotate 0.8 8 + Color 0.4 0; Rotate 0.4 9 + Equalize 0.6;
Equalize 0.0 + Equalize 0.8; Invert 0.6 + Equalize 1.0; Color 0.6 4 + Contrast 1.0 8;
Rotate 0.8 8 + Color 1.0 2; Color 0.8 8 + Solarize 0.8 7; Sharpness 0.4 7 + Invert 0.6;
ShearX 0.6 5 + Equalize 1.0; Color 0.4 0 + Equalize 0.6; Equalize 0.4 + Solarize 0.2 4;
Solarize 0.6 5 + AutoContrast 0.6; Invert 0.6 + Equalize 1.0; Color 0.6 4 + Contrast 1.0 8;
Equalize 0.8 + Equalize 0.6
""",
    AutoAugmentPolicy.CIFAR10: """
Invert 0.1 + Contrast 0.2 6; Rotate 0.7 2 + TranslateX 0.3 9; Sharpness 0.8 1 + Sharpness 0.9 3;
ShearY 0.5 8 + TranslateY 0.7 9; AutoContrast 0.5 + Equalize 0.9; ShearY 0.2 7 + Posterize 0.3 7;
Color 0.4 3 + Brightness 0.6 7; Sharpness 0.3 9 + Brightness 0.7 9; Equalize 0.6 + Equalize 0.5;
Contrast 0.6 7 + Sharpness 0.6 5; Color 0.7 7 + TranslateX 0.5 8; Equalize 0.3 + AutoContrast 0.4;
TranslateY 0.4 3 + Sharpness 0.2 6; Brightness 0.9 6 + Color 0.2 8; Solarize 0.5 2 + Invert 0.0;
Equalize 0.2 + AutoContrast 0.6; Equalize 0.2 + Equalize 0.6; Color 0.9 9 + Equalize 0.6;
AutoContrast 0.8 + Solarize 0.2 8; Brightness 0.1 3 + Color 0.7 0; Solarize 0.4 5 + AutoContrast 0.9;
TranslateY 0.9 9 + TranslateY 0.7 9; AutoContrast 0.9 + Solarize 0.8 3; Equalize 0.8 + Invert 0.1;
TranslateY 0.7 9 + AutoContrast 0.9
""",
    AutoAugmentPolicy.SVHN: """
ShearX 0.9 4 + Invert 0.2; ShearY 0.9 8 + Invert 0.7; Equalize 0.6 + Solarize 0.6 6; Invert 0.9 + Equalize 0.6;
Equalize 0.6 + Rotate 0.9 3; ShearX 0.9 4 + AutoContrast 0.8; ShearY 0.9 8 + Invert 0.4;
ShearY 0.9 5 + Solarize 0.2 6; Invert 0.9 + AutoContrast 0.8; Equalize 0.6 + Rotate 0.9 3;
ShearX 0.9 4 + Solarize 0.3 3; ShearY 0.8 8 + Invert 0.7; Equalize 0.9 + TranslateY 0.6 6;
Invert 0.9 + Equalize 0.6; Contrast 0.3 3 + Rotate 0.8 4; Invert 0.8 + TranslateY 0.0 2;
ShearY 0.7 6 + Solarize 0.4 8; Invert 0.6 + Rotate 0.8 4; ShearY 0.3 7 + TranslateX 0.9 3;
ShearX 0.1 6 + Invert 0.6; Solarize 0.7 2 + TranslateY 0.6 7; ShearY 0.8 4 + Invert 0.8;
ShearX 0.7 9 + TranslateY 0.8 3; ShearY 0.8 5 + AutoContrast 0.7; ShearX 0.7 2 + Invert 0.1
""",
}

_Change = tuple[str, float, int | None]


def _parsed(table: str) -> list[tuple[_Change, _Change]]:
    rows: list[tuple[_Change, _Change]] = []
    for row in table.split(";"):
        changes: list[_Change] = []
        for words in (each.split() for each in row.split("+")):
            changes.append((words[0], float(words[1]), int(words[2]) if len(words) == 3 else None))
        rows.append((changes[0], changes[1]))
    return rows


def _apply_op(
    img: Any, op_name: str, magnitude: float, interpolation: InterpolationMode, fill: list[float] | None
) -> Any:
    """One change of the image."""
    if op_name in _SHEARS_AND_SHIFTS:
        # Shears leave the top left corner where it is, not the middle.
        shear, translate, center = [0.0, 0.0], [0, 0], None
        axis = 0 if op_name.endswith("X") else 1
        if op_name.startswith("Shear"):
            shear[axis] = math.degrees(math.atan(magnitude))
            center = [0, 0]
        else:
            translate[axis] = int(magnitude)
        return F.affine(img, 0.0, translate, 1.0, shear, interpolation, fill, center)
    if op_name == "Rotate":
        return F.rotate(img, magnitude, interpolation=interpolation, fill=fill)
    change = {
        "Brightness": lambda: F.adjust_brightness(img, 1.0 + magnitude),
        "Color": lambda: F.adjust_saturation(img, 1.0 + magnitude),
        "Contrast": lambda: F.adjust_contrast(img, 1.0 + magnitude),
        "Sharpness": lambda: F.adjust_sharpness(img, 1.0 + magnitude),
        "Posterize": lambda: F.posterize(img, int(magnitude)),
        "Solarize": lambda: F.solarize(img, magnitude),
        "AutoContrast": lambda: F.autocontrast(img),
        "Equalize": lambda: F.equalize(img),
        "Invert": lambda: F.invert(img),
        "Identity": lambda: img,
    }.get(op_name)
    if change is None:
        raise ValueError(f"The provided operator {op_name} is not recognized.")
    return change()


def _space(
    bins: int,
    shear: float,
    shift: tuple[float, float],
    angle: float,
    enhancement: float,
    bits: tuple[int, int],
) -> _Space:
    """The changes and their magnitudes.

    Args:
        bins: how many magnitudes each change has.
        shear: the strongest, as those that follow; a tangent.
        shift: pixels along x and y.
        angle: degrees.
        enhancement: how far a factor goes from 1.
        bits: of a posterized image, the most, and how many fewer there may be.
    """
    most, fewer = bits
    strengths = {
        "ShearX": shear,
        "ShearY": shear,
        "TranslateX": shift[0],
        "TranslateY": shift[1],
        "Rotate": angle,
        **dict.fromkeys(_ENHANCEMENTS, enhancement),
    }
    space: _Space = {name: (linspace(0.0, strength, bins), True) for name, strength in strengths.items()}
    space["Posterize"] = (most - (arange(bins) / ((bins - 1) / fewer)).round().int(), False)
    space["Solarize"] = (linspace(255.0, 0.0, bins), False)
    space["AutoContrast"] = (tensor(0.0), False)
    space["Equalize"] = (tensor(0.0), False)
    return space


def _drawn(space: _Space, number: int, index: int | None) -> tuple[str, float]:
    """The change of this number, with the magnitude at ``index``, or a random one; its sign is drawn, if it has one."""
    name = list(space)[number]
    magnitudes, signed = space[name]
    magnitude = 0.0
    if magnitudes.ndim > 0:
        magnitude = float(magnitudes[whole(0, len(magnitudes)) if index is None else index].item())
    if signed and whole(0, 2):
        magnitude *= -1.0
    return name, magnitude


class AutoAugment(Module):
    """One of the pairs of changes that were learnt on a data set."""

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: InterpolationMode = _NEAREST,
        fill: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.interpolation = interpolation
        self.fill = fill
        if policy not in _POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policies = _parsed(_POLICIES[policy])

    def _augmentation_space(self, num_bins: int, image_size: tuple[int, int]) -> _Space:
        height, width = image_size
        shift = (150.0 / 331.0 * width, 150.0 / 331.0 * height)
        return _space(num_bins, 0.3, shift, 30.0, 0.9, (8, 4)) | {"Invert": (tensor(0.0), False)}

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """The number of the pair, and for both changes, what is compared with the probability, and the sign."""
        return whole(0, transform_num), rand((2,)), randint(2, (2,))

    def forward(self, img: Any) -> Any:
        """The changed image."""
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        number, probabilities, signs = self.get_params(len(self.policies))
        space = self._augmentation_space(10, (height, width))
        for position, (name, p, index) in enumerate(self.policies[number]):
            if probabilities[position].item() <= p:
                magnitudes, signed = space[name]
                magnitude = 0.0 if index is None else float(magnitudes[index].item())
                if signed and signs[position].item() == 0:
                    magnitude *= -1.0
                img = _apply_op(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(Module):
    """``num_ops`` random changes, all of one magnitude."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = _NEAREST,
        fill: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def _augmentation_space(self, num_bins: int, image_size: tuple[int, int]) -> _Space:
        height, width = image_size
        shift = (150.0 / 331.0 * width, 150.0 / 331.0 * height)
        return {"Identity": (tensor(0.0), False)} | _space(num_bins, 0.3, shift, 30.0, 0.9, (8, 4))

    def forward(self, img: Any) -> Any:
        """The changed image."""
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        for _ in range(self.num_ops):
            space = self._augmentation_space(self.num_magnitude_bins, (height, width))
            name, magnitude = _drawn(space, whole(0, len(space)), self.magnitude)
            img = _apply_op(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation}, fill={self.fill})"
        )


class TrivialAugmentWide(Module):
    """One random change of random magnitude."""

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = _NEAREST,
        fill: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def _augmentation_space(self, num_bins: int) -> _Space:
        space = _space(num_bins, 0.99, (32.0, 32.0), 135.0, 0.99, (8, 6))
        return {"Identity": (tensor(0.0), False)} | space

    def forward(self, img: Any) -> Any:
        """The changed image."""
        fill = fill_for(img, self.fill)
        space = self._augmentation_space(self.num_magnitude_bins)
        name, magnitude = _drawn(space, whole(0, len(space)), None)
        return _apply_op(img, name, magnitude, self.interpolation, fill)

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class AugMix(Module):
    """The image mixed with several chains of random changes of it.

    Args:
        severity: how strong changes may be, 1 to 10.
        mixture_width: the number of chains.
        chain_depth: changes in each; negative: a random number from 1 to 3.
        alpha: of the Dirichlet distributions that weights are drawn from.
        all_ops: with brightness, contrast, colour and sharpness.
        interpolation: of the changes.
        fill: of the changes.
    """

    _PARAMETER_MAX = 10

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        fill: list[float] | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= severity <= self._PARAMETER_MAX:
            raise ValueError(
                f"The severity must be between [1, {self._PARAMETER_MAX}]. Got {severity} instead."
            )
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self.fill = fill

    def _augmentation_space(self, num_bins: int, image_size: tuple[int, int]) -> _Space:
        height, width = image_size
        space = _space(num_bins, 0.3, (width / 3.0, height / 3.0), 30.0, 0.9, (4, 4))
        enhancements = {name: space.pop(name) for name in _ENHANCEMENTS}
        return space | enhancements if self.all_ops else space

    def forward(self, orig_img: Any) -> Any:
        """The mixture."""
        img = orig_img if isinstance(orig_img, Tensor) else F.pil_to_tensor(orig_img)
        _, height, width = F.get_dimensions(img)
        fill = fill_for(img, self.fill)
        space = self._augmentation_space(self._PARAMETER_MAX, (height, width))
        batch = img.view([1] * max(4 - img.ndim, 0) + list(img.shape))
        one_each = [len(batch), *[1] * (batch.ndim - 1)]
        original, mixed = (each.reshape(one_each) for each in self._weights(len(batch), 2).unbind(1))
        weights = self._weights(len(batch), self.mixture_width) * mixed.reshape(-1, 1)
        mix = original * batch
        for chain in range(self.mixture_width):
            changed = batch
            depth = self.chain_depth if self.chain_depth > 0 else whole(1, 4)
            for _ in range(depth):
                number = whole(0, len(space))
                name, magnitude = _drawn(space, number, whole(0, self.severity))
                changed = _apply_op(changed, name, magnitude, self.interpolation, fill)
            mix = mix + weights[:, chain].reshape(one_each) * changed
        mix = mix.view(img.shape).to(dtype=img.dtype)
        return mix if isinstance(orig_img, Tensor) else F.to_pil_image(mix, mode=orig_img.mode)

    def _weights(self, count: int, width: int) -> Tensor:
        """Rows of ``width`` weights that add up to 1. Shape: (count, width)."""
        drawn = numpy_generator(None).dirichlet([self.alpha] * width, count)
        return from_numpy(drawn.astype("float32"))

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(severity={self.severity}, mixture_width={self.mixture_width}, "
            f"chain_depth={self.chain_depth}, alpha={self.alpha}, all_ops={self.all_ops}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )
