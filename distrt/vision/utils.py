"""Pictures out of tensors: grids of images, files, boxes drawn into images.

Source: https://pytorch.org/vision/stable/utils.html.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.dtypes import dtype as dt
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.vision.pillow import pil
from distrt.vision.transforms.functional import to_pil_image
from distrt.vision.transforms.functional.conversion import pil_to_tensor

__all__ = ["draw_bounding_boxes", "make_grid", "save_image"]


@no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images side by side in one.

    Shape: (N, C, H, W), or a list of (C, H, W), or one image (C, H, W) or (H, W) -> (C, rows * (H + padding) + padding,
    columns * (W + padding) + padding), with three channels where there was one.

    Args:
        tensor: the images.
        nrow: how many stand in a row.
        padding: pixels between them and around.
        normalize: stretch the values to [0, 1].
        value_range: what becomes 0 and 1; by default the smallest and the largest value.
        scale_each: stretch each image by itself.
        pad_value: what stands between them.

    Raises:
        TypeError: for what are no tensors, and a ``value_range`` that is no tuple.
    """
    images = _stacked(tensor)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
        images = images.clone()
        for part in images if scale_each else [images]:
            low, high = value_range or (float(part.min()), float(part.max()))
            part.clamp_(min=low, max=high).sub_(low).div_(max(high - low, 1e-5))
    if images.shape[0] == 1:
        return images.squeeze(0)
    count, channels = images.shape[0], images.shape[1]
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = images.shape[2] + padding, images.shape[3] + padding
    grid = images.new_full((channels, height * rows + padding, width * columns + padding), pad_value)
    for number in range(count):
        top, left = number // columns * height + padding, number % columns * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = images[number]
    return grid


def _stacked(tensor: Any) -> Tensor:
    """The images in one tensor of four dims, with three channels where there is one."""
    if not isinstance(tensor, Tensor):
        if not isinstance(tensor, list | tuple):
            raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
        for each in tensor:
            if not isinstance(each, Tensor):
                raise TypeError(f"tensor or list of tensors expected, got a list containing {type(each)}")
        tensor = ops.stack(list(tensor), dim=0)
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 4 and tensor.shape[1] == 1:
        tensor = ops.cat((tensor, tensor, tensor), 1)
    images: Tensor = tensor
    return images


@no_grad()
def save_image(tensor: Tensor | Sequence[Tensor], fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Writes images, values in [0, 1], to one file.

    Args:
        tensor: as for :func:`make_grid`, like the keywords.
        fp: a path or a file.
        format: Pillow's name of it; by default what the path's end says.
        kwargs: of :func:`make_grid`.
    """
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", dt.uint8).numpy()
    pil().fromarray(pixels).save(fp, format=format)


# -- drawing


@no_grad()
def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: list[str] | None = None,
    colors: Any = None,
    fill: bool = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Any = None,
) -> Tensor:
    """The image with boxes drawn into it. Shape: (C, H, W), C 1 or 3; boxes (N, 4), as (x1, y1, x2, y2) -> (3, H, W).

    Args:
        image: bytes, or floats in [0, 1].
        boxes: in pixels.
        labels: a text for each.
        colors: one for all, or one for each: Pillow's name, or (red, green, blue).
        fill: fill the boxes, so that the image shines through.
        width: of the lines, in pixels.
        font: the file of a TrueType font.
        font_size: in points.
        label_colors: of the texts; by default the boxes'.

    Raises:
        TypeError: for what is no tensor.
        ValueError: for an image or boxes of another kind, and lists of another length than the boxes.
    """
    _check_image(image)
    count = boxes.shape[0]
    if count == 0:
        warn("boxes doesn't contain any box. No box was drawn")
        return image
    if bool((boxes[:, 0] > boxes[:, 2]).any()) or bool((boxes[:, 1] > boxes[:, 3]).any()):
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use torchvision.ops.box_convert to convert them"
        )
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"The number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify labels for each box."
        )
    lines = _colors(colors, count)
    texts = _colors(label_colors, count) if label_colors else lines
    is_bytes = image.dtype == dt.uint8
    picture = to_pil_image(_three_channels(image if is_bytes else (image * 255).to(dt.uint8)))
    draw = pil("ImageDraw").Draw(picture, "RGBA" if fill else None)
    letters = _font(font, font_size) if labels is not None else None
    for number, box in enumerate(boxes.to(dt.int64).tolist()):
        inside = (*lines[number], 100) if fill else None
        draw.rectangle(box, width=width, outline=lines[number], fill=inside)
        if labels is not None and labels[number] is not None:
            corner = (box[0] + width + 1, box[1] + width + 1)
            draw.text(corner, labels[number], fill=texts[number], font=letters)
    result = pil_to_tensor(picture)
    return result if is_bytes else result.to(image.dtype) / 255


def _check_image(image: Any) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"Tensor expected, got {type(image)}")
    if not (image.dtype == dt.uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.shape[0] not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")


def _three_channels(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1) if image.shape[0] == 1 else image


def _colors(colors: Any, count: int) -> list[tuple[int, ...]]:
    """A colour for each of ``count`` things."""
    if colors is None:  # multiples of three large numbers, so that neighbours differ
        return [
            tuple(number * each % 255 for each in (2**25 - 1, 2**15 - 1, 2**21 - 1))
            for number in range(count)
        ]
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the number of objects, but got {len(colors)} < {count}."
            )
        chosen = colors
    elif isinstance(colors, str | tuple):
        chosen = [colors] * count
    else:
        raise ValueError("colors must be a tuple or a string, or a list thereof")
    return [pil("ImageColor").getrgb(each) if isinstance(each, str) else each for each in chosen]


def _font(font: str | None, size: int | None) -> Any:
    if font is None:
        if size is not None:
            warn("Argument 'font_size' will be ignored since 'font' is not set.")
        return pil("ImageFont").load_default()
    return pil("ImageFont").truetype(font=font, size=size or 10)
