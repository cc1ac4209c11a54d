"""What distrt uses of CuPy's second package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cupy import _solvers


@contextmanager
def errstate(*, linalg: str | None = None) -> Iterator[None]:
    """What solvers of linear algebra do where there is no solution, in this thread."""
    before, _solvers.told.how = _solvers.told.how, linalg or _solvers.told.how
    try:
        yield
    finally:
        _solvers.told.how = before
