"""Between Pillow's images, arrays and tensors, between dtypes, and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.creation import from_numpy
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.rules import get_default_dtype
from distrt.core.tensor import Tensor
from distrt.vision.pillow import is_pil_image, pil
from distrt.vision.transforms.functional.images import max_value

__all__ = ["convert_image_dtype", "normalize", "pil_to_tensor", "to_pil_image", "to_tensor"]

#: What ``to_tensor`` makes of Pillow's modes with more than eight bits; the others give bytes.
_WIDE_MODES: dict[str, Any] = {"I": np.int32, "I;16": np.int16, "F": np.float32}
#: By the number of channels: the modes that an array of bytes may be, the usual one first.
_BYTE_MODES = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV"], 4: ["RGBA", "CMYK", "RGBX"]}
_GREY_MODES = {"uint8": "L", "int16": "I;16", "uint16": "I;16", "int32": "I", "float32": "F"}


def to_tensor(pic: Any) -> Tensor:
    """An image of Pillow's or an array (H, W, C) as a tensor (C, H, W); bytes become floats in [0, 1].

    Raises:
        TypeError: for anything else.
        ValueError: for an array of another number of dims than 2 or 3.
    """
    if not (is_pil_image(pic) or isinstance(pic, np.ndarray)):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        array = _pixels(pic, _WIDE_MODES.get(pic.mode, np.uint8))
        if pic.mode == "1":
            array = array * np.uint8(255)
    img: Tensor = from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    return img.to(get_default_dtype()).div(255) if img.dtype == dt.uint8 else img


def pil_to_tensor(pic: Any) -> Tensor:
    """An image of Pillow's as a tensor (C, H, W) of the same values. Raises TypeError for anything else."""
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    img: Tensor = from_numpy(_pixels(pic, None).transpose(2, 0, 1))
    return img


def _pixels(pic: Any, dtype: Any) -> Any:
    """The pixels, an array of its own. Shape: (H, W, C)."""
    array = np.array(pic, dtype)
    return array.reshape(pic.height, pic.width, len(pic.getbands()))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or an array (H, W, C) as an image; floats in [0, 1] become bytes, unless ``mode`` is "F".

    Raises:
        TypeError: for anything else, and for dtypes that Pillow does not have.
        ValueError: for numbers of dims and channels, and modes, that there are not.
    """
    if not isinstance(pic, Tensor | np.ndarray):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    array: Any
    if isinstance(pic, Tensor):
        channels = 1 if pic.ndim == 2 else pic.shape[0]
        if channels <= 4 and pic.is_floating_point() and mode != "F":
            pic = pic.mul(255).byte()
        array = pic.detach().cpu().numpy()
        array = array[:, :, None] if array.ndim == 2 else array.transpose(1, 2, 0)
    else:
        array = pic[:, :, None] if pic.ndim == 2 else pic
        if array.dtype.kind == "f" and array.shape[2] <= 4 and mode != "F":
            array = (array * 255).astype(np.uint8)
    if array.shape[2] > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {array.shape[2]} channels.")
    mode = _mode_of(array, mode)
    return pil().frombytes(mode, (array.shape[1], array.shape[0]), np.ascontiguousarray(array).tobytes())


def _mode_of(array: Any, mode: str | None) -> str:
    channels, kind = array.shape[2], array.dtype
    if channels == 1:
        expected = _GREY_MODES.get(kind.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {kind.type}. Should be {expected}"
            )
        mode = expected
    else:
        permitted = _BYTE_MODES[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {permitted} are supported for {channels}D inputs")
        if mode is None and kind == np.uint8:
            mode = permitted[0]
    if mode is None or (channels > 1 and kind != np.uint8):
        raise TypeError(f"Input type {kind} is not supported")
    return mode


def convert_image_dtype(image: Tensor, dtype: dt.dtype = dt.float32) -> Tensor:
    """The image in another dtype, its values scaled so that white stays white.

    Raises:
        TypeError: for what is no tensor.
        RuntimeError: for a cast that would overflow: float32 to int32 or int64, float64 to int64.
    """
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    old = image.dtype
    if old == dtype:
        return image
    if old.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        if (old, dtype) in ((dt.float32, dt.int32), (dt.float32, dt.int64), (dt.float64, dt.int64)):
            raise RuntimeError(f"The cast from {old} to {dtype} cannot be performed safely.")
        # Just below one more than the largest value, so that every value has an equal share of [0, 1].
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    old_max = max_value(old)
    if dtype.is_floating_point:
        return image.to(dtype) / old_max
    new_max = max_value(dtype)
    if old_max > new_max:
        factor = (old_max + 1) // (new_max + 1)
        return image.div(factor, rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((new_max + 1) // (old_max + 1))


def normalize(tensor: Tensor, mean: list[float], std: list[float], inplace: bool = False) -> Tensor:
    """``(tensor - mean) / std``, each channel with its own. Shape: (*, C, H, W) -> the same.

    Raises:
        TypeError: for what is no tensor of floats.
        ValueError: for fewer than 3 dims, and a standard deviation of 0.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = {tensor.size()}"
        )
    shift, scale = _per_channel(mean, tensor), _per_channel(std, tensor)
    if not scale.all():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero."
        )
    by, parts = from_numpy(shift).to(tensor.device), from_numpy(scale).to(tensor.device)
    result = tensor.sub_(by) if inplace else tensor.sub(by)
    return result.div_(parts)


def _per_channel(values: Any, tensor: Tensor) -> Any:
    """One number for all channels, or one for each, as an array in the tensor's dtype that lies along them."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.array(values, tensor.dtype.numpy)
    return array.reshape(-1, 1, 1) if array.ndim == 1 else array
