"""Tensors of one value, uninitialised ones, and those like another tensor; the ``new_`` methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, as_strided_view, dense_like, filled, identity_matrix, number_in
from distrt.core.creation.factory import factory, sequence_of, shape_of
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.modes import used
from distrt.core.ops.indexing.masking import as_element
from distrt.core.process.determinism import fill_uninitialized
from distrt.core.tensor import Tensor

__all__ = [
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "eye",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "scalar_tensor",
    "zeros",
    "zeros_like",
]


@factory
def zeros(*sizes: Any, size: Any = None, dtype: Any = None, beside: Array = None) -> Array:
    """Zeros, of the default dtype."""
    return np.zeros(shape_of("zeros", sizes, size), dt.to_numpy(dtype), like=beside)


@factory
def ones(*sizes: Any, size: Any = None, dtype: Any = None, beside: Array = None) -> Array:
    """Ones, of the default dtype."""
    return filled(shape_of("ones", sizes, size), 1, dt.to_numpy(dtype), beside)


@factory
def empty(*sizes: Any, size: Any = None, dtype: Any = None, beside: Array = None) -> Array:
    """Memory as it comes, of the default dtype."""
    return fill_uninitialized(np.empty(shape_of("empty", sizes, size), dt.to_numpy(dtype), like=beside))


def _dtype_of(value: Any) -> Any:
    """The dtype that a number asks for: the default one for floats."""
    if isinstance(value, bool):
        return dt.bool_.numpy
    if isinstance(value, int):
        return dt.int64.numpy
    return dt.default.complex if isinstance(value, complex) else dt.default.numpy


def _plain(name: str, value: Any) -> Any:
    """A number, from a number or from a tensor of one element."""
    if isinstance(value, Tensor):
        return number_in(name, "fill_value", value)
    return value.item() if isinstance(value, np.generic) else value


@factory
def full(size: Any, fill_value: Any, *, dtype: Any = None, beside: Array = None) -> Array:
    """``fill_value`` everywhere; its kind chooses the dtype when none is given."""
    shape = sequence_of("full", size)
    value = _plain("full", fill_value)
    chosen = dt.to_numpy(dtype) if dtype is not None else _dtype_of(value)
    if dtype is None and isinstance(fill_value, Tensor):
        chosen = fill_value._array.dtype
    made = np.empty(shape, chosen, like=beside)
    made.fill(as_element(value, chosen)[()])
    return made


def _like(input: Tensor, dtype: Any, beside: Array) -> Array:
    if not isinstance(input, Tensor):
        raise TypeError(f"argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return dense_like(input._array, input._array.dtype if dtype is None else dt.to_numpy(dtype), beside)


@factory
def empty_like(input: Tensor, *, dtype: Any = None, beside: Array = None) -> Array:
    """Memory as it comes, of the same shape, dtype and order of dims."""
    return fill_uninitialized(_like(input, dtype, beside))


@factory
def zeros_like(input: Tensor, *, dtype: Any = None, beside: Array = None) -> Array:
    """Zeros of the same shape, dtype and order of dims."""
    made = _like(input, dtype, beside)
    made.fill(0)
    return made


@factory
def ones_like(input: Tensor, *, dtype: Any = None, beside: Array = None) -> Array:
    """Ones of the same shape, dtype and order of dims."""
    made = _like(input, dtype, beside)
    made.fill(1)
    return made


@factory
def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, beside: Array = None) -> Array:
    """``fill_value`` everywhere, of the same shape, dtype and order of dims."""
    made = _like(input, dtype, beside)
    made.fill(as_element(_plain("full_like", fill_value), made.dtype)[()])
    return made


@factory
def empty_strided(size: Any, stride: Any, *, dtype: Any = None, beside: Array = None) -> Array:
    """Memory as it comes, laid out with the steps (in elements) given.

    Raises:
        ShapeError: for another number of steps than sizes, or negative ones.
    """
    shape, steps = sequence_of("empty_strided", size), tuple(int(each) for each in stride)
    if len(shape) != len(steps):
        raise ShapeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(steps)})"
        )
    if min(steps, default=0) < 0:
        raise ShapeError(
            f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(steps)}"
        )
    kind = dt.to_numpy(dtype)
    span = sum((length - 1) * step for length, step in zip(shape, steps, strict=True)) + 1
    if 0 in shape:
        return np.empty(shape, kind, like=beside)
    memory = fill_uninitialized(np.empty(span, kind, like=beside))
    return as_strided_view(memory, shape, tuple(step * kind.itemsize for step in steps))


@factory
def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None, beside: Array = None) -> Array:
    """Memory as it comes, with the dims in the order of ``physical_layout`` from the outermost to the innermost.

    Raises:
        ShapeError: where the order does not name each dim once.
    """
    shape, order = sequence_of("empty_permuted", size), [int(each) for each in physical_layout]
    if len(order) != len(shape):
        raise ShapeError(
            f"Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = "
            f"{len(shape)} is not equal to len(physical_layout) = {len(order)}"
        )
    if sorted(order) != list(range(len(shape))):
        raise ShapeError(
            f"Dimensions in physical_layout must each occur once in 0 to {len(shape) - 1}, got {order}"
        )
    made = np.empty([shape[dim] for dim in order], dt.to_numpy(dtype), like=beside)
    return fill_uninitialized(made).transpose(np.argsort(order).tolist())


@factory
def eye(n: int, m: int | None = None, *, dtype: Any = None, beside: Array = None) -> Array:
    """Ones on the diagonal, zeros elsewhere.

    Raises:
        ShapeError: for a negative size.
    """
    for name, count in (("n", n), ("m", 0 if m is None else m)):
        if not isinstance(count, int | np.integer | Tensor):
            raise TypeError(f"eye(): argument '{name}' must be int, not {type(count).__name__}")
        if count < 0:
            raise ShapeError(f"{name} must be greater or equal to 0, got {count}")
    return identity_matrix(int(n), None if m is None else int(m), dt.to_numpy(dtype), beside)


@factory
def scalar_tensor(s: Any, *, dtype: Any = None) -> Array:
    """One number as a 0-d tensor, of the default dtype."""
    return as_element(s, dt.to_numpy(dtype))


# Methods: of another shape, in the dtype and the layout and on the device of this tensor


def _beside(self: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    if used.sparse and options.get("layout") is None:
        options = {**options, "layout": self.layout}
    return options if options.get("device") is not None else {**options, "device": self.device}


def new_zeros(self: Tensor, *sizes: Any, size: Any = None, dtype: Any = None, **options: Any) -> Tensor:
    """Zeros of a shape, in this tensor's dtype."""
    return zeros(shape_of("new_zeros", sizes, size), dtype=dtype or self.dtype, **_beside(self, options))


def new_ones(self: Tensor, *sizes: Any, size: Any = None, dtype: Any = None, **options: Any) -> Tensor:
    """Ones of a shape, in this tensor's dtype."""
    return ones(shape_of("new_ones", sizes, size), dtype=dtype or self.dtype, **_beside(self, options))


def new_empty(self: Tensor, *sizes: Any, size: Any = None, dtype: Any = None, **options: Any) -> Tensor:
    """Memory as it comes, of a shape, in this tensor's dtype."""
    return empty(shape_of("new_empty", sizes, size), dtype=dtype or self.dtype, **_beside(self, options))


def new_empty_strided(self: Tensor, size: Any, stride: Any, *, dtype: Any = None, **options: Any) -> Tensor:
    """Memory as it comes, laid out with the steps given, in this tensor's dtype."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, **_beside(self, options))


def new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Tensor:
    """``fill_value`` everywhere, in this tensor's dtype."""
    return full(size, fill_value, dtype=dtype or self.dtype, **_beside(self, options))


METHODS: dict[str, Any] = {
    "new_empty": new_empty,
    "new_empty_strided": new_empty_strided,
    "new_full": new_full,
    "new_ones": new_ones,
    "new_zeros": new_zeros,
}
