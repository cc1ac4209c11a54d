"""Sizes of windows and paddings: one integer for all spatial dims, or one for each."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any


def ntuple(value: Any, count: int) -> tuple[Any, ...]:
    """The elements of what has any, else ``count`` times the value: what layers keep of their arguments."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def integers(operation: str, name: str, value: Any) -> tuple[int, ...]:
    """One integer or several, as a tuple.

    Raises:
        TypeError: for anything else.
    """
    if hasattr(value, "__index__") and not getattr(value, "ndim", 0):
        return (operator.index(value),)
    try:
        return tuple([operator.index(each) for each in value])
    except TypeError:
        raise TypeError(
            f"{operation}(): argument '{name}' must be tuple of ints, not {type(value).__name__}"
        ) from None
