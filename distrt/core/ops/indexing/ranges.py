"""Whether indices are in range, wherever they are."""

from __future__ import annotations

from typing import Any

from distrt.core.arrays import Array, is_meta, is_on_gpu
from distrt.core.errors import DimensionError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used


def require_range(
    numbers: Array,
    low: int,
    high: int,
    message: str,
    *details: Any,
    error: type[Exception] = DimensionError,
) -> None:
    """Raises an error for a number outside [low, high): on a GPU where the program waits next, without data never.

    Args:
        numbers: integers.
        low: the least that is right.
        high: one more than the largest.
        message: with {0} for the wrong number, {1} for ``high``, and %-signs for the details.
        *details: what else the message says.
        error: its class.
    """
    if used.gpu and is_on_gpu(numbers):
        on_gpu.checks.require_range(numbers, low, high, message % details, error=error)
    elif numbers.size and not is_meta(numbers) and (numbers.min() < low or numbers.max() >= high):
        wrong = numbers[(numbers < low) | (numbers >= high)].flat[0]
        raise error((message % details).format(wrong, high))
