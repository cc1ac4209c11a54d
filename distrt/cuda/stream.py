"""Streams and events: queues of work of a GPU, and marks in them."""

from __future__ import annotations

from typing import Any, NamedTuple

from distrt.core import gpu
from distrt.core.device import device as device_type
from distrt.core.errors import DeviceMissing
from distrt.core.gpu import library
from distrt.core.modes import used
from distrt.cuda.devices import cupy, number_of

__all__ = [
    "Event",
    "ExternalStream",
    "Stream",
    "StreamContext",
    "current_stream",
    "default_stream",
    "get_stream_from_external",
    "is_current_stream_capturing",
    "set_stream",
    "stream",
]


class Stream:
    """A queue of work of a GPU: ``Stream()``, ``Stream(device)``, ``Stream(priority=-1)``.

    Raises:
        DeviceMissing: without a GPU.
    """

    def __init__(self, device: Any = None, priority: int = 0, **options: Any) -> None:
        if not library.device_count():
            raise DeviceMissing("torch.cuda.Stream requires CUDA support: distrt finds no GPU here")
        self.device_index = number_of(device)
        used.streams = True
        with cupy().cuda.Device(self.device_index):
            self._queue = cupy().cuda.Stream(non_blocking=True, priority=priority)
        self.priority = priority

    @classmethod
    def _of(cls, queue: Any, device: int) -> Stream:
        made: Stream = object.__new__(cls)
        made._queue, made.device_index, made.priority = queue, device, 0
        return made

    @property
    def device(self) -> device_type:
        """The GPU."""
        return device_type("cuda", self.device_index)

    @property
    def cuda_stream(self) -> int:
        """CUDA's own handle."""
        return int(self._queue.ptr)

    @property
    def stream_id(self) -> int:
        """A number of its own."""
        return self.cuda_stream

    @staticmethod
    def priority_range() -> tuple[int, int]:
        """The least priority, and the greatest, which is the lower number."""
        return 0, -1

    def query(self) -> bool:
        """True where all work is done."""
        return bool(self._queue.done)

    def synchronize(self) -> None:
        """Waits until all work is done."""
        self._queue.synchronize()
        gpu.faults.raise_found()

    def record_event(self, event: Event | None = None) -> Event:
        """Marks this moment in the queue."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Lets what is queued from now on wait for a mark in another stream."""
        self._queue.wait_event(event._mark)

    def wait_stream(self, stream: Stream) -> None:
        """Lets what is queued from now on wait for all that is in another stream."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.cuda_stream, self.device_index) == (
            other.cuda_stream,
            other.device_index,
        )

    def __hash__(self) -> int:
        return hash((self.cuda_stream, self.device_index))

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream that another library made, by its handle."""

    def __init__(self, stream_ptr: int, device: Any = None, **options: Any) -> None:
        self.device_index = number_of(device)
        used.streams = True
        self._queue = queue_of(stream_ptr, self.device_index)
        self.priority = 0


def queue_of(handle: int, device: int) -> Any:
    """CuPy's object of a stream that it did not make."""
    stream = cupy().cuda.Stream
    if hasattr(stream, "from_external"):
        return stream.from_external(_Handle(handle))
    return cupy().cuda.ExternalStream(handle, device)  # CuPy's older way, of which later ones warn


class _Handle(NamedTuple):
    """A stream as libraries hand it to one another.

    Source: https://nvidia.github.io/cuda-python/cuda-core/latest/interoperability.html#cuda-stream-protocol
    """

    handle: int

    def __cuda_stream__(self) -> tuple[int, int]:
        """Version 0 of the protocol, and CUDA's handle."""
        return 0, self.handle


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """The stream of CUDA's handle, which another library made. Raises DeviceMissing without a GPU."""
    return ExternalStream(data_ptr, device)


class Event:
    """A mark in a stream, to wait for or to take times at.

    Raises:
        DeviceMissing: without a GPU; ``time.perf_counter`` takes times on the CPU.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if not library.device_count():
            raise DeviceMissing(
                "torch.cuda.Event requires CUDA support: distrt finds no GPU here; take times with "
                "time.perf_counter()"
            )
        self._mark = cupy().cuda.Event(blocking, not enable_timing, interprocess)
        self._times = enable_timing

    def record(self, stream: Stream | None = None) -> None:
        """Puts the mark at the end of a stream, by default the current one."""
        self._mark.record((current_stream() if stream is None else stream)._queue)

    def query(self) -> bool:
        """True where all work before the mark is done."""
        return bool(self._mark.done)

    def wait(self, stream: Stream | None = None) -> None:
        """Lets what is queued in a stream from now on wait for the mark."""
        (current_stream() if stream is None else stream).wait_event(self)

    def synchronize(self) -> None:
        """Waits until all work before the mark is done."""
        self._mark.synchronize()
        gpu.faults.raise_found()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to another one.

        Raises:
            ValueError: for marks that take no times.
        """
        if not (self._times and end_event._times):
            raise ValueError(
                "Both events must be created with argument 'enable_timing=True' to use elapsed_time()"
            )
        return float(cupy().cuda.get_elapsed_time(self._mark, end_event._mark))


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to."""
    number = number_of(device)
    return Stream._of(cupy().cuda.get_current_stream(number), number)


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to where none was chosen."""
    return Stream._of(cupy().cuda.Stream.null, number_of(device))


def set_stream(stream: Stream | None) -> None:
    """Makes a stream the one that work goes to."""
    if stream is None:
        return
    cupy().cuda.Device(stream.device_index).use()
    stream._queue.use()


def is_current_stream_capturing() -> bool:
    """True while a CUDA graph is recorded."""
    return bool(library.device_count()) and bool(current_stream()._queue.is_capturing())


class StreamContext:
    """A block whose work goes into a stream; with None, as without a GPU, nothing is different."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self._before: tuple[Stream, ...] = ()

    def __enter__(self) -> None:
        if self.stream is not None:
            self._before = current_stream(self.stream.device_index), current_stream()
            set_stream(self.stream)

    def __exit__(self, *exception: object) -> None:
        for each in self._before:  # that of the stream's GPU, then that of the one which was current
            set_stream(each)


def stream(stream: Stream | None) -> StreamContext:
    """The block of ``StreamContext``."""
    return StreamContext(stream)
