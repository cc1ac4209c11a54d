"""Convolutions and transposed convolutions over one, two and three spatial dims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core import ops
from distrt.core.arrays import require_array
from distrt.core.autocast import autocasts
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor
from distrt.nn.functional.sizes import integers

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Sizes = tuple[int, ...]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation. Shape: (N, C, L) or (C, L), weight (O, C/groups, k), bias (O)."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation. Shape: (N, C, H, W) or (C, H, W), weight (O, C/groups, kh, kw), bias (O)."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation. Shape: (N, C, D, H, W) or (C, D, H, W), weight (O, C/groups, kd, kh, kw), bias (O)."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of ``conv1d``. Shape: (N, C, L) or (C, L), weight (C, O/groups, k), bias (O)."""
    return _transposed(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of ``conv2d``. Shape: (N, C, H, W) or (C, H, W), weight (C, O/groups, kh, kw), bias (O)."""
    return _transposed(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of ``conv3d``. Shape: (N, C, D, H, W) or without N, weight (C, O/groups, kd, kh, kw), bias (O)."""
    return _transposed(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@autocasts("lower")
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """``conv1d`` of (time, batch, channels). Shape: (T, N, C), weight (k, C, O), bias (O) -> (T', N, O)."""
    for name, value in (("input", input), ("weight", weight), ("bias", bias)):
        require_array("conv_tbc", name, value)
    if input.ndim != 3:
        raise ShapeError("Input must have 3 dims: time, batch, in_channel")
    if weight.ndim != 3:
        raise ShapeError("Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.")
    if bias.ndim != 1:
        raise ShapeError("Bias must be 1-D")
    if input.shape[2] != weight.shape[1]:
        raise ShapeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if weight.shape[2] != bias.shape[0]:
        raise ShapeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    out = conv1d(ops.permute(input, (1, 2, 0)), ops.permute(weight, (2, 1, 0)), bias, padding=pad)
    return ops.permute(out, (2, 0, 1))  # type: ignore[no-any-return]


def _convolve(
    name: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    _require(name, dims, input, weight, bias)
    step, spacing = (
        _fitted(name, "stride", stride, weight, dims),
        _fitted(name, "dilation", dilation, weight, dims),
    )

    def run(batched: Tensor) -> Tensor:
        around = padding
        if isinstance(around, str):
            around, extra = named_padding(around, tuple(weight.shape[2:]), step, spacing)
            if any(extra):
                batched = ops.constant_pad(batched, tuple((0, more) for more in extra), 0)
        fitted = _fitted(name, "padding", around, weight, dims)
        return ops.convolution(batched, weight, bias, step, fitted, spacing, groups)  # type: ignore[no-any-return]

    return _in_batches(run, input, dims)


def _transposed(
    name: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    _require(name, dims, input, weight, bias)
    given = (
        ("stride", stride),
        ("padding", padding),
        ("output_padding", output_padding),
        ("dilation", dilation),
    )
    step, around, more, spacing = (_fitted(name, option, value, weight, dims) for option, value in given)
    return _in_batches(
        lambda batched: ops.transposed_convolution(
            batched, weight, bias, step, around, more, spacing, groups
        ),
        input,
        dims,
    )


def named_padding(name: str, kernel: Sizes, stride: Sizes, dilation: Sizes) -> tuple[Sizes, Sizes]:
    """The zeros on both sides of each spatial dim, and those that only the far side gets besides.

    Raises:
        ShapeError: for another name, and for "same" with strides.
    """
    if name == "valid":
        return (0,) * len(kernel), (0,) * len(kernel)
    if name != "same":
        raise ShapeError(f"Invalid padding string: '{name}'")
    if any(step != 1 for step in stride):
        raise ShapeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return tuple(total // 2 for total in totals), tuple(total % 2 for total in totals)


def _require(name: str, dims: int, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    require_array(name, "input", input)
    require_array(name, "weight", weight)
    if bias is not None:
        require_array(name, "bias", bias)
    if input.ndim not in (dims + 1, dims + 2):
        raise ShapeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got input of size: "
            f"{list(input.shape)}"
        )
    if weight.ndim < 3:
        raise ShapeError(f"weight should have at least three dimensions, got {list(weight.shape)}")


def _fitted(operation: str, name: str, value: Any, weight: Tensor, dims: int) -> Sizes:
    """One size for each spatial dim of the weight."""
    sizes = integers(operation, name, value)
    if isinstance(value, int):
        sizes *= dims
    wanted = weight.ndim - 2
    if len(sizes) == 1:
        return sizes * wanted
    if len(sizes) != wanted:
        raise ShapeError(
            f"expected {name} to be a single integer value or a list of {wanted} values to match the convolution "
            f"dimensions, but got {name}={list(sizes)}"
        )
    return sizes


def _in_batches(run: Callable[[Tensor], Tensor], input: Tensor, dims: int) -> Tensor:
    """Runs on a batch of one where the input has no batch dim."""
    if input.ndim == dims + 2:
        return run(input)
    return ops.squeeze(run(ops.unsqueeze(input, 0)), 0)  # type: ignore[no-any-return]
