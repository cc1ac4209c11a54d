"""Maps of the plane: ``affine``, ``rotate``, ``perspective`` and ``elastic_transform``."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.creation import linspace, ones, tensor
from distrt.core.dtypes import dtype as dt
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.functional import grid_sample
from distrt.vision.transforms.functional.conversion import pil_to_tensor, to_pil_image
from distrt.vision.transforms.functional.cropping import parsed_fill
from distrt.vision.transforms.functional.images import (
    as_batch,
    get_dimensions,
    get_image_size,
    is_tensor_image,
    unbatched,
)
from distrt.vision.transforms.functional.matrices import (
    _get_inverse_affine_matrix,
    _get_perspective_coeffs,
    rotated_size,
)
from distrt.vision.transforms.interpolation import PILLOW_CODES, InterpolationMode, interpolation_mode

__all__ = ["affine", "elastic_transform", "perspective", "rotate"]

_NEAREST = InterpolationMode.NEAREST
_BILINEAR = InterpolationMode.BILINEAR
_AFFINE, _PERSPECTIVE = 0, 2  # Pillow's kinds of transform


def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode | int = _NEAREST,
    expand: bool = False,
    center: Sequence[int] | None = None,
    fill: Any = None,
) -> Any:
    """The image turned counter-clockwise.

    Args:
        img: an image of Pillow's, or a tensor (*, C, H, W).
        angle: degrees.
        interpolation: "nearest", "bilinear"; "bicubic" for images of Pillow's.
        expand: make the new image large enough for all of the old one.
        center: (x, y) about which it is turned, from the top left corner; by default the middle.
        fill: what is outside: a number, or one for each channel; by default 0.
    """
    mode = interpolation_mode(interpolation)
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")
    if not is_tensor_image(img):
        return img.rotate(angle, PILLOW_CODES[mode], expand, center, **parsed_fill(fill, img))
    width, height = get_image_size(img)
    # In images y grows downwards, so that counter-clockwise is a negative angle.
    matrix = _get_inverse_affine_matrix(
        _from_middle(center, width, height), -angle, [0.0, 0.0], 1.0, [0.0, 0.0]
    )
    size = rotated_size(matrix, width, height) if expand else (width, height)
    return _sampled(img, _affine_grid(matrix, (width, height), size, _grid_dtype(img)), mode, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | int = _NEAREST,
    fill: Any = None,
    center: Sequence[int] | None = None,
) -> Any:
    """The image turned, scaled, sheared and shifted; its size stays.

    Args:
        img: an image of Pillow's, or a tensor (*, C, H, W).
        angle: degrees, clockwise.
        translate: pixels to the right and down.
        scale: a factor.
        shear: degrees along x and y, or along x alone.
        interpolation: "nearest", "bilinear"; "bicubic" for images of Pillow's.
        fill: what is outside: a number, or one for each channel; by default 0.
        center: (x, y) that turning, scaling and shearing leave where it is; by default the middle.
    """
    mode = interpolation_mode(interpolation)
    shear = _checked_affine(angle, translate, scale, shear, center)
    width, height = get_image_size(img)
    if not is_tensor_image(img):
        middle = [width * 0.5, height * 0.5] if center is None else center
        matrix = _get_inverse_affine_matrix(middle, angle, translate, scale, shear)
        return img.transform(img.size, _AFFINE, matrix, PILLOW_CODES[mode], **parsed_fill(fill, img))
    moved = [float(each) for each in translate]
    matrix = _get_inverse_affine_matrix(_from_middle(center, width, height), angle, moved, scale, shear)
    size = (width, height)
    return _sampled(img, _affine_grid(matrix, size, size, _grid_dtype(img)), mode, fill)


def _checked_affine(angle: Any, translate: Any, scale: float, shear: Any, center: Any) -> Sequence[float]:
    """The shear along both axes; raises TypeError and ValueError for arguments that are no affine map's."""
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, list | tuple):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, numbers.Number | list | tuple):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    if isinstance(shear, numbers.Number):
        shear = [shear, 0.0]
    elif len(shear) == 1:
        shear = [shear[0], shear[0]]
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")
    both: Sequence[float] = shear
    return both


def _from_middle(center: Sequence[float] | None, width: int, height: int) -> list[float]:
    """The centre, counted from the middle of the image."""
    if center is None:
        return [0.0, 0.0]
    return [center[0] - 0.5 * width, center[1] - 0.5 * height]


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode | int = _BILINEAR,
    fill: Any = None,
) -> Any:
    """The image in another perspective.

    Args:
        img: an image of Pillow's, or a tensor (*, C, H, W).
        startpoints: (x, y) of four corners: top left, top right, bottom right, bottom left.
        endpoints: where they go.
        interpolation: "nearest", "bilinear"; "bicubic" for images of Pillow's.
        fill: what is outside: a number, or one for each channel; by default 0.
    """
    coefficients = _get_perspective_coeffs(startpoints, endpoints)
    mode = interpolation_mode(interpolation)
    if not is_tensor_image(img):
        return img.transform(
            img.size, _PERSPECTIVE, coefficients, PILLOW_CODES[mode], **parsed_fill(fill, img)
        )
    width, height = get_image_size(img)
    grid = _perspective_grid(coefficients, width, height, _grid_dtype(img))
    return _sampled(img, grid, mode, fill)


def elastic_transform(
    img: Any, displacement: Tensor, interpolation: InterpolationMode | int = _BILINEAR, fill: Any = None
) -> Any:
    """The image with each pixel taken from elsewhere.

    Args:
        img: an image of Pillow's, or a tensor (*, C, H, W).
        displacement: how far away, in units in which the image reaches from -1 to 1. Shape: (1, H, W, 2), x first.
        interpolation: "nearest" or "bilinear".
        fill: what is outside: a number, or one for each channel; by default 0.
    """
    mode = interpolation_mode(interpolation)
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    picture = img if is_tensor_image(img) else pil_to_tensor(img)
    _, height, width = get_dimensions(picture)
    if tuple(displacement.shape) != (1, height, width, 2):
        raise ValueError(
            f"Argument displacement shape should be {(1, height, width, 2)}, but given {displacement.shape}"
        )
    x = linspace((-width + 1) / width, (width - 1) / width, width)
    y = linspace((-height + 1) / height, (height - 1) / height, height)
    here = ops.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], dim=-1)[None]
    moved = _sampled(picture, here + displacement.to(x.dtype), mode, fill)
    return moved if picture is img else to_pil_image(moved, mode=img.mode)


# -- sampling tensors


def _grid_dtype(img: Tensor) -> dt.dtype:
    return img.dtype if img.is_floating_point() else dt.float32


def _pixel_grid(width: int, height: int, from_x: float, from_y: float, dtype: dt.dtype) -> Tensor:
    """(x, y, 1) of the pixels' middles. Shape: (1, height * width, 3)."""
    x = linspace(from_x + 0.5, from_x + width - 0.5, width, dtype=dtype)
    y = linspace(from_y + 0.5, from_y + height - 0.5, height, dtype=dtype)
    grid = ones(height, width, 3, dtype=dtype)
    grid[..., 0] = x
    grid[..., 1] = y[:, None]
    return grid.reshape(1, height * width, 3)


def _affine_grid(
    matrix: Sequence[float], size: tuple[int, int], new_size: tuple[int, int], dtype: dt.dtype
) -> Tensor:
    """Where the pixels of the new image come from, in units in which the old one reaches from -1 to 1."""
    width, height = new_size
    pixels = _pixel_grid(width, height, -0.5 * width, -0.5 * height, dtype)
    theta = tensor([matrix], dtype=dtype).reshape(1, 2, 3).transpose(1, 2)
    theta = theta / tensor([0.5 * size[0], 0.5 * size[1]], dtype=dtype)
    return ops.bmm(pixels, theta).reshape(1, height, width, 2)


def _perspective_grid(coefficients: list[float], width: int, height: int, dtype: dt.dtype) -> Tensor:
    """As :func:`_affine_grid`."""
    a, b, c, d, e, f, g, h = coefficients
    pixels = _pixel_grid(width, height, 0, 0, dtype)
    above = tensor([[[a, b, c], [d, e, f]]], dtype=dtype).transpose(1, 2)
    above = above / tensor([0.5 * width, 0.5 * height], dtype=dtype)
    below = tensor([[[g, h, 1.0], [g, h, 1.0]]], dtype=dtype).transpose(1, 2)
    grid = ops.bmm(pixels, above) / ops.bmm(pixels, below) - 1.0
    return grid.reshape(1, height, width, 2)


def _sampled(img: Tensor, grid: Tensor, mode: InterpolationMode, fill: Any) -> Tensor:
    """The image at these positions; outside, ``fill``, into which the border is blended unless the mode is nearest."""
    if mode not in (_NEAREST, _BILINEAR):
        raise ValueError(f"Interpolation mode '{mode.value}' is unsupported with Tensor input")
    channels = get_dimensions(img)[0]
    if fill is not None and not isinstance(fill, int | float | tuple | list):
        warn("Argument fill should be either int, float, tuple or list")
    if isinstance(fill, tuple | list) and len(fill) not in (1, channels):
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of the image "
            f"({len(fill)} != {channels})"
        )
    batch = as_batch(img, (grid.dtype,))
    shape = batch.shape
    batch = batch.reshape(-1, *shape[-3:])
    grid = grid.to(batch.device).expand(batch.shape[0], -1, -1, -1)
    if fill is not None:
        inside = ones(batch.shape[0], 1, *batch.shape[2:], dtype=batch.dtype, device=batch.device)
        batch = ops.cat([batch, inside], dim=1)
    result = grid_sample(batch, grid, mode=mode.value, padding_mode="zeros", align_corners=False)
    if fill is not None:
        result, inside = result[:, :-1], result[:, -1:]
        values = list(fill) if isinstance(fill, tuple | list) else [float(fill)]
        outside = tensor(values, dtype=result.dtype, device=result.device).view(1, -1, 1, 1)
        if mode == _NEAREST:
            result = ops.where(inside < 0.5, outside.expand_as(result), result)
        else:
            result = result * inside + (1.0 - inside) * outside
    return unbatched(result.reshape(*shape[:-2], *result.shape[-2:]), img)
