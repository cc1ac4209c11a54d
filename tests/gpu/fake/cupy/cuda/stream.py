"""Streams and events: they remember what NCCL has queued, and what they were asked; all else is computed at once."""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from typing import Any

from .. import _recording
from .queued import Pending, live

_streams: weakref.WeakValueDictionary[int, Stream] = weakref.WeakValueDictionary()


def by_pointer(pointer: int) -> Stream:
    """The stream of CUDA's handle, which is all that other libraries get."""
    if not isinstance(pointer, int) or pointer not in _streams:
        raise TypeError(f"no stream has the handle {pointer!r}")
    return _streams[pointer]


class Stream:
    """A queue of work."""

    _numbers = iter(range(1, 1 << 30))

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int = 0
    ) -> None:
        self.ptr = 0 if null else next(self._numbers) * 16
        self.priority, self.is_non_blocking = priority, non_blocking
        self.asked: list[str] = []
        self.tail: list[Pending] = []  # what was queued last
        _streams[self.ptr] = self

    @classmethod
    def from_external(cls, obj: Any) -> Stream:
        """A stream of another library's."""
        made = cls()
        _, made.ptr = obj.__cuda_stream__()
        return made

    @property
    def done(self) -> bool:
        return not live(self.tail)

    def use(self) -> Stream:
        _current.stream = self
        return self

    def begin_capture(self, mode: int | None = None) -> None:
        if not self.ptr:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: the legacy stream cannot be captured")
        _recording.begin()

    def end_capture(self) -> Any:
        return _recording.end()

    def is_capturing(self) -> bool:
        return _recording.is_capturing()

    def synchronize(self) -> None:
        _recording.refuse_waiting()
        self.asked.append("synchronize")
        for each in self.tail:
            each.wait()

    def wait_event(self, event: Event) -> None:
        self.asked.append("wait_event")
        self.tail = live([*self.tail, *event.tail])

    def launch_host_func(self, callback: Any, arg: Any) -> None:
        pending = Pending([])
        before, self.tail = self.tail, [pending]

        def run() -> None:
            for each in before:
                each.wait()
            callback(arg)
            pending.end()

        threading.Thread(target=run, daemon=True).start()

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def __enter__(self) -> Stream:
        self._before = get_current_stream()
        return self.use()

    def __exit__(self, *exception: Any) -> None:
        self._before.use()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.ptr == self.ptr

    def __hash__(self) -> int:
        return self.ptr


class ExternalStream(Stream):
    """A stream of another library's."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        warnings.warn(
            "ExternalStream is deprecated. Use Stream.from_external()", DeprecationWarning, stacklevel=2
        )
        super().__init__()
        self.ptr = ptr


Stream.null = Stream(null=True)  # type: ignore[attr-defined]


class _Current(threading.local):
    stream: Stream = Stream.null  # type: ignore[attr-defined]


_current = _Current()


class Event:
    """A mark in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.when: float | None = None
        self.disable_timing = disable_timing
        self.ptr = id(self)
        self.tail: list[Pending] = []

    @property
    def done(self) -> bool:
        return not live(self.tail)

    def record(self, stream: Stream | None = None) -> None:
        self.when = time.perf_counter()
        self.tail = live((get_current_stream() if stream is None else stream).tail)

    def synchronize(self) -> None:
        """Waits for what was queued before."""
        for each in self.tail:
            each.wait()


def get_current_stream(device_id: int = -1) -> Stream:
    """The stream that work goes to."""
    return _current.stream


def get_elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds between two marks."""
    if start.when is None or end.when is None:
        raise RuntimeError("cudaErrorInvalidResourceHandle: invalid resource handle")
    return (end.when - start.when) * 1000
