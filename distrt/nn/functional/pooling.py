"""Pooling over windows: one value for each; over bins, see ``adaptive_pooling.py``."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.arrays import require_array
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DimensionError, ShapeError
from distrt.core.ops.spatial.pooling_shapes import pool_count, require_kernel
from distrt.core.tensor import Tensor
from distrt.nn.functional.sizes import integers

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]

_WORDS = {1: "one", 2: "two", 3: "three"}


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window. Shape: (N, C, L) or (C, L)."""
    if return_indices:
        return max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    require_array("max_pool1d", "input", input)
    _require_line("max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode)
    require_kernel("max_pool1d_impl", input._array, "biuc")
    options = _options("max_pool1d", 1, kernel_size, stride, padding, dilation)
    return ops.squeeze(ops.max_pool2d(ops.unsqueeze(input, -2), *_as_plane(options), ceil_mode), -2)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """As ``max_pool1d``, with the places of the largest elements."""
    require_array("max_pool1d", "input", input)
    require_ndim("max_pool1d", input)
    options = _options("max_pool1d", 1, kernel_size, stride, padding, dilation)
    out, indices = ops.max_pool2d_with_indices(ops.unsqueeze(input, -2), *_as_plane(options), ceil_mode)
    return ops.squeeze(out, -2), ops.squeeze(indices, -2)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window. Shape: (N, C, H, W) or (C, H, W)."""
    if return_indices:
        return max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    require_array("max_pool2d", "input", input)
    return ops.max_pool2d(
        input, *_options("max_pool2d", 2, kernel_size, stride, padding, dilation), ceil_mode
    )


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """As ``max_pool2d``, with the places of the largest elements, counted through each plane."""
    require_array("max_pool2d", "input", input)
    options = _options("max_pool2d", 2, kernel_size, stride, padding, dilation)
    return tuple(ops.max_pool2d_with_indices(input, *options, ceil_mode))


@autocasts("full")
def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window. Shape: (N, C, D, H, W) or (C, D, H, W)."""
    if return_indices:
        return max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    require_array("max_pool3d", "input", input)
    return ops.max_pool3d(
        input, *_options("max_pool3d", 3, kernel_size, stride, padding, dilation), ceil_mode
    )


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """As ``max_pool3d``, with the places of the largest elements, counted through each volume."""
    require_array("max_pool3d", "input", input)
    options = _options("max_pool3d", 3, kernel_size, stride, padding, dilation)
    return tuple(ops.max_pool3d_with_indices(input, *options, ceil_mode))


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window. Shape: (N, C, L) or (C, L)."""
    require_array("avg_pool1d", "input", input)
    require_ndim("avg_pool1d", input)
    kernel, step, around, _ = _as_plane(_options("avg_pool1d", 1, kernel_size, stride, padding, 1))
    plane = ops.unsqueeze(input, -2)
    return ops.squeeze(  # type: ignore[no-any-return]
        ops.avg_pool2d(plane, kernel, step, around, ceil_mode, count_include_pad, None), -2
    )


@takes_out
def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window. Shape: (N, C, H, W) or (C, H, W)."""
    require_array("avg_pool2d", "input", input)
    if input.ndim < 3:
        raise DimensionError(
            f"Dimension out of range (expected to be in range of [-{max(input.ndim, 1)}, {max(input.ndim, 1) - 1}], "
            "but got -3)"
        )
    kernel, step, around, _ = _options("avg_pool2d", 2, kernel_size, stride, padding, 1)
    return ops.avg_pool2d(  # type: ignore[no-any-return]
        input, kernel, step, around, ceil_mode, count_include_pad, divisor_override
    )


@autocasts("full")
@takes_out
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window. Shape: (N, C, D, H, W) or (C, D, H, W)."""
    require_array("avg_pool3d", "input", input)
    kernel, step, around, _ = _options("avg_pool3d", 3, kernel_size, stride, padding, 1)
    pads_fit = all(p <= k // 2 for p, k in zip(around, kernel, strict=True))  # else the operation says so
    if (
        input.ndim in (4, 5)
        and pads_fit
        and any(n < k for n, k in zip(input.shape[-3:], kernel, strict=True))
    ):
        sizes, windows = (
            " ".join(f"{letter}{axis}: {size}" for axis, size in zip("THW", each, strict=True))
            for letter, each in (("", input.shape[-3:]), ("k", kernel))
        )
        raise ShapeError(f"input image ({sizes}) smaller than kernel size ({windows})")
    return ops.avg_pool3d(  # type: ignore[no-any-return]
        input, kernel, step, around, ceil_mode, count_include_pad, divisor_override
    )


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window, p = ``norm_type``. Shape: (N, C, L) or (C, L)."""
    return _norm_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window, p = ``norm_type``. Shape: (N, C, H, W) or (C, H, W)."""
    return _norm_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window, p = ``norm_type``. Shape: (N, C, D, H, W) or (C, D, H, W)."""
    return _norm_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _norm_pool(
    dims: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    """From the mean of the powers, as PyTorch has it: a window that reaches out of the input weighs more."""
    if math.isinf(norm_type):
        largest = (max_pool1d, max_pool2d, max_pool3d)[dims - 1]
        sizes = ops.abs(input)
        if norm_type > 0:
            return largest(sizes, kernel_size, stride, 0, 1, ceil_mode)  # type: ignore[no-any-return]
        return ops.neg(largest(ops.neg(sizes), kernel_size, stride, 0, 1, ceil_mode))  # type: ignore[no-any-return]
    kernel = integers(f"lp_pool{dims}d", "kernel_size", kernel_size)
    volume = math.prod(kernel * dims if len(kernel) == 1 else kernel)
    average = (avg_pool1d, avg_pool2d, avg_pool3d)[dims - 1]
    out = average(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return (ops.sign(out) * ops.relu(ops.abs(out)) * volume) ** (1.0 / norm_type)  # type: ignore[no-any-return]


def _options(
    name: str, dims: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[tuple[int, ...], ...]:
    """Window, step, padding and dilation for each dim; the step is the window's size unless given."""
    kernel = _fitted(name, dims, "kernel_size", kernel_size)
    step = () if stride is None else integers(name, "stride", stride)
    return (
        kernel,
        _fitted(name, dims, "stride", step) if step else kernel,
        _fitted(name, dims, "padding", padding),
        _fitted(name, dims, "dilation", dilation),
    )


def _fitted(name: str, dims: int, option: str, value: Any) -> tuple[int, ...]:
    sizes = integers(name, option, value)
    if len(sizes) == 1:
        return sizes * dims
    if len(sizes) == dims:
        return sizes
    if dims == 1:
        raise ShapeError(f"{name}() argument '{option}' should contain one int (got {len(sizes)})")
    left_out = "omitted, " if option == "stride" else ""
    raise ShapeError(
        f"{name}: {option} must either be {left_out}a single int, or a tuple of {_WORDS[dims]} ints"
    )


def _as_plane(options: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, int], ...]:
    """The options of one dim as those of two, the first of which has one element."""
    (kernel,), (stride,), (padding,), (dilation,) = options
    return (1, kernel), (1, stride), (0, padding), (1, dilation)


def require_ndim(name: str, input: Tensor) -> None:
    """Raises ShapeError where an input of pooling over one dim has neither two dims nor three."""
    if input.ndim not in (2, 3):
        raise ShapeError(
            f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for argument #1 'self' (while "
            f"checking arguments for {name})"
        )


def _require_line(
    name: str, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> None:
    """What ``max_pool1d`` says in words of its own."""
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise ShapeError(
            f"{name}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:"
            f"{list(input.shape)}"
        )
    given = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    sizes = {option: integers(name, option, value) for option, value in given.items() if value is not None}
    for option, found in sizes.items():
        if len(found) > 1:
            raise ShapeError(
                f"{name}() {option} must be an int, list of ints or tuple of ints of size 1 but got size {len(found)}"
            )
    for option in ("kernel_size", "stride", "dilation"):
        if sizes.get(option) and sizes[option][0] < 1:
            raise ShapeError(f"{name}() {option} must be greater than zero, but got {sizes[option][0]}")
    (kernel,), (around,), (spacing,) = sizes["kernel_size"], sizes["padding"], sizes["dilation"]
    if around < 0:
        raise ShapeError(f"{name}() padding must be non-negative, but got {around}")
    if around > kernel // 2:
        raise ShapeError(
            f"{name}() padding should be at most half of kernel size, but got padding={around} and "
            f"kernel_size={kernel}"
        )
    step = sizes["stride"][0] if sizes.get("stride") else kernel
    count = pool_count(input.shape[-1], kernel, step, around, spacing, ceil_mode)
    if count < 1:
        raise ShapeError(f"{name}() Invalid computed output size: {count}")
