"""Tensors of evenly spaced numbers, and the places of a matrix's triangles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, is_on_gpu
from distrt.core.creation.factory import factory, number_of
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.ops.indexing.masking import as_element
from distrt.core.process.users_code import warn

__all__ = ["arange", "linspace", "logspace", "range", "tril_indices", "triu_indices", "vander"]


@factory
def arange(
    *bounds: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    dtype: Any = None,
    beside: Array = None,
) -> Array:
    """``arange(end)``, ``arange(start, end, step=1)``: int64 for integers, the default dtype where one is a float.

    Raises:
        ShapeError: for a step of 0, one that leads away from the end, or a range without an end.
    """
    first, last, by = _bounds(bounds, start, end, step)
    values = [
        number_of("arange", first, "start"),
        number_of("arange", last, "end"),
        number_of("arange", by, "step"),
    ]
    if any(isinstance(each, complex) for each in values):
        raise TypeError("arange(): expected real numbers")
    floats = any(isinstance(each, float) for each in values)
    kind = dt.to_numpy(dtype, dt.default.floating if floats else dt.int64)
    if dt.category_of(kind) in (0, 3):
        raise NoKernelError(f'"arange_cpu" not implemented for {kind}')
    return _steps(values[0], values[1], values[2], kind, _on_gpu(beside))


def _on_gpu(beside: Array) -> Array | None:
    """Where numbers are counted: there if that is a GPU, so that nothing is copied; else on the CPU."""
    return beside if is_on_gpu(beside) else None


def _bounds(bounds: tuple[Any, ...], start: Any, end: Any, step: Any) -> tuple[Any, Any, Any]:
    given = list(bounds)
    if len(given) == 1 and end is None:
        if step is not None or start is not None:
            raise TypeError("arange(): with one bound and a step, name both start and end")
        return 0, given[0], 1
    names = [start, end, step]
    for position, value in enumerate(given):
        if position > 2 or names[position] is not None:
            raise TypeError(f"arange() got {len(given)} bounds, and names for some of them")
        names[position] = value
    if names[1] is None:
        raise TypeError("arange() needs an end")
    return 0 if names[0] is None else names[0], names[1], 1 if names[2] is None else names[2]


def _steps(start: Any, end: Any, step: Any, kind: np.dtype[Any], like: Array | None) -> Array:
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ShapeError(f"unsupported range: {start} -> {end}")
    if kind.kind in "iu":
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise ShapeError("step must be nonzero")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise ShapeError("upper bound and lower bound inconsistent with step sign")
    if kind.kind in "iu":
        return np.arange(start, end, step, dtype=np.int64, like=like).astype(kind, copy=False)
    count = math.ceil((end - start) / step)
    return as_array(start + np.arange(count, like=like) * step).astype(kind)


@factory
def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None) -> Array:
    """As ``arange`` with the end included, and of the default dtype; deprecated."""
    warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end)."
    )
    if end is None:
        start, end = 0, start
    first, last, by = (number_of("range", each) for each in (start, end, step))
    if by == 0:
        raise ShapeError("step must be nonzero")
    if (by > 0 and first > last) or (by < 0 and first < last):
        raise ShapeError("upper bound and lower bound inconsistent with step sign")
    count = math.floor((last - first) / by) + 1
    return (first + np.arange(count) * by).astype(dt.to_numpy(dtype))


def _spaced(
    name: str, start: Any, end: Any, steps: Any, dtype: Any, like: Array | None = None
) -> tuple[Array, np.dtype[Any]]:
    """The numbers in float64 (complex128), and the dtype that they are wanted in."""
    if not isinstance(steps, int | np.integer):
        raise TypeError(f"{name}(): argument 'steps' must be int, not {type(steps).__name__}")
    if steps < 0:
        raise ShapeError("number of steps must be non-negative")
    first, last = number_of(name, start), number_of(name, end)
    is_complex = isinstance(first, complex) or isinstance(last, complex)
    kind = (
        dt.to_numpy(dtype) if dtype is not None else (dt.default.complex if is_complex else dt.default.numpy)
    )
    if is_complex and kind.kind != "c":
        raise DtypeError(
            f"torch.{name}(): inferred dtype complex can't be safely cast to passed dtype {kind}"
        )
    if kind.kind in "iu":
        first, last = int(first), int(last)
    if steps == 1:
        return np.arange(1, like=like) + first, kind
    by = (last - first) / (steps - 1) if steps else 0
    count = np.arange(steps, like=like)
    # from both ends, so that the last value is exact, as in PyTorch
    return np.where(count < steps // 2, first + by * count, last - by * (steps - 1 - count)), kind


@factory
def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, beside: Array = None) -> Array:
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included.

    Raises:
        ShapeError: for a negative count, or bounds that are tensors with dims.
    """
    values, kind = _spaced("linspace", start, end, steps, dtype, _on_gpu(beside))
    return values.astype(kind)


@factory
def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None) -> Array:
    """``base`` to the power of ``steps`` evenly spaced numbers from ``start`` to ``end``.

    Raises:
        ShapeError: for a negative count, or bounds that are tensors with dims.
    """
    values, kind = _spaced("logspace", start, end, steps, dtype)
    return np.power(as_element(base, np.result_type(values.dtype, np.float64)), values).astype(kind)


def _require_places(name: str, row: int, col: int, dtype: Any) -> np.dtype[Any]:
    for what, count in (("row", row), ("col", col)):
        if count < 0:
            raise ShapeError(f"{what} must be non-negative, got {count}")
    kind = dt.to_numpy(dtype, dt.int64)
    if kind not in (np.int64, np.int32):
        raise NoKernelError(f'"{name}" not implemented for {kind}')
    return kind


@factory
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None) -> Array:
    """The places on and below a diagonal of a matrix: rows above columns. Shape: (2, count)."""
    kind = _require_places("tril_indices", row, col, dtype)
    return np.array(np.tril_indices(row, offset, col), kind).reshape(2, -1)


@factory
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None) -> Array:
    """The places on and above a diagonal of a matrix: rows above columns. Shape: (2, count)."""
    kind = _require_places("triu_indices", row, col, dtype)
    return np.array(np.triu_indices(row, offset, col), kind).reshape(2, -1)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803 - as in PyTorch
    """The powers of each element side by side, from ``N`` - 1 down to 0, or up. Shape: (n,) -> (n, N).

    Raises:
        ShapeError: for other than one dim, or a negative ``N``.
    """
    if x.ndim != 1:
        raise ShapeError("x must be a one-dimensional tensor.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise ShapeError("N must be non-negative.")
    one = ops.add(ops.mul(x, 0), 1)
    columns = [one]
    while len(columns) < count:
        columns.append(ops.mul(columns[-1], x))
    columns = columns[:count] if increasing else columns[:count][::-1]
    return ops.stack(columns, 1) if columns else ops.reshape(ops.index(x, slice(0, 0)), (x.shape[0], 0))
