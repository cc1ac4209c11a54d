"""``resize``, and the size that it gives."""

from __future__ import annotations

from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.core.process.users_code import warn
from distrt.nn.functional import interpolate
from distrt.vision.transforms.functional.images import as_batch, get_dimensions, is_tensor_image, unbatched
from distrt.vision.transforms.interpolation import PILLOW_CODES, InterpolationMode, interpolation_mode

__all__ = ["resize"]

_SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


def resize(
    img: Any,
    size: int | list[int] | tuple[int, ...],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image at another size.

    Args:
        img: an image of Pillow's, or a tensor (*, C, H, W).
        size: (height, width), or a number for the shorter side; the proportions stay.
        interpolation: a mode.
        max_size: how long the longer side may be; the shorter one then gets shorter than ``size``.
        antialias: for tensors, a low-pass filter first, under "bilinear" and "bicubic". Pillow always has one.

    Raises:
        TypeError: for an image or sizes of other types.
        ValueError: for sizes that contradict one another, and modes that tensors do not have.
    """
    mode = interpolation_mode(interpolation)
    if isinstance(size, list | tuple):
        if len(size) not in (1, 2):
            raise ValueError(
                f"Size must be an int or a 1 or 2 element tuple/list, not a {len(size)} element tuple/list"
            )
        if max_size is not None and len(size) != 1:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge, i.e. size should be "
                "an int or a sequence of length 1 in torchscript mode."
            )
    _, height, width = get_dimensions(img)
    new = _compute_resized_output_size(
        (height, width), [size] if isinstance(size, int) else list(size), max_size
    )
    if [height, width] == new:
        return img
    if not is_tensor_image(img):
        if antialias is False:
            warn("Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.")
        return img.resize((new[1], new[0]), PILLOW_CODES[mode])
    smooth = mode in _SMOOTH  # of the others, interpolate refuses what tensors do not have
    result = interpolate(
        as_batch(img),
        size=new,
        mode=mode.value,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    if mode == InterpolationMode.BICUBIC and img.dtype == dt.uint8:
        result = result.clamp(min=0, max=255)  # cubic curves overshoot
    return unbatched(result, img)


def _compute_resized_output_size(
    image_size: tuple[int, int], size: list[int], max_size: int | None = None
) -> list[int]:
    """[height, width] of the new image."""
    if len(size) == 2:
        return list(size)
    height, width = image_size
    short, long = min(height, width), max(height, width)
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the smaller edge size = "
                f"{size}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]
