"""Initial values of parameters. Each function writes in place, outside the graph, and returns its tensor.

Layers call these from ``reset_parameters``, users from ``module.apply``. The numbers come from the default generator,
or from the one that is given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.creation import empty_like, zeros
from distrt.core.creation import eye as eye_matrix
from distrt.core.errors import NoKernelError, ShapeError
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.random.draws import draw_permutation
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor, wrap

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_GAINS: dict[str, float] = {
    **dict.fromkeys(("linear", "sigmoid"), 1),
    **{f"conv{kind}{dims}d": 1 for kind in ("", "_transpose") for dims in (1, 2, 3)},
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The standard deviation that keeps a signal's size through a nonlinearity.

    Args:
        nonlinearity: its name in ``nn.functional``.
        param: the negative slope of "leaky_relu", 0.01 when not given.

    Raises:
        ValueError: for another nonlinearity, or a slope that is no number.

    Source: https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.calculate_gain
    """
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity != "leaky_relu":
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, int | float):
        raise ValueError(f"negative_slope {param} not a valid number")
    return math.sqrt(2 / (1 + slope**2))


_SKIPPED: ContextVar[bool] = ContextVar("distrt_init_skipped", default=False)


@contextmanager
def skipped() -> Iterator[None]:
    """Inside, tensors are left as they are, and nothing is drawn: for ``nn.utils.skip_init``."""
    token = _SKIPPED.set(True)
    try:
        yield
    finally:
        _SKIPPED.reset(token)


# Filling


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere."""
    if _SKIPPED.get():
        return tensor
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, of as many inputs as possible. Shape: 2-d.

    Raises:
        ValueError: for another number of dims.
    """
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with no_grad():
        return tensor.copy_(eye_matrix(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The convolution kernel that returns its input, of as many channels (of each group) as possible. Shape: 3- to 5-d.

    Raises:
        ValueError: for another number of dims, or output channels that ``groups`` does not divide.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    outputs, inputs = tensor.shape[:2]
    if outputs % groups:
        raise ValueError("dim 0 must be divisible by groups")
    size = outputs // groups
    kept = np.arange(min(size, inputs))
    rows = (np.arange(groups)[:, None] * size + kept).reshape(-1)
    values = zeros(tuple(tensor.shape), dtype=tensor.dtype, device=tensor.device)
    values[(rows, np.tile(kept, groups), *(extent // 2 for extent in tensor.shape[2:]))] = 1
    with no_grad():
        return tensor.copy_(values)


# Drawing from one distribution


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    if _SKIPPED.get():
        return tensor
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal."""
    if _SKIPPED.get():
        return tensor
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, of the numbers in [a, b] only.

    Raises:
        ShapeError: where ``a`` is larger than ``b``.
        NoKernelError: for a dtype that is not floating point.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect."
        )
    if not tensor.dtype.is_floating_point:
        raise NoKernelError(f'"normal_kernel_cpu" not implemented for {tensor.dtype}')
    if a > b:
        raise ShapeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    if tensor.is_meta:
        return tensor
    # Without a bound: where the density has less than 2**-53 of its largest value.
    a = max(a, min(mean, b) - 9 * std) if math.isinf(a) else a
    b = min(b, max(mean, a) + 9 * std) if math.isinf(b) else b
    draw = _redrawn if _share(mean, std, a, b) > 0.3 else _rejected
    with no_grad():
        return tensor.copy_(draw(tensor, mean, std, a, b, generator))


def _share(mean: float, std: float, a: float, b: float) -> float:
    """How much of a normal distribution lies in [a, b]."""
    edges = [math.erf((each - mean) / (std * math.sqrt(2))) for each in (a, b)]
    return (edges[1] - edges[0]) / 2


def _redrawn(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> Tensor:
    """Normal numbers, drawn again where they are outside."""
    low, high = (tensor.new_tensor(each).item() for each in (a, b))  # as the dtype has them
    drawn = empty_like(tensor).normal_(mean, std, generator=generator)
    while (outside := (drawn < low) | (drawn > high)).any():
        again = empty_like(tensor).normal_(mean, std, generator=generator)
        drawn = ops.where(outside, again, drawn)
    return drawn


def _rejected(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> Tensor:
    """Uniform numbers, each kept in proportion to the density, of which the bounds have but a small part."""
    top = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2  # the logarithm of the largest density
    drawn, pending = tensor, None
    while pending is None or pending.any():
        again = empty_like(tensor).uniform_(a, b, generator=generator)
        drawn = again if pending is None else ops.where(pending, again, drawn)
        density = again.sub(mean).div_(std).pow_(2).mul_(-0.5).sub_(top)
        missed = empty_like(tensor).uniform_(generator=generator).log_().gt(density)
        pending = missed if pending is None else pending & missed
    return drawn


# Drawing in proportion to the fans


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs each output of a linear or convolution layer has, and how many outputs each input."""
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform within gain * sqrt(6 / (fan_in + fan_out)). Source: Glorot and Bengio 2010."""
    bound = gain * math.sqrt(6 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)). Source: Glorot and Bengio 2010."""
    std = gain * math.sqrt(2 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within gain * sqrt(3 / fan), where ``a`` is the slope of "leaky_relu". Source: He et al. 2015."""
    if not tensor.numel():
        return _nothing_to_do(tensor)
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / _calculate_correct_fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan); ``a`` is the slope of "leaky_relu". Source: He et al. 2015."""
    if not tensor.numel():
        return _nothing_to_do(tensor)
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def _nothing_to_do(tensor: Tensor) -> Tensor:
    warn("Initializing zero-element tensors is a no-op")
    return tensor


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """The start of Linear and convolution layers: both uniform within 1 / sqrt(fan_in)."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in = _calculate_correct_fan(weight, "fan_in")
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        uniform_(bias, -bound, bound)


# Matrices with a structure


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """``gain`` times a matrix with orthonormal rows (or columns, if these are fewer), uniform among all such.

    Dims after the first count as one. The signs of R's diagonal, multiplied into Q, are what makes Q uniform.

    Raises:
        ValueError: for fewer than 2 dims.

    Source: Saxe et al. 2013; F. Mezzadri, https://arxiv.org/abs/math-ph/0609050.
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if not tensor.numel():
        return tensor
    with no_grad():
        rows = tensor.shape[0]
        drawn = tensor.new_empty((rows, tensor.numel() // rows)).normal_(generator=generator)
        wide = rows < drawn.shape[1]
        q, r = ops.qr(drawn.t() if wide else drawn)
        q = q * r.diagonal().sign()
        return tensor.copy_((q.t() if wide else q).reshape(tensor.shape)).mul_(gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal, with the fraction ``sparsity`` of each column set to 0. Shape: 2-d. Source: Martens 2010.

    Raises:
        ValueError: for another number of dims.
    """
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    if tensor.is_meta:
        return tensor
    count = math.ceil(sparsity * tensor.shape[0])
    normal_(tensor, 0, std, generator)
    hidden = np.zeros(tensor.shape, np.bool_)
    for column in hidden.T:
        column[draw_permutation(tensor.shape[0], generator)[:count]] = True
    with no_grad():
        return tensor.masked_fill_(wrap(hidden), 0)


# The spellings of old


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    new = function.__name__
    old = new.removesuffix("_")

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Tensor:
        warn(f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning)
        return function(*args, **kwargs)

    renamed.__name__ = renamed.__qualname__ = old
    renamed.__doc__ = f"Deprecated: use :func:`{new}`."
    return renamed


constant = _deprecated(constant_)
dirac = _deprecated(dirac_)
eye = _deprecated(eye_)
kaiming_normal = _deprecated(kaiming_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
normal = _deprecated(normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
uniform = _deprecated(uniform_)
xavier_normal = _deprecated(xavier_normal_)
xavier_uniform = _deprecated(xavier_uniform_)
