"""What the second version calls otherwise: images become tensors, and dtypes change, in two steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.creation import from_numpy
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.nn import Module
from distrt.vision.transforms import functional as F

__all__ = ["RGB", "Identity", "ToDtype", "ToImage", "ToPureTensor"]


class Identity(Module):
    """The image as it is."""

    def forward(self, img: Any) -> Any:
        """The image."""
        return img


class ToImage(Module):
    """An image of Pillow's or an array (H, W, C) as a tensor (C, H, W) of the same values; a tensor stays."""

    def forward(self, img: Any) -> Tensor:
        """The tensor."""
        if isinstance(img, Tensor):
            return img
        if isinstance(img, np.ndarray):
            array = img[:, :, None] if img.ndim == 2 else img
            return from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        return F.pil_to_tensor(img)


class ToPureTensor(Identity):
    """The image as it is: tensors here have no kinds."""


class ToDtype(Module):
    """Another dtype; with ``scale``, so that white stays white."""

    def __init__(self, dtype: dt.dtype, scale: bool = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = scale

    def forward(self, img: Tensor) -> Tensor:
        """The image in the dtype; what is no tensor stays."""
        if not isinstance(img, Tensor):
            return img
        return F.convert_image_dtype(img, self.dtype) if self.scale else img.to(self.dtype)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"scale={self.scale}"


class RGB(Module):
    """Three channels: grey ones are repeated."""

    def forward(self, img: Any) -> Any:
        """The image with three channels."""
        if not isinstance(img, Tensor):
            return img.convert("RGB")
        return img.expand(*img.shape[:-3], 3, *img.shape[-2:]) if img.shape[-3] == 1 else img
