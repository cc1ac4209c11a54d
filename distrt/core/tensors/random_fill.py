"""Methods that overwrite a tensor with random values, whose gradient with respect to the old ones is 0."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np

from distrt.core.arrays import as_array, dim_order
from distrt.core.dtypes.limits import finfo
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.modes import used
from distrt.core.ops.pointwise.half import wide
from distrt.core.random.draws import (
    draw_bernoulli,
    draw_exponential,
    draw_integers,
    draw_normal,
    draw_uniform,
    draw_wide_normal,
    draw_wide_uniform,
    laid_out,
)
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor, wrap


def _overwritten(self: Tensor, values: Any) -> Tensor:
    """Puts the numbers into the tensor, one after the other in the order of its memory."""
    with at(self._array) if used.gpu else nullcontext():
        return self.copy_(wrap(laid_out(as_array(values).astype(self._array.dtype, copy=False), self._array)))


def _require_floating(self: Tensor, name: str) -> None:
    if not self.dtype.is_floating_point:
        raise DtypeError(f"{name}: a continuous distribution needs a floating point dtype, got {self.dtype}")


def _bounds(name: str, args: tuple[Any, ...], named: dict[str, Any], low: Any, high: Any) -> tuple[Any, Any]:
    """``from`` and ``to``, of which the first is no name that Python lets a parameter have."""
    if len(args) > 2 or set(named) - {"from", "to"}:
        raise TypeError(f"{name}() received an invalid combination of arguments")
    given = [*args, None, None][:2]
    first = named.get("from", given[0])
    last = named.get("to", given[1])
    return low if first is None else first, high if last is None else last


def uniform_(self: Tensor, *bounds: float, generator: Generator | None = None, **named: float) -> Tensor:
    """Overwrites every element with a number drawn uniformly from [from, to); returns this tensor.

    Raises:
        ShapeError: where ``from`` is larger than ``to``, and for a bound or a difference that the dtype cannot hold.
    """
    low, high = _bounds("uniform_", bounds, named, 0.0, 1.0)
    most = finfo(self.dtype).max if self.dtype.is_floating_point else math.inf
    for name, bound in (("from", low), ("to", high)):
        if not -most <= bound <= most:
            raise ShapeError(f"uniform_: {name} is out of bounds for {self.dtype}, got {bound}")
    if low > high:
        raise ShapeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    if high - low > most:
        raise ShapeError(f"uniform_ expects to-from <= {most}, but found from={low} and to={high}")
    return _overwritten(
        self, draw_uniform(self._array.shape, self._array.dtype, generator, low, high, self._array)
    )


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrites every element with a number drawn from the normal distribution; returns this tensor.

    Raises:
        ShapeError: for a negative standard deviation.
    """
    if std < 0:
        raise ShapeError(f"normal expects std >= 0.0, but found std {std}")
    array = self._array
    in_rows = bool(array.flags.c_contiguous)
    return _overwritten(self, draw_normal(array.shape, array.dtype, generator, mean, std, in_rows, array))


def random_(self: Tensor, *bounds: int, generator: Generator | None = None, **named: int) -> Tensor:
    """Overwrites every element with an integer from ``from`` (0) to ``to`` - 1; returns this tensor.

    ``random_(to)`` starts at 0. Without bounds: all that the dtype holds from 0 on, without rounding for floats.

    Raises:
        ShapeError: for bounds without a number between them, or beyond the dtype.
    """
    only = bounds[:1] if len(bounds) == 1 and "to" not in named else ()
    low, high = _bounds("random_", (0, *only) if only else bounds, named, 0, None)
    least, most = _exact_range(self)
    if high is None:
        high = most + 1
    low, high = int(low), int(high)
    if low >= high:
        raise ShapeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if self.dtype.category < 2 and (low < least or high - 1 > most):
        raise ShapeError(f"from={low} and to - 1={high - 1} must both lie in the range of {self.dtype}")
    words = 1 if self._array.itemsize < 8 and not bounds and not named else None
    return _overwritten(self, draw_integers(low, high, self._array.shape, generator, words, self._array))


def _exact_range(self: Tensor) -> tuple[int, int]:
    """The integers that the dtype holds without rounding."""
    kind = self._array.dtype
    if kind.kind == "b":
        return 0, 1
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return int(info.min), int(min(info.max, np.iinfo(np.int64).max))
    digits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}.get(kind.name)
    if digits is None:
        raise NoKernelError(f'"random_" not implemented for {self.dtype}')
    return -(2**digits), 2**digits


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwrites every element with 1, with probability ``p`` (a number, or a tensor that broadcasts), else with 0.

    Raises:
        ShapeError: for a probability outside 0 to 1.
    """
    if isinstance(p, Tensor):
        if not p.dtype.is_floating_point:
            raise DtypeError(f"expected probabilities tensor to have floating type, got {p.dtype}")
        chances = np.broadcast_to(wide(p._array), self._array.shape)
        p = chances.transpose(dim_order(self._array)).reshape(-1)  # as they meet the numbers that are drawn
    return _overwritten(
        self, draw_bernoulli(p, (self._array.size,), self._array.dtype, generator, self._array)
    )


def exponential_(self: Tensor, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Overwrites every element with a number drawn from the exponential distribution of rate ``lambd``.

    Raises:
        ShapeError: for a rate that is not positive.
    """
    _require_floating(self, "exponential_")
    if lambd <= 0:
        raise ShapeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    drawn = draw_exponential(self._array.shape, generator, self._array) / lambd
    return _overwritten(self, np.maximum(drawn, np.finfo(np.float32).tiny))


def log_normal_(
    self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None
) -> Tensor:
    """Overwrites every element with the exponential of a number drawn from the normal distribution.

    Raises:
        ShapeError: for a standard deviation that is not positive.
    """
    _require_floating(self, "log_normal_")
    if std <= 0:
        raise ShapeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return _overwritten(
        self, np.exp(draw_wide_normal(self._array.shape, generator, self._array) * std + mean)
    )


def cauchy_(
    self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None
) -> Tensor:
    """Overwrites every element with a number drawn from the Cauchy distribution.

    Raises:
        ShapeError: for a width that is not positive.
    """
    _require_floating(self, "cauchy_")
    if sigma <= 0:
        raise ShapeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    drawn = np.tan(np.pi * (draw_wide_uniform(self._array.shape, generator, self._array) - 0.5))
    return _overwritten(self, drawn * sigma + median)


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Overwrites every element with the number of tries until the first success, each with probability ``p``.

    Raises:
        ShapeError: for a probability outside 0 to 1.
    """
    if not 0 < p < 1:
        raise ShapeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    drawn = np.maximum(
        draw_wide_uniform(self._array.shape, generator, self._array), np.finfo(np.float64).tiny
    )
    drawn = np.ceil(np.log(drawn) / np.log1p(-p))
    return _overwritten(self, np.maximum(drawn, 1))


METHODS: dict[str, Any] = {
    "bernoulli_": bernoulli_,
    "cauchy_": cauchy_,
    "exponential_": exponential_,
    "geometric_": geometric_,
    "log_normal_": log_normal_,
    "normal_": normal_,
    "random_": random_,
    "uniform_": uniform_,
}
