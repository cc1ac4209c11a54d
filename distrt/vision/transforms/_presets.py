"""The transforms that published weights were trained for."""

from __future__ import annotations

from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.nn import Module
from distrt.vision.transforms import functional as F
from distrt.vision.transforms.interpolation import InterpolationMode

__all__ = ["ImageClassification"]


class ImageClassification(Module):
    """Resize, crop, scale to [0, 1], normalise. Shape: an image, or (*, C, H, W) -> (*, C, crop_size, crop_size)."""

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        """The normalised tensor."""
        img = F.resize(img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img, dt.float32), mean=self.mean, std=self.std)

    def __repr__(self) -> str:
        parts = ("crop_size", "resize_size", "mean", "std", "interpolation")
        return "\n".join(
            [f"{self.__class__.__name__}(", *(f"    {part}={getattr(self, part)}" for part in parts), ")"]
        )

    def describe(self) -> str:
        """What the transform does, in words."""
        return (
            "Accepts ``PIL.Image``, batched ``(B, C, H, W)`` and single ``(C, H, W)`` image ``torch.Tensor`` objects. "
            f"The images are resized to ``resize_size={self.resize_size}`` using "
            f"``interpolation={self.interpolation}``, followed by a central crop of ``crop_size={self.crop_size}``. "
            "Finally the values are first rescaled to ``[0.0, 1.0]`` and then normalized using "
            f"``mean={self.mean}`` and ``std={self.std}``."
        )
