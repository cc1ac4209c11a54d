"""What solvers say: CuPy passes over it, and returns whatever is there, unless it is asked to raise."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np


class _Told(threading.local):
    how = "ignore"


told = _Told()


def silent(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose failures count only as long as somebody asks for them.

    Raises:
        AssertionError: where CuPy would go on with something that is no solution.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except np.linalg.LinAlgError as fault:
            if told.how == "raise":
                raise
            raise AssertionError(f"CuPy would not have told this: {fault}") from fault

    return run
