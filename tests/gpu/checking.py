"""What scripts in ``checks/`` have in common: how a list of checks is run, and how far results are apart."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


def run_all(checks: Sequence[Callable[..., Iterator[str]]], *arguments: Any) -> int:
    """Runs checks, each of which says what it found wrong; returns how much that was."""
    failed = 0
    for check in checks:
        try:
            found = list(check(*arguments))
        except Exception:
            found = [traceback.format_exc()]
        for what in found:
            print(f"FAILED {check.__name__.replace('_', ' ')}: {what}")
        failed += len(found)
    print(f"{len(checks)} checks, {failed} failed")
    return failed


def apart(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """How far two lists of arrays differ, in parts of the largest number."""
    shares = [
        np.abs(one - other).max(initial=0) / max(1, np.abs(other).max(initial=0))
        for one, other in zip(found, expected, strict=True)
    ]
    return float(np.max(shares))
