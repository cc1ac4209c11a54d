"""Pooling into a wanted number of bins: adaptive, fractional, and the way back of max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.arrays import require_array
from distrt.core.autocast import autocasts
from distrt.core.creation import rand
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.ops.spatial.pooling_shapes import require_kernel
from distrt.core.tensor import Tensor
from distrt.nn.functional.pooling import require_ndim
from distrt.nn.functional.sizes import integers, ntuple

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of ``output_size`` bins. Shape: (N, C, L) or (C, L)."""
    require_array("adaptive_avg_pool1d", "input", input)
    require_ndim("adaptive_avg_pool1d", input)
    size = _one_size("adaptive_avg_pool1d", output_size)
    return ops.squeeze(adaptive_avg_pool2d(ops.unsqueeze(input, -2), (1, size)), -2)  # type: ignore[no-any-return]


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of ``output_size`` bins; None keeps a dim. Shape: (N, C, H, W) or (C, H, W)."""
    return _adaptive_mean(2, input, output_size)


@autocasts("full")
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of ``output_size`` bins; None keeps a dim. Shape: (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_mean(3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of ``output_size`` bins. Shape: (N, C, L) or (C, L)."""
    both = adaptive_max_pool1d_with_indices(input, output_size)
    return both if return_indices else both[0]


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """As ``adaptive_max_pool1d``, with the places of the largest elements."""
    require_array("adaptive_max_pool1d", "input", input)
    require_ndim("adaptive_max_pool1d", input)
    size = _one_size("adaptive_max_pool1d", output_size)
    if size < 0:
        raise ShapeError(
            f"Trying to create tensor with negative dimension {size}: {[*input.shape[:-1], size]}"
        )
    out, indices = ops.adaptive_max_pool2d(ops.unsqueeze(input, -2), (1, size))
    return ops.squeeze(out, -2), ops.squeeze(indices, -2)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of ``output_size`` bins; None keeps a dim. Shape: (N, C, H, W) or (C, H, W)."""
    both = adaptive_max_pool2d_with_indices(input, output_size)
    return both if return_indices else both[0]


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """As ``adaptive_max_pool2d``, with the places of the largest elements, counted through each plane."""
    sizes = _adaptive_sizes("adaptive_max_pool2d", 2, input, output_size)
    return tuple(ops.adaptive_max_pool2d(input, sizes))


@autocasts("full")
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of ``output_size`` bins; None keeps a dim. Shape: (N, C, D, H, W) or (C, D, H, W)."""
    both = adaptive_max_pool3d_with_indices(input, output_size)
    return both if return_indices else both[0]


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """As ``adaptive_max_pool3d``, with the places of the largest elements, counted through each volume."""
    sizes = _adaptive_sizes("adaptive_max_pool3d", 3, input, output_size)
    return tuple(ops.adaptive_max_pool3d(input, sizes))


@autocasts("full")
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest element of windows at random steps. Shape: (N, C, H, W) or (C, H, W). Source: Graham 2014."""
    both = _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return both if return_indices else both[0]


@autocasts("full")
def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As ``fractional_max_pool2d``, with the places of the largest elements."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


@autocasts("full")
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest element of windows at random steps. Shape: (N, C, D, H, W) or (C, D, H, W). Source: Graham 2014."""
    both = _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return both if return_indices else both[0]


@autocasts("full")
def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As ``fractional_max_pool3d``, with the places of the largest elements."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)


@autocasts("full")
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros, with each element where ``max_pool1d`` found it. Shape: (N, C, L) or (C, L)."""
    size = _unpooled_size(1, input, kernel_size, stride, padding, output_size)
    out = _unpooled(2, ops.unsqueeze(input, -1), ops.unsqueeze(indices, -1), (*size, 1))
    return ops.squeeze(out, -1)  # type: ignore[no-any-return]


@autocasts("full")
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros, with each element where ``max_pool2d`` found it. Shape: (N, C, H, W) or (C, H, W)."""
    return _unpooled(2, input, indices, _unpooled_size(2, input, kernel_size, stride, padding, output_size))


@autocasts("full")
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros, with each element where ``max_pool3d`` found it. Shape: (N, C, D, H, W) or (C, D, H, W)."""
    size = _unpooled_size(3, input, kernel_size, stride, padding, output_size)
    steps = ntuple(kernel_size if stride is None else stride, 3)
    if min(steps) < 1:
        raise ShapeError(f"strides should be greater than zero, but got stride: {list(steps)}")
    return _unpooled(3, input, indices, size)


# Adaptive


def _adaptive_mean(dims: int, input: Tensor, output_size: Any) -> Tensor:
    name = f"adaptive_avg_pool{dims}d"
    sizes = _adaptive_sizes(name, dims, input, output_size)
    if set(sizes) == {1}:
        return ops.mean(input, tuple(range(-dims, 0)), True)  # type: ignore[no-any-return]
    return (ops.adaptive_avg_pool2d if dims == 2 else ops.adaptive_avg_pool3d)(input, sizes)  # type: ignore[no-any-return]


def _adaptive_sizes(name: str, dims: int, input: Tensor, output_size: Any) -> tuple[int, ...]:
    require_array(name, "input", input)
    if isinstance(output_size, list | tuple):
        if len(output_size) >= input.ndim:
            raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
        last = input.shape[input.ndim - len(output_size) :]
        output_size = [n if size is None else size for size, n in zip(output_size, last, strict=True)]
    elif not hasattr(output_size, "__index__"):
        raise TypeError(f"object of type '{type(output_size).__name__}' has no len()")
    sizes = integers(name, "output_size", output_size)
    if not isinstance(output_size, list):
        sizes = sizes * dims
    if len(sizes) != dims:
        raise ShapeError(f"{name}: output_size must be {dims}")
    if input.ndim not in (dims + 1, dims + 2):
        got = "but got:" if "max" in name else "but got"
        raise ShapeError(f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, {got} {list(input.shape)}")
    if min(sizes) < 0:
        raise ShapeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{{{', '.join(map(str, sizes))}}}"
        )
    return sizes


def _one_size(name: str, output_size: Any) -> int:
    sizes = integers(name, "output_size", output_size)
    if len(sizes) != 1:
        raise ShapeError(f"{name}() argument 'output_size' should contain one int (got {len(sizes)})")
    return sizes[0]


# Fractional


def _fractional(
    dims: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor | None
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{dims}d"
    require_array(name, "input", input)
    size = _fractional_size(name, dims, input, output_size, output_ratio)
    kernel = integers(name, "kernel_size", kernel_size)
    kernel = kernel * dims if len(kernel) == 1 else kernel
    if len(kernel) != dims:
        raise ShapeError(f"{name}: kernel_size must either be a single Int or tuple of Ints")
    if input.ndim <= dims:
        raise DimensionError(
            f"Dimension out of range (expected to be in range of [-{max(input.ndim, 1)}, {max(input.ndim, 1) - 1}], "
            f"but got -{dims + 1})"
        )
    if input.ndim > dims + 2:
        raise ShapeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: {list(input.shape)}"
        )
    require_kernel(f"{name}_out_frame", input._array, "biuc")
    planes = (1 if input.ndim == dims + 1 else input.shape[0], input.shape[-dims - 1])
    if samples is None:
        samples = rand(*planes, dims, dtype=input.dtype, device=input.device)
    _require_samples(input, samples, planes, dims)
    for word, n, k, out in zip(
        ("time", "height", "width")[-dims:], input.shape[-dims:], kernel, size, strict=True
    ):
        if out + k - 1 >= n + (dims == 2) or k > n:
            raise ShapeError(f"{name}(): pool {word} {k} too large relative to input {word} {n}")
    pool = ops.fractional_max_pool2d if dims == 2 else ops.fractional_max_pool3d
    chosen = samples if input.ndim == dims + 2 else ops.select(samples, 0, 0)
    return tuple(pool(input, kernel, size, chosen))


def _fractional_size(
    name: str, dims: int, input: Tensor, output_size: Any, output_ratio: Any
) -> tuple[int, ...]:
    if output_size is None:
        if output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        if dims == 2 and len(output_ratio) > 2:
            raise ValueError(f"{name} requires output_ratio to either be a single Int or tuple of Ints.")
        ratios = ntuple(output_ratio, dims)
        return tuple(int(n * ratio) for n, ratio in zip(input.shape[-dims:], ratios, strict=True))
    size = integers(name, "output_size", output_size)
    size = size * dims if len(size) == 1 else size
    if len(size) != dims:
        raise ShapeError(f"{name}: output_size must either be a single Int or tuple of Ints")
    return size


def _require_samples(input: Tensor, samples: Tensor, planes: tuple[int, int], dims: int) -> None:
    if samples.dtype != input.dtype:
        raise DtypeError("Expect _random_samples to have the same dtype as input")
    if samples.ndim != 3:
        raise ShapeError(f"Expect _random_samples to have 3 dimensions, got {samples.ndim}")
    if samples.shape[0] < planes[0]:
        raise ShapeError("Expect _random_samples.size(0) no less then input batch size.")
    if samples.shape[1] != planes[1]:
        raise ShapeError("Expect _random_samples.size(1) equals to input channel size.")
    if samples.shape[2] != dims:
        raise ShapeError(f"Expect _random_samples.size(2) equals to {dims}; got {samples.shape[2]}.")


# The way back


def _unpooled_size(
    dims: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> tuple[int, ...]:
    require_array(f"max_unpool{dims}d", "input", input)
    kernel, around = ntuple(kernel_size, dims), ntuple(padding, dims)
    steps = kernel if stride is None else ntuple(stride, dims)
    usual = [
        (input.shape[n - len(kernel)] - 1) * steps[n] + kernel[n] - 2 * around[n] for n in range(len(kernel))
    ]
    size = usual if output_size is None else output_size
    if output_size is not None:
        if len(size) == len(kernel) + 2:
            size = size[2:]
        if len(size) != len(kernel):
            raise ValueError(
                f"output_size should be a sequence containing {len(kernel)} or {len(kernel) + 2} elements, but it has "
                f"a length of '{len(size)}'"
            )
        for n, (wanted, found, step) in enumerate(zip(size, usual, steps, strict=True)):
            if not found - step < wanted < found + step:
                raise ValueError(
                    f'invalid output_size "{size}" (dim {n} must be between {found - step} and {found + step})'
                )
    for n, wanted in enumerate(size):
        if wanted < 0:
            raise ValueError(
                f"max_unpooling: output_size must contain non-negative spatial dimensions, but got output_size[{n}]="
                f"{wanted}"
            )
    return tuple(size)


def _unpooled(dims: int, input: Tensor, indices: Tensor, size: tuple[int, ...]) -> Tensor:
    if str(indices.dtype) != "torch.int64":
        raise DtypeError(f"elements in indices should be type int64 but got: {scalar_type(indices)}")
    if input.ndim not in (dims + 1, dims + 2):
        raise ShapeError(
            f"Input to max_unpooling{dims}d should be a {dims + 1}d or {dims + 2}d Tensor, but got a tensor with "
            f"{input.ndim} dimensions."
        )
    if input.shape != indices.shape:
        raise ShapeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    return (ops.max_unpool2d if dims == 2 else ops.max_unpool3d)(input, indices, size)  # type: ignore[no-any-return]
