"""Parts of an image, borders around it, and its mirror images."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from distrt.core.creation import from_numpy
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.vision.pillow import pil
from distrt.vision.transforms.functional.images import as_batch, get_dimensions, is_tensor_image, unbatched
from distrt.vision.transforms.functional.resizing import resize
from distrt.vision.transforms.interpolation import InterpolationMode

__all__ = [
    "center_crop",
    "crop",
    "erase",
    "five_crop",
    "hflip",
    "pad",
    "parsed_fill",
    "resized_crop",
    "ten_crop",
    "vflip",
]


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of the image from (top, left) on; what lies outside is 0."""
    if not is_tensor_image(img):
        return img.crop((left, top, left + width, top + height))
    _, h, w = get_dimensions(img)
    right, bottom = left + width, top + height
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return inside
    borders = [
        max(min(right, 0) - left, 0),
        max(right - max(w, left), 0),
        max(min(bottom, 0) - top, 0),
        max(bottom - max(h, top), 0),
    ]
    return F.pad(inside, borders)


def center_crop(img: Any, output_size: int | list[int] | tuple[int, ...]) -> Any:
    """The middle of the image; a smaller image gets a border of zeros first."""
    size = [output_size] * 2 if isinstance(output_size, int) else list(output_size)
    new_height, new_width = size * 2 if len(size) == 1 else size
    _, height, width = get_dimensions(img)
    if new_width > width or new_height > height:
        missing_x, missing_y = max(new_width - width, 0), max(new_height - height, 0)
        img = pad(img, [missing_x // 2, missing_y // 2, (missing_x + 1) // 2, (missing_y + 1) // 2], fill=0)
        _, height, width = get_dimensions(img)
        if (new_width, new_height) == (width, height):
            return img
    return crop(
        img, round((height - new_height) / 2.0), round((width - new_width) / 2.0), new_height, new_width
    )


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: list[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """:func:`crop`, then ``resize``."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: int | list[int] | tuple[int, ...]) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners (top left, top right, bottom left, bottom right), and the middle.

    Raises:
        ValueError: for another number of sizes than 2, and a crop larger than the image.
    """
    height, width = _two_sizes(size)
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        raise ValueError(f"Requested crop size {(height, width)} is bigger than input size {(h, w)}")
    return (
        crop(img, 0, 0, height, width),
        crop(img, 0, w - width, height, width),
        crop(img, h - height, 0, height, width),
        crop(img, h - height, w - width, height, width),
        center_crop(img, [height, width]),
    )


def ten_crop(
    img: Any, size: int | list[int] | tuple[int, ...], vertical_flip: bool = False
) -> tuple[Any, ...]:
    """:func:`five_crop` of the image and of its mirror image."""
    crops = five_crop(img, size)
    return crops + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def _two_sizes(size: Any) -> tuple[int, int]:
    sizes = [int(size)] if isinstance(size, numbers.Number) else list(size)  # type: ignore[call-overload]
    if len(sizes) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return sizes[0], sizes[-1]


def hflip(img: Any) -> Any:
    """Left becomes right."""
    return img.flip(-1) if is_tensor_image(img) else img.transpose(pil().Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Top becomes bottom."""
    return img.flip(-2) if is_tensor_image(img) else img.transpose(pil().Transpose.FLIP_TOP_BOTTOM)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """The tensor with the values ``v`` in the rectangle of size (h, w) whose corner is (i, j)."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    if not inplace:
        img = img.clone()
    img[..., i : i + h, j : j + w] = v
    return img


# -- borders


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The image with a border.

    Args:
        img: an image of Pillow's, or a tensor (*, C, H, W).
        padding: one width, or (left and right, top and bottom), or (left, top, right, bottom).
        fill: the border's value; for images of Pillow's also one for each channel.
        padding_mode: "constant", "edge" (the last pixel again), "reflect" (mirrored about the last pixel), "symmetric"
            (mirrored with it).

    Raises:
        TypeError: for arguments of other types.
        ValueError: for another number of widths, and another mode.
    """
    on_tensor = is_tensor_image(img)
    if not isinstance(padding, numbers.Number | tuple | list):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(fill, numbers.Number | tuple | list | None):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    left, top, right, bottom = _four_widths(padding)
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    if not on_tensor:
        return _padded_image(img, (left, top, right, bottom), fill, padding_mode)
    if padding_mode == "constant":
        if isinstance(fill, tuple | list):
            raise TypeError("Got inappropriate fill arg: tensors take one number for all channels")
        value: Any = 0.0 if fill is None else fill
        return F.pad(img, [left, right, top, bottom], value=float(value))
    if padding_mode == "symmetric":
        return _padded_symmetrically(img, left, top, right, bottom)
    mode = {"edge": "replicate", "reflect": "reflect"}[padding_mode]
    return unbatched(F.pad(as_batch(img), [left, right, top, bottom], mode=mode), img)


def _four_widths(padding: Any) -> tuple[int, int, int, int]:
    if isinstance(padding, numbers.Number):
        padding = [padding]
    if len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple"
        )
    if len(padding) == 4:
        return tuple(padding)
    return tuple(padding) * (4 // len(padding))


def _padded_symmetrically(img: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    def positions(size: int, before: int, after: int) -> Tensor:
        inside = np.arange(max(-before, 0), size - max(-after, 0))
        return from_numpy(np.pad(inside, (max(before, 0), max(after, 0)), "symmetric"))

    rows = positions(img.shape[-2], top, bottom)
    columns = positions(img.shape[-1], left, right)
    return img[..., rows[:, None], columns[None, :]]


def _padded_image(img: Any, widths: tuple[int, int, int, int], fill: Any, padding_mode: str) -> Any:
    if padding_mode == "constant":
        options = parsed_fill(fill, img, name="fill")
        if img.mode == "P":
            palette = img.getpalette()
            image = pil("ImageOps").expand(img, border=widths, **options)
            image.putpalette(palette)
            return image
        return pil("ImageOps").expand(img, border=widths, **options)
    left, top, right, bottom = widths
    cut = np.minimum(widths, 0)
    if cut.any():
        img = img.crop((-cut[0], -cut[1], img.width + cut[2], img.height + cut[3]))
        left, top, right, bottom = (int(each) for each in np.maximum(widths, 0))
    palette = img.getpalette() if img.mode == "P" else None
    array = np.asarray(img)
    borders = ((top, bottom), (left, right), (0, 0))[: array.ndim]
    padded = np.pad(array, borders, mode=padding_mode)  # type: ignore[call-overload]
    if img.mode == "1":
        return pil().fromarray(padded)  # its bytes hold eight pixels each
    image = pil().frombytes(img.mode, (padded.shape[1], padded.shape[0]), padded.tobytes())
    if palette is not None:
        image.putpalette(palette)
    return image


def parsed_fill(fill: Any, img: Any, name: str = "fillcolor") -> dict[str, Any]:
    """A filling value as Pillow takes it: one number for each band, whole ones unless the image has floats."""
    bands = len(img.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, int | float) and bands > 1:
        fill = (fill,) * bands
    if isinstance(fill, list | tuple):
        if len(fill) == 1:
            fill = tuple(fill) * bands
        elif len(fill) != bands:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the image "
                f"({len(fill)} != {bands})"
            )
        fill = tuple(fill)
    if img.mode != "F":
        fill = tuple(int(each) for each in fill) if isinstance(fill, tuple) else int(fill)
    return {name: fill}
