"""Tensors for tests: any dtype, values from a range, contiguous or not. ``distrt.testing`` gives it to users."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation.constant import empty
from distrt.core.device import device as device_type
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.limits import finfo, iinfo
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor

__all__ = ["make_tensor"]


def make_tensor(
    *shape: Any,
    dtype: dt.dtype,
    device: str | device_type,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random values from ``low`` to below ``high``, evenly spread.

    Args:
        shape: its sizes, or one sequence of them.
        dtype: any dtype.
        device: where it is.
        low, high: by default -9 and 9 (10 for integers), 0 and 2 for bool; cut to what the dtype can hold.
        requires_grad: as for any tensor.
        noncontiguous: every second element of a larger memory; a tensor of one element stays as it is.
        exclude_zero: zeros become the smallest positive value, or 1.
        memory_format: how it lies in memory.

    Raises:
        ValueError: for an empty range, one that the dtype cannot hold, and options that contradict each other.
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if requires_grad and not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(
            f"`requires_grad=True` is not supported for boolean and integral dtypes, but got dtype={dtype}"
        )
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, "
            f"but got noncontiguous={noncontiguous} and memory_format={memory_format}"
        )
    bounds = _bounds(dtype, low, high)
    with no_grad():
        made: Tensor = _drawn(sizes, dtype, device, bounds)
        if noncontiguous and made.numel() > 1:
            made = ops.repeat_interleave(made, 2, -1)[..., ::2]
        elif memory_format is not None:
            made = made.clone(memory_format=memory_format)
        if exclude_zero:
            made[made.eq(0)] = finfo(dtype).tiny if dtype.is_floating_point or dtype.is_complex else 1
    return made.requires_grad_() if requires_grad else made


def _drawn(sizes: Any, dtype: dt.dtype, device: Any, bounds: tuple[float, float]) -> Tensor:
    made: Tensor = empty(sizes, dtype=dtype, device=device)
    low, high = bounds
    if dtype.is_complex:
        ops.view_as_real(made).uniform_(low, high)
    elif dtype.is_floating_point:
        made.uniform_(low, high)
    else:
        made.random_(math.ceil(low), math.ceil(high))
    return made


def _bounds(dtype: dt.dtype, low: float | None, high: float | None) -> tuple[float, float]:
    """The range to draw from: what is asked for, as far as the dtype can hold it."""
    real = dtype.is_floating_point or dtype.is_complex
    usual: tuple[float, float] = (-9, 9) if real else (0, 2) if dtype is dt.bool_ else (-9, 10)
    limits = finfo(dtype) if real else None if dtype is dt.bool_ else iinfo(dtype)
    least, most = (0, 2) if limits is None else (limits.min, limits.max if real else limits.max + 1)
    low, high = usual[0] if low is None else low, usual[1] if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low} and high={high}")
    if low > high or (low == high and not real):
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    if high < least or low > most:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only supports "
            f"[{least}, {most}" + ("]" if real else ")")
        )
    return max(low, least), min(high, most)
