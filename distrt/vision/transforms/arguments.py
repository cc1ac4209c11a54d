"""How the transforms read their arguments, and how they draw numbers: one at a time, out of the default generator."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.random.draws import draw_integers, draw_uniform
from distrt.core.tensor import Tensor
from distrt.vision.transforms.functional import get_dimensions

__all__ = ["angles", "chance", "fill_for", "require_sequence", "two_sizes", "uniform", "whole"]


def two_sizes(size: Any, message: str) -> tuple[int, int]:
    """A number as (height, width). Raises ValueError, with the message, for another number of sizes."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    both: tuple[int, int] = size
    return both


def require_sequence(value: Any, name: str, lengths: tuple[int, ...]) -> None:
    """Raises TypeError for what is no sequence, ValueError for one of another length."""
    wanted = " or ".join(str(length) for length in lengths)
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} should be a sequence of length {wanted}.")
    if len(value) not in lengths:
        raise ValueError(f"{name} should be a sequence of length {wanted}.")


def angles(value: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """A range of angles; a number stands for itself either way."""
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        value = [-value, value]  # type: ignore[operator]
    else:
        require_sequence(value, name, lengths)
    return [float(each) for each in value]


def fill_for(img: Any, fill: Any) -> Any:
    """The filling value as the functions take it: for tensors, one float for each channel."""
    if not isinstance(img, Tensor) or fill is None:
        return fill
    if isinstance(fill, int | float):
        return [float(fill)] * get_dimensions(img)[0]
    return [float(each) for each in fill]


_FLOAT32 = np.dtype(np.float32)


def chance(p: float) -> bool:
    """True with probability ``p``."""
    return bool(draw_uniform((1,), _FLOAT32, None)[0] < p)


def uniform(low: float, high: float) -> float:
    """A number between the two."""
    return float(draw_uniform((1,), _FLOAT32, None, float(low), float(high))[0])


def whole(low: int, high: int) -> int:
    """A whole number from ``low`` up to below ``high``."""
    return int(draw_integers(low, high, (1,), None)[0])
