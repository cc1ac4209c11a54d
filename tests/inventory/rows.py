"""The rows of the inventory, and which tests show them.

``inventory.md`` beside this file lists every feature that the five documents ask for. A test claims rows with
``@covers("A1", "A2")``; ``test_inventory.py`` holds every row of a finished area to such a test.
"""

from __future__ import annotations

import importlib
import pathlib
import pkgutil
import re
from collections.abc import Callable
from typing import Any

#: Areas that are built. Their rows must be shown; those of the other areas may be.
FINISHED = tuple("ABCDEFGHIJKLMNOPQTUVWXYZ")

#: Rows of other areas that are built already: the CPU half of S, ONNX in R, and what of 0 needs
#: tensors alone.
FINISHED_ROWS = (
    *(f"S{number}" for number in range(1, 12)),
    *"R7 R8 R9 01 02 03 04 05 06 07 08 09 010 012 013 014".split(),
)

#: For each claimed row, the tests that show it.
CLAIMS: dict[str, list[str]] = {}


def covers(*rows: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Claims that the decorated test shows these rows."""

    def claim(test: Callable[..., Any]) -> Callable[..., Any]:
        for row in rows:
            CLAIMS.setdefault(row, []).append(f"{test.__module__}.{test.__qualname__}")
        return test

    return claim


def all_rows() -> dict[str, str]:
    """Every row's number, with the call that it asks for."""
    text = (pathlib.Path(__file__).parent / "inventory.md").read_text()
    return dict(re.findall(r"^\| ([A-Z0]\d+) \| (.*?) \|", text, re.M))


def collect() -> None:
    """Imports every test module of this folder, so that all claims are known."""
    package = importlib.import_module(__package__ or "tests.inventory")
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if found.name.rpartition(".")[2].startswith("test_"):
            importlib.import_module(found.name)
