"""A submitted job, from its waiting to its end: its output as it comes, and every change of its state."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from launch.submission.asking import BatchError, NoSuchJobError
from launch.submission.batch import State

__all__ = ["FileTail", "StreamTail", "follow"]

_BETWEEN_S = 1.0
_PATIENCE_S = 600.0
_CHUNK_BYTES = 1 << 16


def follow(
    look: Callable[[], State],
    show: Callable[[State], None],
    say: Callable[[str], None],
    between_s: float = _BETWEEN_S,
    patience_s: float = _PATIENCE_S,
) -> int:
    """Show a job until its end, and return its exit code.

    Args:
        look: asks the batch system.
        show: shows what there is of the job's output that was not shown yet.
        say: tells the user of a change.
        patience_s: for how long the batch system may say nothing, as when its controller is started again.

    Raises:
        NoSuchJobError: there is no such job, or not any more.
        BatchError: the batch system has said nothing for too long.
        BrokenPipeError: nobody reads what is shown.
    """
    said = ""
    state = State("")
    answered_at = time.monotonic()
    while True:
        try:
            state = look()
            answered_at = time.monotonic()
            text = f"the job is {state.text}"
        except NoSuchJobError:
            show(state)
            raise
        except BatchError as error:
            if time.monotonic() - answered_at > patience_s:
                raise
            text = f"{error}; asking again"
        if text != said:
            said = text
            say(said)
        show(state)
        if state.is_over:
            return state.exit_code
        time.sleep(between_s)


class FileTail:
    """Shows what files have got since they were shown last; one that got shorter has begun anew."""

    def __init__(self, output: int = 1) -> None:
        self._output = output
        self._places: dict[str, int] = {}

    def __call__(self, state: State) -> None:
        """Show what is new in the files of a state."""
        for path in state.logs:
            for data in self._news(path):
                _write(self._output, data)

    def _news(self, path: str) -> Iterator[bytes]:
        place = self._places.get(path, 0)
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(place if place <= os.fstat(file.fileno()).st_size else 0)
            while data := file.read(_CHUNK_BYTES):
                self._places[path] = file.tell()
                yield data


class StreamTail:
    """Shows what a command shows, which ends with the job, or before; then it is started again.

    Args:
        command: shows the output of the last so many seconds, or all of it.
    """

    def __init__(self, command: Callable[[int | None], Sequence[str]]) -> None:
        self._command = command
        self._shown_at: float | None = None

    def __call__(self, state: State) -> None:
        """Show what there is, until the command ends."""
        now = time.monotonic()
        since_s = None if self._shown_at is None else int(now - self._shown_at) + 1
        done = subprocess.run(self._command(since_s), stderr=subprocess.DEVNULL, check=False)
        if done.returncode == 0:  # or it has shown nothing: there are no containers yet
            self._shown_at = time.monotonic()


def _write(output: int, data: bytes) -> None:
    while data:
        data = data[os.write(output, data) :]
