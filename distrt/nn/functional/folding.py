"""Images as columns of sliding blocks, and back."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.arrays import require_array
from distrt.core.errors import DimensionError, ShapeError
from distrt.core.tensor import Tensor
from distrt.nn.functional.sizes import integers, ntuple

__all__ = ["fold", "unfold"]


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Each sliding block as a column. Shape: (N, C, H, W) or (C, H, W) -> (N, C * kh * kw, blocks)."""
    require_array("im2col", "input", input)
    options = _options("im2col", kernel_size, dilation, padding, stride)
    if input.ndim < 3:
        raise DimensionError(
            f"Dimension out of range (expected to be in range of [-{max(input.ndim, 1)}, {max(input.ndim, 1) - 1}], "
            f"but got {max(input.ndim, 1)})"
        )
    if input.ndim > 4 or 0 in input.shape[-3:]:
        raise ShapeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {list(input.shape)}"
        )
    if input.ndim == 3:
        return ops.squeeze(ops.unfold_columns(ops.unsqueeze(input, 0), *options), 0)  # type: ignore[no-any-return]
    return ops.unfold_columns(input, *options)  # type: ignore[no-any-return]


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The sum of sliding blocks where they overlap. Shape: (N, C * kh * kw, blocks) -> (N, C, H, W), N optional."""
    require_array("col2im", "input", input)
    size = _pair("col2im", "output_size", output_size)
    options = _options("col2im", kernel_size, dilation, padding, stride)
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise ShapeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(input.shape)}"
        )
    if input.ndim == 2:
        return ops.squeeze(ops.fold_columns(ops.unsqueeze(input, 0), size, *options), 0)  # type: ignore[no-any-return]
    return ops.fold_columns(input, size, *options)  # type: ignore[no-any-return]


def _options(
    name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[tuple[int, ...], ...]:
    given = (("kernel_size", kernel_size), ("dilation", dilation), ("padding", padding), ("stride", stride))
    return tuple(_pair(name, option, value) for option, value in given)


def _pair(name: str, option: str, value: Any) -> tuple[int, ...]:
    sizes = integers(name, option, ntuple(value, 2))
    if len(sizes) != 2:
        raise ShapeError(f"It is expected {option} equals to 2, but got size {len(sizes)}")
    return sizes
