"""`within`: calls of MPI that block, with a time-out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from distrt.core.errors import DistributedError, RendezvousError

__all__ = ["within"]

_Result = TypeVar("_Result")

_LOOK_S = 0.2  # between looks for a failure that another rank reports


def within(
    timeout_s: float,
    what: str,
    function: Callable[[], _Result],
    look_for_failure: Callable[[], str | None] = lambda: None,
) -> _Result:
    """Call what blocks inside MPI on a thread of its own, so that it can be given up."""
    is_over = threading.Event()
    results: list[_Result] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        finally:
            is_over.set()

    try:
        threading.Thread(target=call, name=f"distrt {what}", daemon=True).start()
    except RuntimeError:  # Python 3.12 starts no thread while it exits: MPI_Finalize has no time-out there
        call()
    deadline = time.monotonic() + timeout_s
    while not is_over.wait(_LOOK_S):
        if (failure := look_for_failure()) is not None:
            raise RendezvousError(f"{what}: {failure}")
        if time.monotonic() >= deadline:
            raise RendezvousError(f"{what} waited {timeout_s:g} s for the other ranks")
    if errors:
        raise DistributedError(f"{what}: {errors[0]}") from errors[0]
    return results[0]
