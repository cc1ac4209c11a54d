"""Activations as layers."""

from __future__ import annotations

from typing import Any

from distrt.core.creation import empty
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init as initial
from distrt.nn.modules.attention import MultiheadAttention as MultiheadAttention
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _MaybeInPlace(Module):
    """What the activations share that may overwrite their input."""

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Whether it works in place."""
        return "inplace=True" if self.inplace else ""

    def _and_in_place(self) -> str:
        return ", inplace=True" if self.inplace else ""


class Threshold(_MaybeInPlace):
    """``input`` where it is above ``threshold``, else ``value``."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """The threshold, the value, and whether it works in place."""
        return f"threshold={self.threshold}, value={self.value}{self._and_in_place()}"


class ReLU(_MaybeInPlace):
    """``max(input, 0)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.relu(input, inplace=self.inplace)


class RReLU(_MaybeInPlace):
    """``input`` where it is positive, else a slope times it: drawn in training, the mean of the bounds otherwise."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The bounds, and whether it works in place."""
        return f"lower={self.lower}, upper={self.upper}{self._and_in_place()}"


class Hardtanh(_MaybeInPlace):
    """``input`` moved into [min_val, max_val]."""

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        self.min_val = _renamed("min_value", "min_val", min_value, min_val)
        self.max_val = _renamed("max_value", "max_val", max_value, max_val)
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})")

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The bounds, and whether it works in place."""
        return f"min_val={self.min_val}, max_val={self.max_val}{self._and_in_place()}"


def _renamed(old: str, new: str, given: float | None, value: float) -> float:
    if given is None:
        return value
    warn(f"keyword argument `{old}` is deprecated and renamed to `{new}`", FutureWarning)
    return given


class ReLU6(Hardtanh):
    """``input`` moved into [0, 6]."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """Whether it works in place."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """``1 / (1 + exp(-input))``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.tanh(input)


class _Unshown(_MaybeInPlace):
    """One that does not show whether it works in place, as in PyTorch."""

    def extra_repr(self) -> str:
        """Nothing."""
        return ""


class Hardsigmoid(_Unshown):
    """A line from 0 at -3 to 1 at 3."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_Unshown):
    """``input * hardsigmoid(input)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.hardswish(input, self.inplace)


class SiLU(_MaybeInPlace):
    """``input * sigmoid(input)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.silu(input, inplace=self.inplace)


class Mish(_MaybeInPlace):
    """``input * tanh(softplus(input))``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.mish(input, inplace=self.inplace)


class _Scaled(_MaybeInPlace):
    """What has an ``alpha``."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def extra_repr(self) -> str:
        """The scale, and whether it works in place."""
        return f"alpha={self.alpha}{self._and_in_place()}"


class ELU(_Scaled):
    """``input`` where it is positive, else ``alpha * (exp(input) - 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.elu(input, self.alpha, self.inplace)


class CELU(_Scaled):
    """``input`` where it is positive, else ``alpha * (exp(input / alpha) - 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.celu(input, self.alpha, self.inplace)


class SELU(_MaybeInPlace):
    """The exponential linear unit that keeps a signal's mean and variance."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.selu(input, self.inplace)


class GLU(Module):
    """The first half along ``dim`` times the sigmoid of the second half."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> half as long along ``dim``."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """The dim."""
        return f"dim={self.dim}"


class GELU(Module):
    """``input`` times the chance that a normal number is below it, or "tanh" for a curve close to it."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.gelu(input, approximate=self.approximate)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The approximation."""
        return f"approximate={self.approximate!r}"


class _Shrinking(Module):
    """What has a width around 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        """The width."""
        return f"{self.lambd}"


class Hardshrink(_Shrinking):
    """``input``, and 0 where it is within ``lambd`` of that."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.hardshrink(input, self.lambd)  # type: ignore[no-any-return]


class Softshrink(_Shrinking):
    """``input`` moved towards 0 by ``lambd``, and 0 where it is within that."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.softshrink(input, self.lambd)  # type: ignore[no-any-return]


class LeakyReLU(_MaybeInPlace):
    """``input`` where it is positive, else ``negative_slope`` times it."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The slope, and whether it works in place."""
        return f"negative_slope={self.negative_slope}{self._and_in_place()}"


class LogSigmoid(Module):
    """``log(sigmoid(input))``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.logsigmoid(input)  # type: ignore[no-any-return]


class Softplus(Module):
    """``log(1 + exp(beta * input)) / beta``, and ``input`` where ``beta * input`` is above ``threshold``."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.softplus(input, self.beta, self.threshold)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The two options."""
        return f"beta={self.beta}, threshold={self.threshold}"


class PReLU(Module):
    """``input`` where it is positive, else a learnt weight times it: one weight, or one for each channel (dim 1)."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every weight is ``init``."""
        initial.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.prelu(input, self.weight)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.num_parameters}"


class Softsign(Module):
    """``input / (1 + |input|)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.softsign(input)


class Tanhshrink(Module):
    """``input - tanh(input)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.tanhshrink(input)


# Softmax


class _AlongDim(Module):
    """What is normalised along one dim."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """The dim."""
        return f"dim={self.dim}"


class Softmin(_AlongDim):
    """The softmax of ``-input`` along ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.softmin(input, self.dim)


class Softmax(_AlongDim):
    """Exponentials along ``dim``, divided by their sum."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """The logarithm of the softmax along ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> the same."""
        return F.log_softmax(input, self.dim)


class Softmax2d(Module):
    """The softmax over the channels, at each place of an image."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (N, C, H, W) or (C, H, W) -> the same."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)
