"""Functions that make tensors: from data, filled, counted, random."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core.device import device as device_type
from distrt.core.device import require_available
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.modes import modes
from distrt.core.ops.dims import sizes_of
from distrt.core.promotion import convert, promote_types
from distrt.core.random import Generator, numpy_generator
from distrt.core.tensor import Tensor, wrap
from distrt.core.versions import INFERENCE

Device = str | int | device_type | None


def _finish(array: Any, device: Device, requires_grad: bool) -> Tensor:
    require_available(device)
    made = wrap(array)
    if modes.inference:
        made._counter = INFERENCE
    return made.requires_grad_() if requires_grad else made


def _array_of(data: Any) -> Any:
    """``data`` as a fresh array of the dtype that PyTorch infers for it."""
    if isinstance(data, np.ndarray | np.generic):
        array = np.array(data, order="C")
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if isinstance(data, list | tuple) and any(isinstance(each, Tensor | np.ndarray) for each in data):
        arrays = [each._array if isinstance(each, Tensor) else _array_of(each) for each in data]
        dtype = functools.reduce(promote_types, [array.dtype for array in arrays])
        return np.array(arrays, dtype)
    try:
        array = np.array(data)
    except ValueError as fault:
        raise ValueError(f"tensor: the nested lists of {data!r:.60} have different lengths") from fault
    if array.dtype.kind in "US":
        if isinstance(data, str | bytes):
            raise TypeError(f"tensor: invalid data type {type(data).__name__!r}: {data!r:.60}")
        raise ValueError(f"tensor: too many dimensions 'str': {data!r:.60}")
    if array.dtype.kind in "OMm":
        raise DtypeError(f"tensor: Could not infer dtype of {type(data).__name__}: {data!r:.60}")
    if array.dtype == np.float64:
        return array.astype(dt.default.numpy)
    return array.astype(dt.default.complex) if array.dtype == np.complex128 else array


def tensor(data: Any, *, dtype: Any = None, device: Device = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of ``data``: a number, nested lists, an array, or a tensor.

    Python integers give int64, floats float32, bools bool; an array keeps its dtype.
    """
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        data = data._array
    if dtype is not None and isinstance(data, bool | int | float | complex):
        array = np.array(data).astype(dt.to_numpy(dtype))
    else:
        exact = (
            np.array(data)
            if dtype is not None and isinstance(data, list | tuple) and _plain_numbers(data)
            else None
        )
        array = _array_of(data) if exact is None else exact
        if dtype is not None:
            array = array.astype(dt.to_numpy(dtype), copy=False)
    made = _finish(array, device, requires_grad)
    dt.of(made._array)  # refuses element types that tensors do not have
    return made


def _plain_numbers(data: Any) -> bool:
    """True for nested lists of Python numbers, which go to the wanted dtype without passing through float32."""
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, bool | int | float | complex)


def as_tensor(data: Any, dtype: Any = None, device: Device = None) -> Tensor:
    """``data`` as a tensor, sharing memory where it can."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if dtype is None else shared.to(dtype)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: Any) -> Tensor:
    """A tensor of the array's own memory: a change on either side is seen on the other."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dt.of(array)
    return wrap(array)


def zeros(*size: Any, dtype: Any = None, device: Device = None, requires_grad: bool = False) -> Tensor:
    """Zeros; the default dtype is float32."""
    return _finish(np.zeros(sizes_of(size), dt.to_numpy(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Device = None, requires_grad: bool = False) -> Tensor:
    """Ones; the default dtype is float32."""
    return _finish(np.ones(sizes_of(size), dt.to_numpy(dtype)), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Device = None, requires_grad: bool = False) -> Tensor:
    """Memory as it comes; the default dtype is float32."""
    return _finish(np.empty(sizes_of(size), dt.to_numpy(dtype)), device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """``fill_value`` everywhere; its kind chooses the dtype when none is given."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    chosen = _array_of(value).dtype if dtype is None else dt.to_numpy(dtype)
    return _finish(np.full(sizes_of((size,)), value, chosen), device, requires_grad)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the same shape and dtype."""
    return zeros(tuple(input.shape), dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """Ones of the same shape and dtype."""
    return ones(tuple(input.shape), dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """Memory as it comes, of the same shape and dtype."""
    return empty(tuple(input.shape), dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """``fill_value`` everywhere, of the same shape and dtype."""
    return full(
        tuple(input.shape), fill_value, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad
    )


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    return _finish(np.eye(n, m, dtype=dt.to_numpy(dtype)), device, requires_grad)


def arange(*bounds: Any, dtype: Any = None, device: Device = None, requires_grad: bool = False) -> Tensor:
    """``arange(end)``, ``arange(start, end, step=1)``: int64 for integers, float32 where any bound is a float."""
    values = [bound.item() if isinstance(bound, Tensor) else bound for bound in bounds]
    if not all(isinstance(value, int | float) for value in values):
        raise TypeError(f"arange: expected numbers, got {', '.join(map(repr, values))}")
    if len(values) > 2 and values[2] == 0:
        raise ShapeError("arange: step must be nonzero")
    inferred = dt.default.floating if any(isinstance(value, float) for value in values) else dt.int64
    counted = np.arange(*values)
    return _finish(counted.astype(dt.to_numpy(dtype, inferred)), device, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` evenly spaced values from ``start`` to ``end``, both included."""
    return _finish(np.linspace(start, end, steps).astype(dt.to_numpy(dtype)), device, requires_grad)


# Random


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform in [0, 1)."""
    return _finish(_uniform(sizes_of(size), dt.to_numpy(dtype), generator), device, requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and standard deviation 1."""
    return _finish(_normal(sizes_of(size), dt.to_numpy(dtype), generator), device, requires_grad)


def _drawn(wanted: np.dtype[Any], name: str) -> Any:
    if dt.category_of(wanted) != 2:
        raise DtypeError(f"{name}: a floating point dtype is needed, got {wanted}")
    return np.float64 if wanted == np.float64 else np.float32


def _uniform(shape: tuple[int, ...], dtype: np.dtype[Any], generator: Generator | None) -> Any:
    return convert(np.asarray(numpy_generator(generator).random(shape, _drawn(dtype, "rand"))), dtype)


def _normal(shape: tuple[int, ...], dtype: np.dtype[Any], generator: Generator | None) -> Any:
    drawn = numpy_generator(generator).standard_normal(shape, _drawn(dtype, "randn"))
    return convert(np.asarray(drawn), dtype)


def rand_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None) -> Tensor:
    """Uniform in [0, 1), of the same shape and dtype."""
    return rand(tuple(input.shape), generator=generator, dtype=dtype or input.dtype)


def randn_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None) -> Tensor:
    """Normal, of the same shape and dtype."""
    return randn(tuple(input.shape), generator=generator, dtype=dtype or input.dtype)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers in [low, high); ``randint(high, size)`` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise ShapeError(f"randint: expects low to be less than high, but got low={low} >= high={high}")
    drawn = numpy_generator(generator).integers(low, high, sizes_of((size,)))
    return _finish(np.asarray(drawn).astype(dt.to_numpy(dtype, dt.int64)), device, requires_grad)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Device = None
) -> Tensor:
    """The integers 0 to n - 1 in random order."""
    return _finish(
        numpy_generator(generator).permutation(n).astype(dt.to_numpy(dtype, dt.int64)), device, False
    )


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation: numbers with ``size``, or tensors."""
    if size is None:
        shape = np.broadcast_shapes(*(tuple(v.shape) if isinstance(v, Tensor) else () for v in (mean, std)))
        size = shape
    drawn: Tensor = randn(size, generator=generator) * std + mean
    return drawn
