"""``Recorder``: watches the calls of a program and notes those that have a label, nested as they were.

Python itself tells of every call and return (``sys.setprofile``), so operations need not look at a flag; it does so in
the thread that began to record, and in threads that start afterwards. Times are those of a clock that all processes of
a machine share (``time.perf_counter``), so traces of several ranks fit together.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import types
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import memory_of
from distrt.core.gpu.memory import counts
from distrt.core.process import activity
from distrt.core.process.activity import CHECKPOINT
from distrt.core.process.forking import lock_across_forks
from distrt.core.process.users_code import users_frame, warn
from distrt.core.tensor import Tensor
from distrt.profiler.events import EventList, FunctionEvent, TimeRange
from distrt.profiler.exchanges import Exchanges
from distrt.profiler.timeline import Timeline
from distrt.tracing.flops import flops_of

if TYPE_CHECKING:
    from distrt.profiler.gpu.collecting import Collector

__all__ = ["Recorder", "running"]


_running: Recorder | None = None
_starting = lock_across_forks()  # held to begin: two threads may want to at once


def _forget() -> None:
    """In a forked process nobody records: its threads hear so at their next call."""
    global _running
    _running = None


os.register_at_fork(after_in_child=_forget)


@atexit.register
def _leave_the_end_alone() -> None:
    """A recording that nobody has stopped: Python's own end calls what has lost its modules."""
    if _running is not None:
        sys.setprofile(None)


def running() -> Recorder | None:
    """The recorder that is at work in this process."""
    return _running


class Open:
    """An event that has not ended yet."""

    __slots__ = (
        "args",
        "began_ns",
        "children",
        "flops",
        "frame",
        "gpu_bytes",
        "known",
        "made_bytes",
        "name",
        "number",
        "shapes",
        "stack",
    )

    def __init__(self, number: int, name: str, frame: types.FrameType | None, args: str | None) -> None:
        self.number, self.name, self.frame, self.args = number, name, frame, args
        self.children: list[FunctionEvent] = []
        self.known: list[
            weakref.ref[Any]
        ] = []  # arrays that it was given, or that calls within have handed out
        self.made_bytes = 0
        self.gpu_bytes = 0  # that arrays took when it began
        self.shapes: list[Any] = []
        self.stack: list[str] = []
        self.flops = 0
        self.began_ns = time.perf_counter_ns()


class _Thread(threading.local):
    """The open events of a thread, the outermost first."""

    def __init__(self) -> None:
        self.open: list[Open] = []
        self.number = 0


class Recorder:
    """One recording.

    Args:
        record_shapes, profile_memory, with_stack, with_flops: what is noted beside times.
        sees_operations: False for annotations only.
        sees_gpus: what GPUs do as well; a warning where that cannot be had.

    Raises:
        RuntimeError: another recording is running.
    """

    def __init__(
        self,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        sees_operations: bool = True,
        sees_gpus: bool = False,
    ) -> None:
        self._sees_gpus = sees_gpus
        self._gpus: Collector | None = None
        self._of_gpus: list[FunctionEvent] = []  # what they did, and the calls of CUDA's for it
        self._shapes, self._memory, self._stacks = record_shapes or with_flops, profile_memory, with_stack
        self._shows_shapes, self._flops, self._sees_operations = record_shapes, with_flops, sees_operations
        self._events: list[FunctionEvent] = []
        self._lock = threading.Lock()
        self._threads: dict[int, int] = {}  # by the system's number
        self._thread = _Thread()
        self._count = 0
        self._before: Any = None
        self.timeline = Timeline()
        self._exchanges = Exchanges(self._calling, self._next_numbers, record_shapes)
        self.began_ns = self.ended_ns = 0

    def start(self) -> None:
        """Watches this thread, and those that it starts from now on."""
        global _running
        if self._sees_operations:
            from distrt.profiler.labels import label_of  # it learns every operation first

            self._label_of = label_of
        with _starting:
            if _running is not None:
                raise RuntimeError("Profiler is already enabled on this thread: a recording is running")
            _running = self
        self._before = sys.getprofile()
        self._number_of_thread()
        self.timeline = Timeline()
        self._phases = _Phases(self, CHECKPOINT if self._sees_operations else None)
        for each in (self.timeline, self._phases, self._exchanges):
            activity.listen(each)
        if self._sees_gpus:
            self._start_gpus()
        self.began_ns = time.perf_counter_ns()
        if self._sees_operations:
            threading.setprofile(self._hear)
            sys.setprofile(self._hear)

    def stop(self) -> None:
        """Stops; what has not ended ends now."""
        global _running
        self.ended_ns = time.perf_counter_ns()
        is_ours = _running is self  # not in a process that was forked meanwhile
        if is_ours:
            if self._sees_operations:
                sys.setprofile(self._before)
                threading.setprofile(None)
            _running = None
        for each in (self._exchanges, self._phases, self.timeline):
            activity.leave(each)
        while self._thread.open:
            self._end(self._thread.open[-1], None)
        if self._gpus is not None and is_ours:
            self._stop_gpus(self._gpus)

    def _start_gpus(self) -> None:
        from distrt.profiler.gpu.collecting import started  # nobody else needs CUPTI

        try:
            self._gpus = started()
        except BaseException:  # such as its warning, where warnings are errors
            self.stop()
            raise

    def _stop_gpus(self, gpus: Collector) -> None:
        from distrt.profiler.gpu.library import CuptiError
        from distrt.profiler.gpu.owners import attributed

        try:
            self._of_gpus = attributed(gpus.stop(), self._events, self._number_of)
        except CuptiError as error:
            warn(f"what GPUs did is lost, and what the CPU did is not: {error}")
        self.ended_ns = time.perf_counter_ns()  # they were waited for

    def forget(self) -> None:
        """Leaves nothing of what has been recorded."""
        self._events.clear()
        self._of_gpus.clear()
        self.timeline = Timeline()

    def see_operations(self, sees: bool) -> None:
        """Leaves out this thread's operations from now on, or goes on with them."""
        if self._sees_operations:
            sys.setprofile(self._hear if sees else self._before)

    def see_gpus(self, sees: bool) -> None:
        """Leaves out what GPUs do from now on, or goes on with it."""
        if self._gpus is not None:
            (self._gpus.resume if sees else self._gpus.pause)()

    def events(self) -> EventList:
        """What has been recorded, in the order in which it began."""
        events = sorted([*self._events, *self._exchanges.events], key=lambda each: each.id)
        if self._of_gpus:
            events = sorted([*events, *self._of_gpus], key=lambda each: each.time_range.start)
        return EventList(events, self._memory, self._flops)

    @property
    def threads(self) -> dict[int, int]:
        """The system's number of each thread, by ours."""
        return {number: native for native, number in self._threads.items()}

    # -- calls

    def _hear(self, frame: types.FrameType, event: str, value: Any) -> None:
        if _running is not self:  # a thread that has outlived the recording
            sys.setprofile(None)
            return
        if event == "call":
            name = self._label_of(frame)
            if name is not None:
                opened = self._thread.open
                if opened and opened[-1].name == name and opened[-1].frame is not None:
                    return  # a function that only hands on to the operation of its name
                self._begin(name, frame)
        elif event == "return":
            opened = self._thread.open
            if opened and opened[-1].frame is frame:
                self._end(opened[-1], value)

    def begin(self, name: str, args: str | None = None) -> Open:
        """A block of the user's begins."""
        return self._begin(name, None, args)

    def end(self, event: Open) -> None:
        """It ends, and with it what was left open within; nothing where the recording has ended before."""
        if event in self._thread.open:
            while self._thread.open[-1] is not event:
                self._end(self._thread.open[-1], None)
            self._end(event, None)

    def _calling(self) -> types.FrameType | None:
        """The frame of the innermost call of a group that runs in this thread."""
        opened = reversed(self._thread.open)
        return next((each.frame for each in opened if each.name.startswith("c10d::")), None)

    def _next_numbers(self) -> tuple[int, int]:
        with self._lock:
            number, self._count = self._count, self._count + 1
        return number, self._thread.number or self._number_of_thread()

    def _begin(self, name: str, frame: types.FrameType | None, args: str | None = None) -> Open:
        with self._lock:
            number, self._count = self._count, self._count + 1
        made = Open(number, name, frame, args)
        if frame is not None and self._shapes:
            made.shapes = _shapes_of(frame)
        if frame is not None and self._memory:
            made.known = [weakref.ref(owner) for owner, _ in _owners_in(frame.f_locals.values())]
        if self._stacks:
            made.stack = list(_users_lines(frame or sys._getframe(2)))
        if self._gpus is not None:
            self._gpus.push(number)
            if self._memory:
                made.gpu_bytes = gpu_bytes()
        self._thread.open.append(made)
        made.began_ns = time.perf_counter_ns()  # what was noted before costs the caller, not the call
        return made

    def _end(self, event: Open, result: Any) -> None:
        ended_ns = time.perf_counter_ns()
        opened = self._thread.open
        opened.pop()
        if self._gpus is not None:
            self._gpus.pop()
        if self._memory:
            owners = list(_owners_in((result,)))
            known = {id(array) for array in (known() for known in event.known) if array is not None}
            event.made_bytes += sum(nbytes for owner, nbytes in owners if id(owner) not in known)
        if self._flops and isinstance(result, Tensor):
            event.flops = flops_of(event.name.removeprefix("aten::"), event.shapes, tuple(result.shape))
        found = FunctionEvent(
            id=event.number,
            trace_name=event.name,
            thread=self._thread.number or self._number_of_thread(),
            time_range=TimeRange(event.began_ns / 1e3, ended_ns / 1e3),
            input_shapes=event.shapes if self._shows_shapes else [],
            cpu_memory_usage=event.made_bytes,
            flops=event.flops,
            stack=event.stack,
            is_user_annotation=event.frame is None,
            cpu_children=event.children,
            args=event.args,
            use_device=None if self._gpus is None else "cuda",
            device_memory_usage=gpu_bytes() - event.gpu_bytes
            if self._gpus is not None and self._memory
            else 0,
        )
        for child in event.children:
            child.cpu_parent = found
        if opened:
            opened[-1].children.append(found)
            opened[-1].made_bytes += event.made_bytes
            if self._memory and opened[-1].frame is not None:  # a block of the user's hands out nothing
                opened[-1].known += (weakref.ref(owner) for owner, _ in owners)
        self._events.append(found)

    def _number_of_thread(self) -> int:
        self._thread.number = self._number_of(threading.get_native_id())
        return self._thread.number

    def _number_of(self, native: int) -> int:
        with self._lock:
            return self._threads.setdefault(native, len(self._threads) + 1)


class _Phases(activity.Listener):
    """Shows phases among the calls: all of them, or ``only`` those of a kind that no call's name tells."""

    def __init__(self, recorder: Recorder, only: str | None) -> None:
        self._recorder, self._only = recorder, only
        self._open: list[Open | None] = []
        self._thread = threading.get_ident()

    def begin(self, kind: str) -> None:
        if threading.get_ident() != self._thread:
            return
        opened = self._recorder._thread.open
        is_told = opened and opened[-1].name in ("distrt::save", "distrt::load")
        is_shown = (self._only is None or kind == self._only) and not is_told
        self._open.append(self._recorder.begin(f"distrt::{kind}") if is_shown else None)

    def end(self, kind: str) -> None:
        if threading.get_ident() == self._thread and self._open and (event := self._open.pop()) is not None:
            self._recorder.end(event)


def _shapes_of(frame: types.FrameType) -> list[Any]:
    """The shapes of a call's arguments; [] for what is no tensor."""
    code, values = frame.f_code, frame.f_locals
    if code.co_name == "backward":
        return []
    names = code.co_varnames[: code.co_argcount]
    return [_shape(values[name]) for name in names if name not in ("out", "self") or _shape(values[name])]


def _shape(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return list(value.shape)
    if isinstance(value, list | tuple) and value and all(isinstance(each, Tensor) for each in value):
        return [list(each.shape) for each in value]
    return []


def gpu_bytes() -> int:
    """What arrays take of all GPUs of this process."""
    return sum(each.used for each in list(counts.values()))


def _owners_in(values: Iterable[Any]) -> Iterator[tuple[np.ndarray, int]]:
    """Whose memory tensors and arrays lie in, and how much of it they take."""
    for each in values:
        if isinstance(each, tuple | list):
            yield from _owners_in(each)
            continue
        array = each._array if isinstance(each, Tensor) else each
        if isinstance(array, np.ndarray):
            owner = memory_of(array)
            yield owner, min(array.nbytes, owner.nbytes)


def _users_lines(frame: types.FrameType | None) -> Iterator[str]:
    """``file(line): function`` of the frames that are not distrt's own, the innermost first."""
    while (frame := users_frame(frame)) is not None:
        yield f"{frame.f_code.co_filename}({frame.f_lineno}): {frame.f_code.co_name}"
        frame = frame.f_back
