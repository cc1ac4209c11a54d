"""Brightness, contrast, saturation, hue, gamma and grey."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.creation import zeros_like
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.vision.pillow import is_pil_image, pil
from distrt.vision.transforms.functional.conversion import convert_image_dtype
from distrt.vision.transforms.functional.images import (
    is_tensor_image,
    max_value,
    require_channels,
    require_colours,
)

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "blended",
    "rgb_to_grayscale",
    "to_grayscale",
]


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """The image blended with black: 0 gives black, 1 the image, 2 twice its values.

    Raises:
        ValueError: for a negative factor.
        TypeError: for a tensor of other than 1 or 3 channels.
    """
    if not is_tensor_image(img):
        return pil("ImageEnhance").Brightness(img).enhance(brightness_factor)
    _require_positive(brightness_factor, "brightness_factor")
    require_channels(img)
    return blended(img, zeros_like(img), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """The image blended with its mean grey: 0 gives grey, 1 the image. Raises as :func:`adjust_brightness`."""
    if not is_tensor_image(img):
        return pil("ImageEnhance").Contrast(img).enhance(contrast_factor)
    _require_positive(contrast_factor, "contrast_factor")
    channels = require_channels(img)
    grey = rgb_to_grayscale(img) if channels == 3 else img
    wide = grey if grey.is_floating_point() else grey.to(dt.float32)
    mean = wide.mean(dim=(-3, -2, -1), keepdim=True)
    return blended(img, mean, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """The image blended with its grey form: 0 gives grey, 1 the image. Raises as :func:`adjust_brightness`."""
    if not is_tensor_image(img):
        return pil("ImageEnhance").Color(img).enhance(saturation_factor)
    _require_positive(saturation_factor, "saturation_factor")
    if require_channels(img) == 1:
        return img
    return blended(img, rgb_to_grayscale(img), saturation_factor)


def _require_positive(factor: float, name: str) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def blended(img: Tensor, other: Tensor, ratio: float) -> Tensor:
    """``ratio`` of the one and the rest of the other, cut at black and white, in the first one's dtype."""
    ratio = float(ratio)
    result = (ratio * img + (1.0 - ratio) * other).clamp(0, max_value(img.dtype))
    return result.to(img.dtype)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """``gain * image ** gamma``, values in [0, 1]. Raises ValueError for a negative gamma."""
    on_tensor = is_tensor_image(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if not on_tensor:
        mode = img.mode
        table = [int((255 + 1 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)] * 3
        return img.convert("RGB").point(table).convert(mode)
    require_channels(img)
    result = img if img.is_floating_point() else convert_image_dtype(img, dt.float32)
    return convert_image_dtype((gain * result**gamma).clamp(0, 1), img.dtype)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The image in grey, in one channel or in three equal ones.

    Raises:
        ValueError: for another number of channels to give.
        TypeError: for a tensor of other than 1 or 3 channels.
    """
    if not is_tensor_image(img):
        return to_grayscale(img, num_output_channels)
    channels = require_colours(img)
    _require_one_or_three(num_output_channels)
    if channels == 1:
        return img.clone()  # in one channel, whatever was asked for, as torchvision has it
    r, g, b = img.unbind(dim=-3)
    grey = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(dim=-3)
    return grey.expand(*img.shape[:-3], 3, *img.shape[-2:]) if num_output_channels == 3 else grey


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """:func:`rgb_to_grayscale` for images of Pillow's; raises TypeError for a tensor."""
    if not is_pil_image(img):
        raise TypeError("Input should be PIL Image")
    _require_one_or_three(num_output_channels)
    grey = img.convert("L")
    return grey if num_output_channels == 1 else pil().merge("RGB", [grey] * 3)


def _require_one_or_three(num_output_channels: int) -> None:
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")


# -- hue


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The image with its hues turned by ``hue_factor`` of the circle, at most half of it either way.

    Raises:
        ValueError: for a factor outside [-0.5, 0.5].
        TypeError: for a tensor of other than 1 or 3 channels.
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not is_tensor_image(img):
        return _turned_image(img, hue_factor)
    if require_channels(img) == 1:
        return img
    colours = img if img.is_floating_point() else convert_image_dtype(img, dt.float32)
    h, s, v = _rgb_to_hsv(colours)
    return convert_image_dtype(_hsv_to_rgb((h + hue_factor) % 1.0, s, v), img.dtype)


def _turned_image(img: Any, hue_factor: float) -> Any:
    if img.mode in ("L", "1", "I", "F"):
        return img
    h, s, v = img.convert("HSV").split()
    turned = np.array(h, np.uint8) + np.int32(hue_factor * 255).astype(np.uint8)  # goes round at 256
    h = pil().frombytes("L", h.size, turned.tobytes())
    return pil().merge("HSV", (h, s, v)).convert(img.mode)


def _rgb_to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r, g, b = img.unbind(dim=-3)
    high, low = img.amax(dim=-3), img.amin(dim=-3)
    flat = high == low  # grey: no hue, and nothing to divide by
    spread = high - low
    s = spread / ops.where(flat, 1.0, high)
    divisor = ops.where(flat, 1.0, spread)
    from_r, from_g, from_b = (high - r) / divisor, (high - g) / divisor, (high - b) / divisor
    h = ops.where(
        high == r, from_b - from_g, ops.where(high == g, 2.0 + from_r - from_b, 4.0 + from_g - from_r)
    )
    return ops.fmod(h / 6.0 + 1.0, 1.0), s, high


def _hsv_to_rgb(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    sector = ops.floor(h * 6.0)
    f = h * 6.0 - sector
    sector = sector.to(dt.int32) % 6
    p = (v * (1.0 - s)).clamp(0.0, 1.0)
    q = (v * (1.0 - s * f)).clamp(0.0, 1.0)
    t = (v * (1.0 - s * (1.0 - f))).clamp(0.0, 1.0)
    by_sector = ((v, q, p, p, t, v), (t, v, v, q, p, p), (p, p, t, v, v, q))  # red, green, blue
    index = sector.long().unsqueeze(0)
    channels = [ops.stack(each).gather(0, index).squeeze(0) for each in by_sector]
    return ops.stack(channels, dim=-3)
