"""What distrt leaves out exists by name, and says what to use when it is called."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import distrt as torch
from distrt.core import unsupported
from distrt.core.errors import UnsupportedError

FROM_SCRIPTS: dict[str, Callable[[], Any]] = {
    "to_mkldnn": lambda: torch.ones(2).to_mkldnn(),
    "int_repr": lambda: torch.ones(2).int_repr(),
    "index": lambda: torch.ones(2).index([0]),
}


@pytest.mark.parametrize("name", FROM_SCRIPTS)
def test_a_call_says_what_to_use_instead(name: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"{name}: distrt .*"):
        FROM_SCRIPTS[name]()


@pytest.mark.parametrize("table", ["FUNCTIONS", "METHODS", "MODULES"])
def test_every_entry_gives_advice(table: str) -> None:
    for name, text in getattr(unsupported, table).items():
        assert re.search(r"\b(use|keep|pad|leave|run|multiplies|broadcast|has|choose|instead)\b", text), name
