"""Sampling images at any positions: ``grid_sample``, and ``affine_grid`` that makes positions.

``grid_sample`` is put together from gathers and products, so it has derivatives of every order, which PyTorch's lacks.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import filled, is_on_gpu, known
from distrt.core.autocast import autocasts
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.gpu.places import table
from distrt.core.ops.pointwise.half import refuse, wide
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.ops.spatial.resampling_taps import cubic_weights
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap

__all__ = ["affine_grid", "grid_sample"]

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The positions that an affine map sends the pixels of new images to, for :func:`grid_sample`.

    Shape: theta (N, 2, 3) for a ``size`` of (N, C, H, W) -> (N, H, W, 2), or (N, 3, 4) for (N, C, D, H, W).
    """
    align_corners = _decided(align_corners)
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    dims = len(size) - 2
    if dims not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. Got "
            f"{theta.shape}."
        )
    if align_corners and min(size[2:]) == 1:
        warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. This "
            "is not an intended use case of affine_grid. See the documentation of affine_grid for details."
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if size[0] != theta.shape[0]:
        raise ShapeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{size[0]}, {dims + 1}] but got: "
            f"[{theta.shape[0]}, {dims + 1}]."
        )
    pixels = _pixels(tuple(size[2:]), align_corners).astype(theta._array.dtype)  # (pixels, dims + 1)
    positions = ops.matmul(wrap(table(pixels, theta._array)), ops.transpose(theta, 1, 2))
    return ops.reshape(positions, (size[0], *size[2:], dims))  # type: ignore[no-any-return]


def _pixels(sizes: tuple[int, ...], align_corners: bool) -> Any:
    """The homogeneous positions of the pixels in [-1, 1], the last dim first."""
    lines = []
    for size in sizes:
        line = np.linspace(-1, 1, size) if size > 1 else np.zeros(size)
        lines.append(line if align_corners else line * (size - 1) / size)
    grids = np.meshgrid(*lines, indexing="ij")[::-1]
    return np.stack([*map(np.ravel, grids), np.ones(math.prod(sizes))], axis=1)


def _decided(align_corners: bool | None) -> bool:
    if align_corners is None:
        warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please "
            "specify align_corners=True if the old behavior is desired. See the documentation of grid_sample for "
            "details."
        )
    return bool(align_corners)


@autocasts("full")
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of images at positions between their pixels.

    Shape: (N, C, H, W), (N, H', W', 2) -> (N, C, H', W'), or (N, C, D, H, W), (N, D', H', W', 3) -> (N, C, D', H', W').

    Args:
        input: the images.
        grid: the positions, the last dim's first: -1 is the first pixel's outer edge, or its centre with
            ``align_corners``, and 1 the last one's.
        mode: "bilinear" (also between volumes' voxels), "nearest" or "bicubic" (images only).
        padding_mode: what lies outside: "zeros", the "border", or a "reflection".
        align_corners: see ``grid``.
    """
    if mode not in MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: "
            f"'{mode}'"
        )
    if padding_mode not in PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    align_corners = _decided(align_corners)
    _check_grid(input, grid, mode)
    half = input._array.dtype.itemsize == 2
    work, places = (input.float(), grid.float()) if half else (input, grid)
    sizes = tuple(input.shape[2:])
    positions = []
    for axis, size in enumerate(sizes):
        given = ops.select(places, -1, len(sizes) - 1 - axis)  # (N, *new sizes); x comes first
        positions.append(_in_pixels(given, size, align_corners))
    sampler = {"bilinear": _linear, "nearest": _nearest, "bicubic": _cubic}[mode]
    if mode != "bicubic":
        positions = [
            _padded(each, size, padding_mode, align_corners)
            for each, size in zip(positions, sizes, strict=True)
        ]
    result: Tensor = sampler(work, positions, padding_mode, align_corners)
    return result.to(input.dtype) if half else result


def _check_grid(input: Tensor, grid: Tensor, mode: str) -> None:
    dims = input.ndim - 2
    if input.shape[:1] != grid.shape[:1]:
        raise ShapeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if dims not in (2, 3) or grid.ndim != input.ndim:
        raise ShapeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != dims:
        raise ShapeError(
            f"grid_sampler(): expected grid to have size {dims} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    for axis, size in enumerate(input.shape[2:], 2):
        if size == 0:
            raise ShapeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {axis} being empty"
            )
    if mode == "bicubic" and dims == 3:
        raise ShapeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if input.dtype != grid.dtype:
        raise DtypeError(f"expected scalar type {scalar_type(input)} but found {scalar_type(grid)}")
    refuse(f"grid_sampler_{dims}d_cpu_kernel_impl", input._array, "bciu")


# -- positions


def _in_pixels(position: Any, size: int, align_corners: bool) -> Any:
    """From [-1, 1] to pixels, 0 being the first one's centre."""
    if align_corners:
        return ops.mul(ops.add(position, 1), (size - 1) / 2)
    return ops.true_divide(ops.sub(ops.mul(ops.add(position, 1), size), 1), 2)


def _padded(position: Any, size: int, padding: str, align_corners: bool) -> Any:
    """A position as a tensor, moved into the image where the padding wants that; moved, it has no gradient."""
    if padding == "zeros":
        return position
    if padding == "reflection":
        position = _reflected(position, size, align_corners)
    inside = (position._array > 0) & (position._array < size - 1)
    return ops.where(wrap(inside), position, wrap(_clipped(position._array, size)))


def _reflected(position: Any, size: int, align_corners: bool) -> Any:
    low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
    span = high - low
    if span == 0:
        return ops.mul(position, 0)
    values = position._array
    # Sign and offset are constant between two reflections, so the position stays linear in what it was.
    with np.errstate(invalid="ignore"):
        distance = values - low
        flips = np.floor(np.abs(distance) / span)
        odd = np.fmod(flips, 2) == 1
        sign = np.where(distance < 0, -1, 1)
        scale = np.where(odd, -sign, sign).astype(values.dtype)
        offset = np.where(odd, (flips + 1) * span, -flips * span) + low - scale * low
    return ops.add(ops.mul(position, wrap(scale)), wrap(offset.astype(values.dtype)))


def _clipped(values: Any, size: int) -> Any:
    """Moved into the image; what is not a number is the first pixel."""
    return np.where(np.isnan(values), 0, np.clip(values, 0, size - 1)).astype(values.dtype)


def _whole(values: Any) -> Any:
    """As integers; what is no position anywhere near an image lies outside of it."""
    near = np.abs(values) < 2**31  # False for what is not a number
    return np.where(near, values, -100).astype(np.int64)


# -- sampling; positions are tensors of (N, *new sizes), the first dim's first


def _linear(input: Any, positions: list[Any], padding: str, align_corners: bool) -> Any:
    floors = [np.floor(wide(each._array)) for each in positions]
    parts = [ops.sub(each, wrap(floor)) for each, floor in zip(positions, floors, strict=True)]
    lefts = [_whole(floor) for floor in floors]
    total = None
    for corner in itertools.product((0, 1), repeat=len(positions)):
        weight = _product(
            part if side else ops.rsub(part, 1) for part, side in zip(parts, corner, strict=True)
        )
        values = _values(input, [left + side for left, side in zip(lefts, corner, strict=True)])
        term = ops.mul(values, ops.unsqueeze(weight, 1))
        total = term if total is None else ops.add(total, term)
    return total


def _nearest(input: Any, positions: list[Any], padding: str, align_corners: bool) -> Any:
    values = _values(input, [_whole(np.rint(each._array)) for each in positions])
    # A position has the gradient zero, which rounding has; nothing else ties it to the values.
    for each in positions:
        rounded = ops.where(wrap(np.isfinite(each._array)), ops.round(each), 0.0)
        values = ops.add(values, ops.unsqueeze(ops.mul(rounded, 0), 1))
    return values


def _cubic(input: Any, positions: list[Any], padding: str, align_corners: bool) -> Any:
    floors = [np.floor(each._array) for each in positions]
    weights = [
        cubic_weights(ops.sub(each, wrap(floor))) for each, floor in zip(positions, floors, strict=True)
    ]
    sizes = input.shape[2:]
    total = None
    for taps in itertools.product(range(4), repeat=len(positions)):
        places = []
        for floor, tap, size in zip(floors, taps, sizes, strict=True):
            tapped = wrap(floor + floor.dtype.type(tap - 1))
            places.append(_whole(_padded(tapped, size, padding, align_corners)._array))
        weight = _product(each[tap] for each, tap in zip(weights, taps, strict=True))
        term = ops.mul(_values(input, places), ops.unsqueeze(weight, 1))
        total = term if total is None else ops.add(total, term)
    return total


def _product(factors: Any) -> Any:
    result = None
    for each in factors:
        result = each if result is None else ops.mul(result, each)
    return result


def _values(input: Any, places: list[Any]) -> Any:
    """The pixels at whole positions, zeros where there are none. Shape: -> (N, C, *new sizes)."""
    sizes, (batch, channels) = input.shape[2:], input.shape[:2]
    inside = filled(places[0].shape, True, np.bool_, places[0])
    flat = np.zeros(places[0].shape, np.int64, like=places[0])
    for place, size in zip(places, sizes, strict=True):
        inside &= (place >= 0) & (place < size)
        flat = flat * size + np.clip(place, 0, size - 1)
    new_sizes = flat.shape[1:]
    count = math.prod(new_sizes)
    index = np.broadcast_to(flat.reshape(batch, 1, count), (batch, channels, count))
    pixels = ops.reshape(input, (batch, channels, math.prod(sizes)))
    picked = ops.reshape(ops.gather(pixels, 2, wrap(index.copy())), (batch, channels, *new_sizes))
    if not is_on_gpu(inside) and known(inside.all()):  # the program does not wait for a GPU to know it
        return picked
    return ops.zero_unless(picked, wrap(inside[:, None]))
