"""`Future`: a value that will be there later, and what is to happen then. ``distrt.futures`` is the public path.

Scripts make futures of their own; ``Work.get_future()`` makes one for a launched operation.
Source: https://docs.pytorch.org/docs/stable/futures.html.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from distrt.core.device import device, missing

__all__ = ["Future", "collect_all", "wait_all"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")


class Future(Generic[T]):
    """A value, or an exception, that somebody will set; every method may be called from any thread.

    Args:
        devices: where the value's tensors may be, each with an index; on a machine without GPUs it says nothing.

    Raises:
        ValueError: for a device without an index.
        DeviceMissing: for a device that this machine does not have.
    """

    #: Completes this future in the thread that waits for it, where nobody else may be at work on it.
    _drive: Callable[[], object] | None = None

    def __init__(self, *, devices: Iterable[Any] | None = None) -> None:
        for wanted in () if devices is None else devices:
            _check_device(device(wanted))
        self._lock = threading.Lock()  # over the callbacks, and over the step to being done
        self._is_done = threading.Event()
        self._callbacks: list[Callable[[Future[T]], object]] = []
        self._value: Any = None
        self._error: BaseException | None = None
        self._is_callback_error = False

    def done(self) -> bool:
        """True when there is a value or an exception."""
        return self._is_done.is_set()

    def wait(self) -> T:
        """The value, as soon as it is there.

        What sets the value bounds the time: an operation has its group's time-out, a script's own future has none.

        Raises:
            Exception: the one that was set.
        """
        self._settle()
        return self.value()

    def value(self) -> T:
        """The value, where ``done()``.

        Raises:
            RuntimeError: when there is none yet.
            Exception: the one that was set.
        """
        if not self.done():
            raise RuntimeError("value(): this Future is not completed yet; wait() waits for its value")
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """A future of what ``callback(self)`` will return; it is called when this one is done, at once if it is.

        An exception of the callback becomes that future's, as a RuntimeError that tells it.
        """
        _check_callable("then", callback)
        child: Future[S] = Future()
        child._drive = self._settle

        def run(future: Future[T]) -> None:
            try:
                value = callback(future)
            except BaseException as error:
                child._complete(None, _callback_error(error), is_callback_error=True)
            else:
                child._complete(value, None)

        self._when_done(run)
        return child

    def add_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """Call ``callback(self)`` when this future is done, at once if it is; its exceptions are logged, no more."""
        _check_callable("add_done_callback", callback)

        def run(future: Future[T]) -> None:
            try:
                callback(future)
            except Exception as error:
                _log.error("%s", _callback_error(error))

        self._when_done(run)

    def set_result(self, result: T) -> None:
        """Complete this future with a value, and run its callbacks in this thread, in the order they came.

        Raises:
            RuntimeError: when it is done already.
        """
        self._complete(result, None)

    def set_exception(self, result: Exception) -> None:
        """Complete this future with an exception, which ``wait()`` and ``value()`` will raise.

        Raises:
            AssertionError: for something else than an Exception.
            RuntimeError: when it is done already.
        """
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._complete(None, result)

    def __reduce__(self) -> Any:
        raise RuntimeError("Can not pickle torch.futures.Future")

    def _complete(self, value: Any, error: BaseException | None, is_callback_error: bool = False) -> None:
        with self._lock:
            if self._is_done.is_set():
                raise RuntimeError(
                    "Attempting to mark a completed Future as complete again. Note that a Future can only be marked "
                    "completed once."
                )
            self._value, self._error, self._is_callback_error = value, error, is_callback_error
            callbacks, self._callbacks = self._callbacks, []
            self._drive = None
            self._is_done.set()
        for callback in callbacks:
            callback(self)

    def _when_done(self, callback: Callable[[Future[T]], object]) -> None:
        with self._lock:
            if not self._is_done.is_set():
                self._callbacks.append(callback)
                return
        callback(self)

    def _settle(self) -> None:
        """Return when done, well or not.

        Raises:
            Exception: what kept the operation from ending, such as a time-out.
        """
        drive = self._drive
        if drive is not None:
            try:
                drive()
            except Exception:
                if not self.done():  # an error of the operation itself is this future's, too
                    raise
        self._is_done.wait()


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of the list of all these futures, done when all of them are.

    Its exception is that of the first in the list that has one. One whose callback failed ends it early.
    """
    listed = list(futures)
    for future in listed:
        if not isinstance(future, Future):
            raise TypeError(f"collect_all: expected a list of Futures, got one of {type(future).__name__}")
    collected: Future[list[Future[Any]]] = Future()
    lock = threading.Lock()
    left = len(listed)
    is_over = False

    def count(future: Future[Any] | None) -> None:
        nonlocal left, is_over
        with lock:
            left -= future is not None
            failed = future is not None and future._is_callback_error
            if is_over or not (failed or left == 0):
                return
            is_over = True
        errors = [each._error for each in listed if each.done() and each._error is not None]
        first = future._error if failed and future is not None else next(iter(errors), None)
        collected._complete(listed, first, is_callback_error=failed)

    def settle_all() -> None:
        for future in listed:
            if not collected.done():
                future._settle()

    collected._drive = settle_all
    if not listed:
        count(None)
    for future in listed:
        future._when_done(count)
    return collected


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """The values of all futures, waited for.

    Raises:
        Exception: the one that `collect_all` of them has.
    """
    return [future.wait() for future in collect_all(futures).wait()]


def _check_device(wanted: device) -> None:
    if wanted.index is None:
        raise ValueError(f"Expected devices to have indices, got {wanted}")
    if wanted.type != "cpu":
        raise missing(str(wanted))


def _check_callable(method: str, callback: Any) -> None:
    if not callable(callback):
        raise TypeError(f"{method}(): expected a function of one argument, got {type(callback).__name__}")


def _callback_error(error: BaseException) -> RuntimeError:
    frames = traceback.extract_tb(error.__traceback__)[:0:-1]  # innermost first, without the one in this file
    places = "".join(f"  {frame.filename}({frame.lineno}): {frame.name}\n" for frame in frames)
    told = "".join(traceback.format_exception_only(error)).strip()
    told = f"Got the following error when running the callback: {told}" + (
        f"\n\nAt:\n{places}" if places else ""
    )
    wrapped = RuntimeError(told)
    wrapped.__cause__ = error
    return wrapped
