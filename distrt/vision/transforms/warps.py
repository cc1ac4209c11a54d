"""Transforms that move pixels: flips, turns, shears, perspectives and elastic ones."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.creation import rand
from distrt.core.tensor import Tensor
from distrt.nn import Module
from distrt.vision.transforms import functional as F
from distrt.vision.transforms.arguments import angles, chance, fill_for, require_sequence, uniform, whole
from distrt.vision.transforms.interpolation import InterpolationMode, interpolation_mode

__all__ = [
    "ElasticTransform",
    "RandomAffine",
    "RandomHorizontalFlip",
    "RandomPerspective",
    "RandomRotation",
    "RandomVerticalFlip",
]

_NEAREST = InterpolationMode.NEAREST
_BILINEAR = InterpolationMode.BILINEAR


class RandomHorizontalFlip(Module):
    """Exchanges left and right with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image or its mirror image."""
        return F.hflip(img) if chance(self.p) else img

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(p={self.p})"


class RandomVerticalFlip(Module):
    """Exchanges top and bottom with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image or its mirror image."""
        return F.vflip(img) if chance(self.p) else img

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(p={self.p})"


def _checked_fill(fill: Any) -> Any:
    if fill is None:
        return 0
    if not isinstance(fill, Sequence | numbers.Number):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


class RandomRotation(Module):
    """A turn by a random angle.

    Args:
        degrees: the range; a number stands for itself either way.
        interpolation: as in ``functional.rotate``, like all that follow.
        expand: see above.
        center: see above.
        fill: see above.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode | int = _NEAREST,
        expand: bool = False,
        center: Sequence[int] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.interpolation = interpolation_mode(interpolation)
        self.degrees = angles(degrees, "degrees")
        if center is not None:
            require_sequence(center, "center", (2,))
        self.center = center
        self.resample = self.interpolation
        self.expand = expand
        self.fill = _checked_fill(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """The angle."""
        return uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        """The turned image."""
        fill = fill_for(img, self.fill)
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        fill = "" if self.fill is None else f", fill={self.fill}"
        return (
            f"{self.__class__.__name__}(degrees={self.degrees}, interpolation={self.interpolation.value}, "
            f"expand={self.expand}{center}{fill})"
        )


class RandomAffine(Module):
    """A random turn, shift, scale and shear.

    Args:
        degrees: the range of angles; a number stands for itself either way.
        translate: the largest shift along x and y, as parts of width and height.
        scale: the range of the factor.
        shear: the range of degrees along x; four numbers: along y as well; a number stands for itself either way.
        interpolation: as in ``functional.affine``, like all that follow.
        fill: see above.
        center: see above.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode | int = _NEAREST,
        fill: Any = 0,
        center: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.interpolation = interpolation_mode(interpolation)
        self.degrees = angles(degrees, "degrees")
        if translate is not None:
            require_sequence(translate, "translate", (2,))
            if not all(0.0 <= each <= 1.0 for each in translate):
                raise ValueError("translation values should be between 0 and 1")
        self.translate = translate
        if scale is not None:
            require_sequence(scale, "scale", (2,))
            if any(each <= 0 for each in scale):
                raise ValueError("scale values should be positive")
        self.scale = scale
        self.shear = None if shear is None else angles(shear, "shear", (2, 4))
        self.resample = self.interpolation
        self.fill = _checked_fill(fill)
        if center is not None:
            require_sequence(center, "center", (2,))
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Angle, shift, scale and shear, as ``functional.affine`` takes them."""
        angle = uniform(degrees[0], degrees[1])
        shift = (0, 0)
        if translate is not None:
            x, y = (float(part * size) for part, size in zip(translate, img_size, strict=True))
            shift = (round(uniform(-x, x)), round(uniform(-y, y)))
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = uniform(shears[2], shears[3])
        return angle, shift, scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        """The moved image."""
        fill = fill_for(img, self.fill)
        size = F.get_image_size(img)
        params = self.get_params(self.degrees, self.translate, self.scale, self.shear, size)
        return F.affine(img, *params, interpolation=self.interpolation, fill=fill, center=self.center)

    def __repr__(self) -> str:
        parts = [f"degrees={self.degrees}"]
        parts += [
            f"{name}={getattr(self, name)}"
            for name in ("translate", "scale", "shear")
            if getattr(self, name) is not None
        ]
        if self.interpolation != _NEAREST:
            parts.append(f"interpolation={self.interpolation.value}")
        if self.fill != 0:
            parts.append(f"fill={self.fill}")
        if self.center is not None:
            parts.append(f"center={self.center}")
        return f"{self.__class__.__name__}({', '.join(parts)})"


class RandomPerspective(Module):
    """A random perspective with probability ``p``; ``distortion_scale`` in [0, 1] says how far corners may go."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | int = _BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = interpolation_mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = _checked_fill(fill)

    def forward(self, img: Any) -> Any:
        """The image in its perspective."""
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        if not chance(self.p):
            return img
        corners = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, *corners, self.interpolation, fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners, and where they go."""
        x, y = int(distortion_scale * (width // 2)), int(distortion_scale * (height // 2))
        corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        moved = [
            [
                whole(width - x - 1, width) if right else whole(0, x + 1),
                whole(height - y - 1, height) if bottom else whole(0, y + 1),
            ]
            for right, bottom in ((False, False), (True, False), (True, True), (False, True))
        ]
        return corners, moved

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(p={self.p})"


class ElasticTransform(Module):
    """Random displacements, smooth over about ``sigma`` pixels and ``alpha`` strong: Simard et al. (2003).

    ``alpha`` and ``sigma`` are one number, or two: along x and y.
    """

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: InterpolationMode | int = _BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = _pair_of_floats(alpha, "alpha")
        self.sigma = _pair_of_floats(sigma, "sigma")
        self.interpolation = interpolation_mode(interpolation)
        if isinstance(fill, int | float):
            fill = [float(fill)]
        elif isinstance(fill, list | tuple):
            fill = [float(each) for each in fill]
        else:
            raise TypeError(f"fill should be int or float or a list or tuple of them. Got {type(fill)}")
        self.fill = fill

    @staticmethod
    def get_params(alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]) -> Tensor:
        """The displacement, as ``functional.elastic_transform`` takes it. Shape: (1, H, W, 2)."""
        parts = []
        for strength, deviation, length in zip(alpha, sigma, size, strict=True):
            noise = rand([1, 1, *size]) * 2 - 1
            if deviation > 0.0:
                kernel = int(8 * deviation + 1)
                kernel += kernel % 2 == 0
                noise = F.gaussian_blur(noise, [kernel, kernel], [deviation, deviation])
            parts.append(noise * strength / length)
        return ops.cat(parts, 1).permute([0, 2, 3, 1])

    def forward(self, tensor: Any) -> Any:
        """The displaced image."""
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(alpha={self.alpha}, sigma={self.sigma}, interpolation={self.interpolation}, "
            f"fill={self.fill})"
        )


def _pair_of_floats(value: Any, name: str) -> list[float]:
    if not isinstance(value, float | Sequence):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    if isinstance(value, float):
        return [value, value]
    if len(value) != 2:
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    for each in value:
        if not isinstance(each, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(each)}")
    return list(value)
