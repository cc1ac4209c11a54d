"""What scripts in ``checks/`` have in common: running a list of checks, refusals, how far results are apart."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


def run_all(checks: Sequence[Callable[..., Iterator[str] | None]], *arguments: Any) -> int:
    """Runs checks, each of which says what it found wrong, or raises; returns how much that was."""
    failed = 0
    for check in checks:
        try:
            found = list(check(*arguments) or ())
        except Exception:
            found = [traceback.format_exc()]
        for what in found:
            print(f"FAILED {check.__name__.replace('_', ' ')}: {what}")
        failed += len(found)
    print(f"{len(checks)} checks, {failed} failed")
    return failed


def refused(kind: type[Exception], words: str, run: Callable[[], object]) -> Iterator[str]:
    """What is wrong where a call has to raise an error of this kind with these words."""
    try:
        run()
    except kind as fault:
        if words not in str(fault):
            yield f"{words}: {fault}"
    else:
        yield f"{words}: nothing is told"


def assert_refused(kind: type[Exception], words: str, run: Callable[[], object]) -> None:
    """A call raises an error of this kind with these words."""
    wrong = [*refused(kind, words, run)]
    assert not wrong, wrong


def apart(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """How far two lists of arrays differ, in parts of the largest number."""
    shares = [
        np.abs(one - other).max(initial=0) / max(1, np.abs(other).max(initial=0))
        for one, other in zip(found, expected, strict=True)
    ]
    return float(np.max(shares))
