"""Padding layers: constants, or copies of the elements inside, around the last dims."""

from __future__ import annotations

from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn.functional.sizes import ntuple
from distrt.nn.modules.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _ConstantPadNd(Module):
    """What the layers share that pad with one value."""

    _dims: ClassVar[int]

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__()
        self.value = value
        self.padding = ntuple(padding, 2 * self._dims)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the last dims are longer."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Sizes and value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """``value`` before and after the last dim."""

    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    """``value`` around the last two dims."""

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """``value`` around the last three dims."""

    _dims = 3


class ZeroPad1d(ConstantPad1d):
    """Zeros before and after the last dim."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Zeros around the last two dims."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Zeros around the last three dims."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class _CopyPadNd(Module):
    """What the layers share that pad with elements from inside."""

    _dims: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self._dims)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, ...) or (C, ...) -> the last dims are longer."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class _ReflectionPadNd(_CopyPadNd):
    """The elements mirrored at the edge."""

    _mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """The elements mirrored at the ends of the last dim."""

    _dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    """The elements mirrored at the edges of the last two dims."""

    _dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """The elements mirrored at the faces of the last three dims."""

    _dims = 3


class _ReplicationPadNd(_CopyPadNd):
    """The elements at the edge, repeated."""

    _mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """The first and the last element of the last dim, repeated."""

    _dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    """The elements at the edges of the last two dims, repeated."""

    _dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """The elements at the faces of the last three dims, repeated."""

    _dims = 3


class _CircularPadNd(_CopyPadNd):
    """The elements of the other end."""

    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, ...) or (C, ...) -> the last dims are longer."""
        if input.ndim not in (self._dims + 1, self._dims + 2):
            raise ValueError(
                f"expected {self._dims + 1}D or {self._dims + 2}D input (got {input.ndim}D input)"
            )
        return super().forward(input)


class CircularPad1d(_CircularPadNd):
    """The elements of the last dim's other end."""

    _dims = 1


class CircularPad2d(_CircularPadNd):
    """The elements of the other ends of the last two dims."""

    _dims = 2


class CircularPad3d(_CircularPadNd):
    """The elements of the other ends of the last three dims."""

    _dims = 3
