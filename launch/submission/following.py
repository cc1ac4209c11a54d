"""A submitted job, from its waiting to its end: its output as it comes, and every change of its state."""

import contextlib
import os
import time
from collections.abc import Callable

from launch.submission.batch import State

__all__ = ["follow"]

_BETWEEN_S = 1.0
_CHUNK_BYTES = 1 << 16


def follow(
    look: Callable[[], State], say: Callable[[str], None], between_s: float = _BETWEEN_S, output: int = 1
) -> int:
    """Show a job until its end, and return its exit code.

    Args:
        look: asks the batch system.
        say: tells the user of a change.
        output: the file that the job's output goes to.
    """
    places: dict[str, int] = {}
    said = ""
    while True:
        state = look()
        if state.text != said:
            said = state.text
            say(f"the job is {said}")
        for path in state.logs:
            places[path] = _show(path, places.get(path, 0), output)
        if state.is_over:
            return state.exit_code
        time.sleep(between_s)


def _show(path: str, place: int, output: int) -> int:
    """Show what a file has more than ``place`` bytes, and return how many it has; a shorter one has begun anew."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        place = place if place <= os.fstat(file.fileno()).st_size else 0
        file.seek(place)
        while data := file.read(_CHUNK_BYTES):
            os.write(output, data)
            place += len(data)
    return place
