"""Random tensors. The numbers come from a :class:`~distrt.core.random.Generator`; docs/random.md tells its streams."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, dense_like
from distrt.core.creation.factory import factory, shape_of
from distrt.core.definitions.out import write_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.ops.shapes.dims import sizes_of
from distrt.core.random.draws import (
    draw_integers,
    draw_normal,
    draw_permutation,
    draw_uniform,
    laid_out,
)
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor

__all__ = [
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


@factory
def rand(
    *sizes: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, beside: Any = None
) -> Array:
    """Uniform in [0, 1)."""
    return draw_uniform(shape_of("rand", sizes, size), dt.to_numpy(dtype), generator, like=beside)


@factory
def randn(
    *sizes: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, beside: Any = None
) -> Array:
    """Normal with mean 0 and standard deviation 1."""
    return draw_normal(shape_of("randn", sizes, size), dt.to_numpy(dtype), generator, like=beside)


def _room(input: Tensor, dtype: Any, beside: Array | None) -> Array:
    """Memory of the same shape and order of dims as another tensor's."""
    return dense_like(input._array, input._array.dtype if dtype is None else dt.to_numpy(dtype), beside)


def _filled(made: Array, drawn: Array) -> Array:
    made[...] = laid_out(drawn, made)
    return made


@factory
def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, beside: Any = None
) -> Array:
    """Uniform in [0, 1), of the same shape, dtype and order of dims."""
    made = _room(input, dtype, beside)
    return _filled(made, draw_uniform(made.shape, made.dtype, generator, like=made))


@factory
def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, beside: Any = None
) -> Array:
    """Normal, of the same shape, dtype and order of dims."""
    made = _room(input, dtype, beside)
    in_rows = bool(made.flags.c_contiguous)
    return _filled(made, draw_normal(made.shape, made.dtype, generator, in_rows=in_rows, like=made))


def _between(
    name: str,
    low: Any,
    high: Any,
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    generator: Generator | None,
    beside: Array,
) -> Array:
    low, high = int(low), int(high)
    if low >= high:
        raise ShapeError(f"{name} expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if kind.kind == "c":
        raise DtypeError(f"{name}: expected an integer or floating dtype, got {kind}")
    if kind.kind in "biu":
        least, most = (0, 1) if kind.kind == "b" else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
        if low < least or high - 1 > most:
            raise ShapeError(f"from={low} and to - 1={high - 1} must both lie in the range of {kind}")
    return draw_integers(low, high, shape, generator, like=beside).astype(kind)


@factory
def randint(
    *bounds: Any,
    low: Any = None,
    high: Any = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    beside: Any = None,
) -> Array:
    """Integers in [low, high): ``randint(high, size)`` from 0 on, ``randint(low, high, size)``.

    Raises:
        ShapeError: for bounds without a number between them, or beyond the dtype.
    """
    given = list(bounds)
    if size is None and given and isinstance(given[-1], list | tuple):
        size = given.pop()
    if high is None and given:
        high = given.pop()
    if low is None and given:
        low = given.pop()
    if high is None or size is None or given or isinstance(size, int):
        raise TypeError(
            "randint() received an invalid combination of arguments: give high, or low and high, and a size"
        )
    return _between(
        "random_", low or 0, high, sizes_of((tuple(size),)), dt.to_numpy(dtype, dt.int64), generator, beside
    )


@factory
def randint_like(
    input: Tensor,
    low: Any = 0,
    high: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    beside: Any = None,
) -> Array:
    """Integers in [low, high), of the same shape, dtype and order of dims; with one bound, from 0 on."""
    if high is None:
        low, high = 0, low
    made = _room(input, dtype, beside)
    return _filled(made, _between("random_", low, high, made.shape, made.dtype, generator, made))


@factory
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, beside: Any = None) -> Array:
    """The integers 0 to n - 1 in random order.

    Raises:
        ShapeError: for a negative ``n``.
    """
    if n < 0:
        raise ShapeError(f"n must be non-negative, got {n}")
    return draw_permutation(n, generator, beside).astype(dt.to_numpy(dtype, dt.int64), copy=False)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    **options: Any,
) -> Tensor:
    """Normal with the given mean and standard deviation: numbers with ``size``, or tensors that broadcast.

    Raises:
        ShapeError: for a negative standard deviation.
        TypeError: for numbers without a size.
    """
    if size is not None:
        _require_spread(std)
        made = _normal(tuple(size), mean, std, generator=generator, dtype=dtype, **options)
    else:
        made = _around(mean, std, generator)
    if out is not None:
        write_out("normal", made, out)
        return out
    return made


@factory
def _normal(
    size: tuple[int, ...],
    mean: float,
    std: float,
    generator: Generator | None = None,
    dtype: Any = None,
    beside: Any = None,
) -> Array:
    kind = dt.to_numpy(dtype)
    return draw_normal(sizes_of((size,)), kind, generator, float(mean), float(std), like=beside)


def _require_spread(std: Any) -> None:
    least = (std._array.min() if std.numel() else 0) if isinstance(std, Tensor) else std
    if least < 0:
        raise ShapeError(f"normal expects all elements of std >= 0.0, but found {least}")


def _around(mean: Any, std: Any, generator: Generator | None) -> Tensor:
    given = [each for each in (mean, std) if isinstance(each, Tensor)]
    if not given:
        raise TypeError("normal(): give size=, or a tensor of means or of standard deviations")
    _require_spread(std)
    shape = ops.broadcast_shapes(*(each.shape for each in given))
    kind = given[0]._array.dtype
    values = draw_normal(tuple(shape), kind, generator, like=given[0]._array)
    plain = [each._array if isinstance(each, Tensor) else each for each in (mean, std)]
    drawn: Tensor = ops.sampled(
        ops.expand(given[0], tuple(shape)), as_array(values * plain[1] + plain[0]).astype(kind)
    )
    return drawn
