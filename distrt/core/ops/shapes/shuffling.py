"""Moving channels: into pixels and back, and among each other."""

from __future__ import annotations

from typing import Any

from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.core.op import op

__all__ = [
    "channel_shuffle",
    "native_channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def _require_factor(name: str, direction: str, input: Array, factor: Any) -> None:
    if not hasattr(factor, "__index__"):
        raise TypeError(
            f"{name}(): argument '{direction}_factor' (position 2) must be int, not {type(factor).__name__}"
        )
    if input.ndim < 3:
        raise ShapeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)"
        )
    if factor <= 0:
        raise ShapeError(f"{name} expects a positive {direction}_factor, but got {factor}")


@op()
def pixel_shuffle(input: Array, upscale_factor: int) -> Array:
    """Squares of channels spread out over pixels. Shape: (…, C * r², H, W) -> (…, C, H * r, W * r).

    Raises:
        ShapeError: where the channels are not a multiple of r². Source: Shi et al. 2016.
    """
    _require_factor("pixel_shuffle", "upscale", input, upscale_factor)
    *batch, channels, height, width = input.shape
    r = upscale_factor
    if channels % (r * r):
        raise ShapeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    split = input.reshape(*batch, channels // (r * r), r, r, height, width)
    n = len(batch)
    turned = split.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return turned.reshape(*batch, channels // (r * r), height * r, width * r)


@op()
def pixel_unshuffle(input: Array, downscale_factor: int) -> Array:
    """Squares of pixels gathered into channels. Shape: (…, C, H * r, W * r) -> (…, C * r², H, W).

    Raises:
        ShapeError: where height or width are not a multiple of r.
    """
    _require_factor("pixel_unshuffle", "downscale", input, downscale_factor)
    *batch, channels, height, width = input.shape
    r = downscale_factor
    for name, dim, size in (("height", -2, height), ("width", -1, width)):
        if size % r:
            raise ShapeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({dim})={size} is "
                f"not divisible by {r}"
            )
    split = input.reshape(*batch, channels, height // r, r, width // r, r)
    n = len(batch)
    turned = split.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return turned.reshape(*batch, channels * r * r, height // r, width // r)


pixel_shuffle.gradient(input=lambda g, upscale_factor: pixel_unshuffle(g, upscale_factor))
pixel_unshuffle.gradient(input=lambda g, downscale_factor: pixel_shuffle(g, downscale_factor))


@op()
def channel_shuffle(input: Array, groups: int) -> Array:
    """The first channel of each group, then the second of each, and so on. Shape: (N, C, …) -> the same.

    Raises:
        ShapeError: where the channels cannot be grouped. Source: Zhang et al. 2017.
    """
    if not hasattr(groups, "__index__"):
        raise TypeError(
            f"channel_shuffle(): argument 'groups' (position 2) must be int, not {type(groups).__name__}"
        )
    if input.ndim < 3:
        raise ShapeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}"
        )
    if groups <= 0:
        raise ShapeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    if input.shape[1] % groups:
        raise ShapeError(
            f"Number of channels must be divisible by groups. Got {input.shape[1]} channels and {groups} groups."
        )
    split = input.reshape(input.shape[0], groups, input.shape[1] // groups, *input.shape[2:])
    return split.swapaxes(1, 2).reshape(input.shape)


channel_shuffle.gradient(
    input=lambda g, groups: channel_shuffle(g, g.shape[1] // groups) if g.shape[1] else g
)

native_channel_shuffle = channel_shuffle
