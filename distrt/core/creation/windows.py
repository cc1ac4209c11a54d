"""Windows: tensors that fade a signal in and out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.device import require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.gpu.places import moved
from distrt.core.tensor import Tensor, wrap

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``0.5 - 0.5 cos(2 pi n / N)``. Options: dtype, layout, device, pin_memory, requires_grad."""
    return hamming_window(window_length, periodic, 0.5, 0.5, **options)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **options: Any
) -> Tensor:
    """``alpha - beta cos(2 pi n / N)``. Options as for :func:`hann_window`."""
    phase = 2 * math.pi * positions(window_length, periodic)
    return made(alpha - beta * np.cos(phase), window_length, **options)


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)``. Options as for :func:`hann_window`."""
    phase = 2 * math.pi * positions(window_length, periodic)
    return made(0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase), window_length, **options)


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """A triangle. Options as for :func:`hann_window`."""
    return made(1 - np.abs(2 * positions(window_length, periodic) - 1), window_length, **options)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any) -> Tensor:
    """``I0(beta sqrt(1 - x ** 2)) / I0(beta)`` with x from -1 to 1. Options as for :func:`hann_window`."""
    places = 2 * positions(window_length, periodic) - 1
    values = np.i0(beta * np.sqrt(np.maximum(0, 1 - places**2))) / np.i0(beta)
    return made(values, window_length, **options)


def positions(length: int, periodic: bool) -> Array:
    """From 0 to 1: to the end of the window, or (``periodic``) to where the next one would start."""
    if length < 0:
        raise ShapeError(f"a window requires non-negative window_length, got window_length={length}")
    return np.arange(length) / max(1, length if periodic else length - 1)


def made(
    values: Array,
    length: int | None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """The window as a tensor; where a length of 1 is said, its point is 1."""
    place = require_available(device)
    kind = dt.default.numpy if dtype is None else dt.to_numpy(dtype)
    if kind not in dt.FLOATING_NUMPY or kind.kind == "c":
        raise DtypeError("a window expects floating point dtypes, got: " + str(dtype))
    window = wrap(moved((values if length != 1 else np.ones(1)).astype(kind), place))
    return window.requires_grad_() if requires_grad else window
