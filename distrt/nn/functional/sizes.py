"""Sizes of windows: one integer for all spatial dims, or one for each."""

from __future__ import annotations

from typing import Any

from distrt.core.errors import ShapeError


def pair(value: Any, name: str) -> tuple[int, int]:
    """One integer for both spatial dims, or two."""
    if isinstance(value, int):
        return value, value
    found = tuple(int(each) for each in value)
    if len(found) == 1:
        found *= 2
    if len(found) != 2:
        raise ShapeError(f"{name}: expected one integer or two, got {value!r}")
    return found[0], found[1]
