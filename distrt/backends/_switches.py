"""``flags(...)``: a module's switches, set for a block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def set_switches(module: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Sets the switches of a module that are given (not None), and returns what they were before."""
    target = sys.modules[module]
    before = {name: getattr(target, name) for name in wanted}
    for name, value in wanted.items():
        if value is not None:
            setattr(target, name, value)
    return before


@contextmanager
def switched(module: str, wanted: dict[str, Any]) -> Iterator[None]:
    """The switches of a module for a block."""
    before = set_switches(module, wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(sys.modules[module], name, value)
