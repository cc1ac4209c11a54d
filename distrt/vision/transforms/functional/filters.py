"""Blur and sharpness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.creation import linspace, tensor
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.vision.pillow import is_pil_image, pil
from distrt.vision.transforms.functional.colours import blended
from distrt.vision.transforms.functional.conversion import pil_to_tensor, to_pil_image
from distrt.vision.transforms.functional.images import (
    as_batch,
    get_image_size,
    is_tensor_image,
    require_channels,
    unbatched,
)

__all__ = ["adjust_sharpness", "gaussian_blur"]


def gaussian_blur(
    img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """The image blurred.

    Args:
        img: an image of Pillow's, or a tensor (*, C, H, W).
        kernel_size: odd: one number, or (along x, along y).
        sigma: the standard deviation, in pixels, one or two; by default 0.15 times the kernel's size, and 0.35.

    Raises:
        TypeError: for arguments of other types.
        ValueError: for other numbers of them, an even kernel, and a sigma that is not positive.
    """
    kernel, deviations = _checked_blur(kernel_size, sigma)
    if not isinstance(img, Tensor) and not is_pil_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    picture = img if is_tensor_image(img) else pil_to_tensor(img)
    blurred = _blurred(picture, kernel, deviations)
    return blurred if picture is img else to_pil_image(blurred, mode=img.mode)


def _checked_blur(kernel_size: Any, sigma: Any) -> tuple[list[int], list[float]]:
    if not isinstance(kernel_size, int | list | tuple):
        raise TypeError(f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}")
    kernel = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(kernel) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(kernel)}")
    if any(size % 2 == 0 or size < 0 for size in kernel):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {kernel}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in kernel]
    if not isinstance(sigma, int | float | list | tuple):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    deviations = [float(sigma)] * 2 if isinstance(sigma, int | float) else list(sigma)
    if len(deviations) == 1:
        deviations *= 2
    if len(deviations) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(deviations)}")
    if any(each <= 0.0 for each in deviations):
        raise ValueError(f"sigma should have positive values. Got {deviations}")
    return kernel, deviations


def _blurred(img: Tensor, kernel: list[int], deviations: list[float]) -> Tensor:
    dtype = img.dtype if img.is_floating_point() else dt.float32
    across, down = (_weights(size, each, dtype) for size, each in zip(kernel, deviations, strict=True))
    batch = as_batch(img, (dtype,))
    shape = batch.shape
    x, y = kernel[0] // 2, kernel[1] // 2
    padded = F.pad(batch.reshape(-1, *shape[-3:]), [x, x, y, y], mode="reflect")
    window = ops.mm(down[:, None], across[None]).to(img.device).expand(shape[-3], 1, kernel[1], kernel[0])
    return unbatched(F.conv2d(padded, window, groups=shape[-3]).reshape(shape), img)


def _weights(size: int, sigma: float, dtype: dt.dtype) -> Tensor:
    half = (size - 1) * 0.5
    density = ops.exp(-0.5 * (linspace(-half, half, size, dtype=dtype) / sigma) ** 2)
    return density / density.sum()


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """The image blended with its blurred form: 0 gives the blurred one, 1 the image, 2 twice as sharp.

    Raises:
        ValueError: for a negative factor.
        TypeError: for a tensor of other than 1 or 3 channels.
    """
    if not is_tensor_image(img):
        return pil("ImageEnhance").Sharpness(img).enhance(sharpness_factor)
    if sharpness_factor < 0:
        raise ValueError(f"sharpness_factor ({sharpness_factor}) is not non-negative.")
    require_channels(img)
    width, height = get_image_size(img)
    if width <= 2 or height <= 2:
        return img
    return blended(img, _smoothed(img), sharpness_factor)


def _smoothed(img: Tensor) -> Tensor:
    """A 3x3 mean in which the middle counts five times; the outermost pixels stay."""
    dtype = img.dtype if img.is_floating_point() else dt.float32
    batch = as_batch(img, (dtype,))
    shape = batch.shape
    window = (
        tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], dtype=dtype, device=img.device) / 13.0
    )
    inner = F.conv2d(batch.reshape(-1, *shape[-3:]), window.expand(shape[-3], 1, 3, 3), groups=shape[-3])
    inner = inner.reshape(*shape[:-2], shape[-2] - 2, shape[-1] - 2)
    result = img.clone()
    result[..., 1:-1, 1:-1] = unbatched(inner, img)
    return result
