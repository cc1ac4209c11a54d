"""What an image is, how large, and in which dtype a function computes."""

from __future__ import annotations

from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.limits import iinfo
from distrt.core.tensor import Tensor
from distrt.vision.pillow import is_pil_image

__all__ = [
    "as_batch",
    "computed_in",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "is_tensor_image",
    "max_value",
    "require_channels",
    "require_colours",
    "unbatched",
]


def is_tensor_image(img: Any) -> bool:
    """Whether to compute on a tensor; False for one of Pillow's images.

    Raises:
        TypeError: for what is neither, and for a tensor of fewer than two dims.
    """
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise TypeError("Tensor is not a torch image.")
        return True
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")
    return False


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    if isinstance(img, Tensor):
        is_tensor_image(img)
        return [1 if img.ndim == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]
    if is_pil_image(img):
        return [len(img.getbands()), img.height, img.width]
    raise TypeError(f"Unexpected type {type(img)}")


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels."""
    return get_dimensions(img)[0]


def max_value(dtype: dt.dtype) -> int:
    """White in this dtype: 1 for a floating one, the largest number for an integer one."""
    if dtype.is_floating_point or dtype == dt.bool_:
        return 1
    return int(iinfo(dtype).max)


def require_channels(img: Tensor, permitted: tuple[int, ...] = (1, 3)) -> int:
    """The number of channels. Raises TypeError where it is none of these."""
    count = get_dimensions(img)[0]
    if count not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, but found {count}"
        )
    return count


def require_colours(img: Tensor) -> int:
    """1 or 3, the number of channels of a tensor of at least three dims; raises TypeError otherwise."""
    if img.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.ndim}")
    return require_channels(img)


def as_batch(img: Tensor, dtypes: tuple[dt.dtype, ...] = (dt.float32, dt.float64)) -> Tensor:
    """The image as a batch of images, in the first of these dtypes unless it has one of them."""
    while img.ndim < 4:
        img = img.unsqueeze(0)
    return img if img.dtype in dtypes else img.to(dtypes[0])


def unbatched(result: Tensor, img: Tensor) -> Tensor:
    """What was computed of :func:`as_batch`, in the image's dims and dtype; integers are rounded."""
    for _ in range(4 - img.ndim):
        result = result.squeeze(0)
    return computed_in(result, img.dtype)


def computed_in(result: Tensor, dtype: dt.dtype) -> Tensor:
    """The result in the image's dtype; integers are rounded."""
    if result.dtype == dtype:
        return result
    return (result if dtype.is_floating_point else result.round()).to(dtype)
