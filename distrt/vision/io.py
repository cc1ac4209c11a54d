"""Images out of files and into them, by Pillow.

Source: https://pytorch.org/vision/stable/io.html.
"""

from __future__ import annotations

import io
import os
from enum import Enum
from typing import Any

import numpy as np

from distrt.core.creation import from_numpy
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.vision.pillow import pil
from distrt.vision.transforms.functional import pil_to_tensor, to_pil_image

__all__ = [
    "ImageReadMode",
    "decode_image",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]


class ImageReadMode(Enum):
    """Which channels to give: those of the file, or these."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_PILLOW_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}


def read_file(path: str | os.PathLike[str]) -> Tensor:
    """The bytes of a file. Shape: (size,), uint8."""
    return from_numpy(np.fromfile(path, np.uint8))


def write_file(filename: str | os.PathLike[str], data: Tensor) -> None:
    """Writes bytes to a file."""
    data.detach().cpu().numpy().tofile(filename)


def read_image(
    path: str | os.PathLike[str],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image in a file. Shape: (C, H, W), uint8.

    Args:
        path: the file.
        mode: which channels.
        apply_exif_orientation: turn it as the camera was held.

    Raises:
        RuntimeError: for a file that is no image.
    """
    with open(path, "rb") as file:
        return _decoded(file, mode, apply_exif_orientation)


def decode_image(
    input: Tensor | str | os.PathLike[str],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """As :func:`read_image`, of a file or of its bytes."""
    if not isinstance(input, Tensor):
        return read_image(input, mode, apply_exif_orientation)
    return _decoded(io.BytesIO(input.detach().cpu().numpy().tobytes()), mode, apply_exif_orientation)


def _decoded(file: Any, mode: ImageReadMode | str, turned: bool) -> Tensor:
    image_module = pil()
    if isinstance(mode, str):
        mode = ImageReadMode[mode.upper()]
    try:
        with image_module.open(file) as image:
            image.load()
            picture = pil("ImageOps").exif_transpose(image) if turned else image
            if mode in _PILLOW_MODES:
                picture = picture.convert(_PILLOW_MODES[mode])
            elif picture.mode in ("P", "1", "CMYK"):  # a palette is the file's way of writing colours
                picture = picture.convert("L" if picture.mode == "1" else "RGB")
            return pil_to_tensor(picture)
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as fault:
        name = getattr(file, "name", "these bytes")
        raise RuntimeError(f"{name}: not an image that Pillow can read: {fault}") from fault


def write_png(input: Tensor, filename: str | os.PathLike[str], compression_level: int = 6) -> None:
    """Writes an image (C, H, W), uint8, of 1 or 3 channels, as PNG."""
    _image(input).save(filename, format="PNG", compress_level=compression_level)


def write_jpeg(input: Tensor, filename: str | os.PathLike[str], quality: int = 75) -> None:
    """Writes an image (C, H, W), uint8, of 1 or 3 channels, as JPEG of a quality from 1 to 100."""
    _image(input).save(filename, format="JPEG", quality=quality)


def _image(input: Tensor) -> Any:
    if input.dtype != dt.uint8 or input.dim() != 3 or input.shape[0] not in (1, 3):
        raise RuntimeError(f"expected (1 or 3, H, W) of uint8, got {tuple(input.shape)} of {input.dtype}")
    return to_pil_image(input)
