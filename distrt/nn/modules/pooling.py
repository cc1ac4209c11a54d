"""Pooling layers: over windows, over bins that adapt to the input, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn.functional.sizes import ntuple
from distrt.nn.modules.module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPoolNd(Module):
    """What the max pooling layers share."""

    _pool: ClassVar[Any]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Shape: (N, C, ...) or (C, ...) -> the same with fewer positions."""
        return type(self)._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        """Window and options, as PyTorch prints them."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The largest element of each window. Shape: (N, C, L) or (C, L)."""

    _pool = F.max_pool1d


class MaxPool2d(_MaxPoolNd):
    """The largest element of each window. Shape: (N, C, H, W) or (C, H, W)."""

    _pool = F.max_pool2d


class MaxPool3d(_MaxPoolNd):
    """The largest element of each window. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    _pool = F.max_pool3d


class _MaxUnpoolNd(Module):
    """What the layers share that undo max pooling."""

    _dims: ClassVar[int]
    _unpool: ClassVar[Any]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = ntuple(kernel_size, self._dims)
        self.stride = ntuple(stride if stride is not None else kernel_size, self._dims)
        self.padding = ntuple(padding, self._dims)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Zeros, with each element where ``indices`` says; ``output_size`` chooses among the sizes that fit."""
        return type(self)._unpool(  # type: ignore[no-any-return]
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        """Window and options, as PyTorch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Puts the elements back where ``MaxPool1d`` found them."""

    _dims = 1
    _unpool = F.max_unpool1d


class MaxUnpool2d(_MaxUnpoolNd):
    """Puts the elements back where ``MaxPool2d`` found them."""

    _dims = 2
    _unpool = F.max_unpool2d


class MaxUnpool3d(_MaxUnpoolNd):
    """Puts the elements back where ``MaxPool3d`` found them."""

    _dims = 3
    _unpool = F.max_unpool3d


class _AvgPoolNd(Module):
    """What the average pooling layers share."""

    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        """Window and options, as PyTorch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The mean of each window. Shape: (N, C, L) or (C, L)."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = ntuple(kernel_size, 1)
        self.stride = ntuple(stride if stride is not None else kernel_size, 1)
        self.padding = ntuple(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, L) or (C, L) -> the same with fewer positions."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class _AvgPoolOfImages(_AvgPoolNd):
    """Average pooling over two and three dims, where the divisor can be chosen."""

    _pool: ClassVar[Any]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, ...) or (C, ...) -> the same with fewer positions."""
        return type(self)._pool(  # type: ignore[no-any-return]
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool2d(_AvgPoolOfImages):
    """The mean of each window. Shape: (N, C, H, W) or (C, H, W)."""

    _pool = F.avg_pool2d


class AvgPool3d(_AvgPoolOfImages):
    """The mean of each window. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    _pool = F.avg_pool3d


class _FractionalMaxPoolNd(Module):
    """What the fractional max pooling layers share."""

    _dims: ClassVar[int]
    _pool: ClassVar[Any]

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name, dims = type(self).__name__, self._dims
        if dims == 3 and min(ntuple(kernel_size, dims)) <= 0:
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        self.kernel_size = ntuple(kernel_size, dims)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = ntuple(output_size, dims) if output_size is not None else None
        self.output_ratio = ntuple(output_ratio, dims) if output_ratio is not None else None
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """Shape: (N, C, ...) or (C, ...) -> the same with ``output_size``."""
        return type(self)._pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """The largest element of windows at random steps. Shape: (N, C, H, W) or (C, H, W). Source: Graham 2014."""

    _dims = 2
    _pool = F.fractional_max_pool2d


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """The largest element of windows at random steps. Shape: (N, C, D, H, W) or (C, D, H, W). Source: Graham 2014."""

    _dims = 3
    _pool = F.fractional_max_pool3d


class _LPPoolNd(Module):
    """What the power-average pooling layers share."""

    _pool: ClassVar[Any]

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, ...) or (C, ...) -> the same with fewer positions."""
        return type(self)._pool(  # type: ignore[no-any-return]
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """Norm, window and options, as PyTorch prints them."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The p-norm of each window. Shape: (N, C, L) or (C, L)."""

    _pool = F.lp_pool1d


class LPPool2d(_LPPoolNd):
    """The p-norm of each window. Shape: (N, C, H, W) or (C, H, W)."""

    _pool = F.lp_pool2d


class LPPool3d(_LPPoolNd):
    """The p-norm of each window. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    _pool = F.lp_pool3d


class _AdaptiveMaxPoolNd(Module):
    """What the adaptive max pooling layers share."""

    _pool: ClassVar[Any]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """Shape: (N, C, ...) or (C, ...) -> the same with ``output_size``."""
        return type(self)._pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The output's size."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The largest element of each of ``output_size`` bins. Shape: (N, C, L) or (C, L)."""

    _pool = F.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The largest element of each of ``output_size`` bins. Shape: (N, C, H, W) or (C, H, W)."""

    _pool = F.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """The largest element of each of ``output_size`` bins. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    _pool = F.adaptive_max_pool3d


class _AdaptiveAvgPoolNd(Module):
    """What the adaptive average pooling layers share."""

    _pool: ClassVar[Any]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, ...) or (C, ...) -> the same with ``output_size``."""
        return type(self)._pool(input, self.output_size)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The output's size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The mean of each of ``output_size`` bins. Shape: (N, C, L) or (C, L)."""

    _pool = F.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """The mean of each of ``output_size`` bins. Shape: (N, C, H, W) or (C, H, W)."""

    _pool = F.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """The mean of each of ``output_size`` bins. Shape: (N, C, D, H, W) or (C, D, H, W)."""

    _pool = F.adaptive_avg_pool3d
