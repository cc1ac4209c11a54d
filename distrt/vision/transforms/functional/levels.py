"""Changes of the values one by one: ``invert``, ``posterize``, ``solarize``, ``autocontrast``, ``equalize``."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.creation import from_numpy
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.vision.pillow import pil
from distrt.vision.transforms.functional.images import (
    is_tensor_image,
    max_value,
    require_colours,
)

__all__ = ["autocontrast", "equalize", "invert", "posterize", "solarize"]


def invert(img: Any) -> Any:
    """Black becomes white."""
    if not is_tensor_image(img):
        return pil("ImageOps").invert(img)
    require_colours(img)
    return max_value(img.dtype) - img


def posterize(img: Any, bits: int) -> Any:
    """Keeps the highest ``bits`` bits of each byte. Raises TypeError for a tensor of another dtype than uint8."""
    if not is_tensor_image(img):
        return pil("ImageOps").posterize(img, bits)
    require_colours(img)
    _require_bytes(img)
    return img & (256 - 2 ** (8 - bits))


def solarize(img: Any, threshold: float) -> Any:
    """Inverts the values from ``threshold`` on. Raises TypeError for a threshold above white."""
    if not is_tensor_image(img):
        return pil("ImageOps").solarize(img, threshold)
    require_colours(img)
    if threshold > max_value(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return ops.where(img >= threshold, invert(img), img)


def autocontrast(img: Any) -> Any:
    """Stretches each channel, so that its darkest pixel is black and its lightest white."""
    if not is_tensor_image(img):
        return pil("ImageOps").autocontrast(img)
    require_colours(img)
    white = max_value(img.dtype)
    values = img if img.is_floating_point() else img.to(dt.float32)
    low, high = values.amin(dim=(-2, -1), keepdim=True), values.amax(dim=(-2, -1), keepdim=True)
    flat = high == low  # one value: it stays
    scale = white / ops.where(flat, 1.0, high - low)
    stretched = ((values - ops.where(flat, 0.0, low)) * ops.where(flat, 1.0, scale)).clamp(0, white)
    return stretched.to(img.dtype)


def equalize(img: Any) -> Any:
    """Spreads each channel's values evenly, by its histogram. Raises TypeError for a tensor that is not uint8."""
    if not is_tensor_image(img):
        return pil("ImageOps").equalize(img)
    require_colours(img)
    _require_bytes(img)
    planes = img.detach().cpu().numpy()
    spread = np.empty(planes.shape, np.uint8)
    for position in np.ndindex(*planes.shape[:-2]):
        spread[position] = _equalized(planes[position])
    return from_numpy(spread).to(img.device)


def _equalized(plane: Any) -> Any:
    counts = np.bincount(plane.reshape(-1), minlength=256)
    present = counts[counts != 0]
    step = int(present[:-1].sum()) // 255
    if step == 0:
        return plane
    table = (np.cumsum(counts) + step // 2) // step
    return np.clip(np.concatenate([[0], table[:-1]]), 0, 255).astype(np.uint8)[plane]


def _require_bytes(img: Tensor) -> None:
    if img.dtype != dt.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
