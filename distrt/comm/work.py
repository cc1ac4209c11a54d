"""`Work`: what a launched operation gives its caller, to wait on and to ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any

__all__ = ["Completed", "Work", "seconds_of"]


class Work(ABC):
    """An operation that was launched; the names are PyTorch's.

    ``result`` holds what `result()` and `get_future()` give: the tensors that the caller handed in.
    """

    __slots__ = ("_result",)

    #: Whether ``wait`` has a stream wait, and the program go on.
    is_queued = False

    def __init__(self) -> None:
        self._result: Any = None

    @abstractmethod
    def is_completed(self) -> bool:
        """Whether the operation has ended, well or not. Never blocks; moves the operation on if it can."""

    @abstractmethod
    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Block until the result is there, and return True.

        Args:
            timeout: seconds, or a timedelta; the group's time-out where None. After a shorter one the caller may
                wait again.

        Raises:
            CollectiveTimeout: a rank did not come in time.
            PeerFailed: a rank died or left.
        """

    @abstractmethod
    def exception(self) -> BaseException | None:
        """What went wrong, if something did."""

    @abstractmethod
    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the operation has ended: at once if it has, else on the thread that ends it."""

    def is_success(self) -> bool:
        """Whether the operation has ended well."""
        return self.is_completed() and self.exception() is None

    def synchronize(self) -> None:
        """`wait` without a time-out of its own, as on other devices."""
        self.wait()

    def result(self) -> Any:
        """The tensors of the operation, when it has ended."""
        self.wait()
        return self._result

    def source_rank(self) -> int:
        """The rank (in the group) that a received message came from."""
        raise RuntimeError(
            "source_rank: sourceRank() may only be called on work objects that correspond to a recv call"
        )

    def _source_rank(self) -> int:
        """`source_rank`, as PyTorch calls it by now."""
        return self.source_rank()

    def get_future(self) -> Any:
        """A ``distrt.futures.Future`` of `result`."""
        from distrt.comm.futures import Future  # most programs never ask

        future: Future[Any] = Future()
        future._drive = self.wait  # a small operation moves on only while somebody waits

        def settle() -> None:
            error = self.exception()
            if error is None:
                future.set_result(self._result)
            elif isinstance(error, Exception):
                future.set_exception(error)
            else:
                future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

        self.add_done_callback(settle)
        return future


class Completed(Work):
    """An operation that had ended when its call returned."""

    __slots__ = ()

    def is_completed(self) -> bool:  # noqa: D102
        return True

    def wait(self, timeout: float | timedelta | None = None) -> bool:  # noqa: D102
        return True

    def exception(self) -> BaseException | None:  # noqa: D102
        return None

    def add_done_callback(self, callback: Callable[[], object]) -> None:  # noqa: D102
        callback()


def seconds_of(timeout: float | timedelta | None) -> float | None:
    """Seconds of what PyTorch's users give as a time-out."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
