"""Windows by their number of points, as in ``torch.signal.windows``; ``distrt.hann_window`` and its kin are older.

``sym=True`` gives a window that ends as it begins; ``sym=False`` one period of it, for spectra. All take dtype, layout,
device and requires_grad. Source: https://pytorch.org/docs/stable/signal.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.creation.windows import made, positions
from distrt.core.dtypes.dtype import float32, float64
from distrt.core.tensor import Tensor
from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods
from distrt.core.tensors.formats import strided

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """A triangle that begins at 0."""
    return _made("bartlett", 1 - np.abs(2 * _positions("bartlett", M, sym) - 1), M, options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """:func:`general_cosine` of 0.42, 0.5 and 0.08."""
    return _cosines(M, (0.42, 0.5, 0.08), sym, options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """``sin(pi (n + 0.5) / M)``, half a wave."""
    _require_size("cosine", M)
    return _made("cosine", np.sin(math.pi * (np.arange(M) + 0.5) / (M if sym else M + 1)), M, options)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any
) -> Tensor:
    """``exp(-|n - center| / tau)``; the center is the middle, and can be chosen where ``sym`` is False.

    Raises:
        ValueError: for a ``tau`` that is not positive, or a center of a symmetric window.
    """
    _require_positive("exponential", "Tau", tau)
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    values = np.exp(-np.abs(_distances("exponential", M, sym, center)) / tau)
    return _made("exponential", values, M if center is None else None, options)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Tensor:
    """``exp(-(n - middle) ** 2 / (2 std ** 2))``.

    Raises:
        ValueError: for a ``std`` that is not positive.
    """
    _require_positive("gaussian", "Standard deviation", std)
    return _made("gaussian", np.exp(-((_distances("gaussian", M, sym, None) / std) ** 2) / 2), M, options)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **options: Any) -> Tensor:
    """``a[0] - a[1] cos(x) + a[2] cos(2 x) - ...`` for x from 0 to 2 pi.

    Raises:
        TypeError, ValueError: for weights that are no sequence, or none.
    """
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = tuple(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    return _cosines(M, weights, sym, options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """``alpha - (1 - alpha) cos(x)`` for x from 0 to 2 pi."""
    return _cosines(M, (alpha, 1.0 - alpha), sym, options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """:func:`general_hamming` with 0.54."""
    return _cosines(M, (0.54, 0.46), sym, options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """:func:`general_hamming` with 0.5."""
    return _cosines(M, (0.5, 0.5), sym, options)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Tensor:
    """``I0(beta sqrt(1 - x ** 2)) / I0(beta)`` for x from -1 to 1.

    Raises:
        ValueError: for a negative ``beta``.
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    places = 2 * _positions("kaiser", M, sym) - 1
    return _made("kaiser", np.i0(beta * np.sqrt(np.maximum(0, 1 - places**2))) / np.i0(beta), M, options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """:func:`general_cosine` with the weights of Nuttall's minimum four-term window."""
    return _cosines(M, (0.3635819, 0.4891775, 0.1365995, 0.0106411), sym, options)


def _cosines(size: int, weights: tuple[float, ...], sym: bool, options: dict[str, Any]) -> Tensor:
    phase = 2 * math.pi * _positions("general_cosine", size, sym)
    waves = ((-1) ** order * weight * np.cos(order * phase) for order, weight in enumerate(weights))
    return _made("general_cosine", sum(waves, np.zeros(size)), size, options)


def _positions(name: str, size: int, sym: bool) -> Array:
    _require_size(name, size)
    return positions(size, periodic=not sym)


def _distances(name: str, size: int, sym: bool, center: float | None) -> Array:
    """How far each point is from the middle."""
    _require_size(name, size)
    middle = (size - 1 if sym else size) / 2 if center is None else center
    return np.arange(size) - middle


def _require_size(name: str, size: int) -> None:
    if size < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={size}")


def _require_positive(name: str, what: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{what} must be positive, got: {value} instead.")


def _made(name: str, values: Array, size: int | None, options: dict[str, Any]) -> Tensor:
    if options.get("dtype") not in (None, float32, float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {options['dtype']}")
    if options.get("layout") not in (None, strided):
        raise ValueError(f"{name} is implemented for strided tensors only, got: {options['layout']}")
    return made(values, size, **options)
