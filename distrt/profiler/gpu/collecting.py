"""``Collector``: has CUPTI record what GPUs do for this process, from ``start`` to ``stop``, on the profiler's clock.

CUPTI asks for room and gives it back full, through two functions of Python's that do next to nothing: it may call them
in a thread of its own, which waits until no other runs Python, and in whichever thread launches something.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import time
from collections.abc import Iterator
from ctypes import byref, c_size_t, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np

from distrt.core.gpu import memory
from distrt.core.gpu.library import current, find
from distrt.core.process.users_code import warn
from distrt.profiler.gpu import records
from distrt.profiler.gpu.library import Cupti, CuptiError, OnComplete, OnEvent, OnRequest, library
from distrt.profiler.gpu.names import copy_name, kernel_name, setting_name

__all__ = ["Collected", "Collector", "Launch", "Work", "started"]

_BUFFER_BYTES = 4 << 20  # of some 20 000 kernels
_CUSTOM = 3  # CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0: the ids are ours
_SYSTEMS_THREAD_IDS, _FLUSH_FORCED = 1, 1
_DRIVER, _RUNTIME = 1, 2  # domains of callbacks
_RUNTIME_KIND = 5


class Launch(NamedTuple):
    """A call of CUDA's, in nanoseconds of the profiler's clock; ``thread`` is the system's number."""

    name: str
    is_runtime: bool
    number: int
    correlation: int
    thread: int
    began_ns: int
    ended_ns: int


class Work(NamedTuple):
    """Something that a GPU did; ``details`` are what the trace tells of it."""

    category: str
    name: str
    device: int
    stream: int
    correlation: int
    began_ns: int
    ended_ns: int
    details: dict[str, Any]


class Collected(NamedTuple):
    """What a recording has of GPUs; ``links`` has the pushed id by correlation."""

    works: list[Work]
    launches: list[Launch]
    links: dict[int, int]


class _Moment(NamedTuple):
    """A moment by both clocks."""

    ours_ns: int
    cuptis_ns: int


class _Room:
    """Buffers: those that CUPTI has, and those that it gave back, each with how much of it is written."""

    def __init__(self) -> None:
        self.given: dict[int, Any] = {}
        self.full: list[tuple[Any, int]] = []
        self.dropped = 0
        self.requested, self.completed = OnRequest(self._request), OnComplete(self._complete)

    def _request(self, buffer: Any, size: Any, most: Any) -> None:
        made = np.empty(_BUFFER_BYTES // 8, np.uint64)
        self.given[made.ctypes.data] = made
        buffer[0], size[0], most[0] = made.ctypes.data, _BUFFER_BYTES, 0

    def _complete(self, context: int, stream: int, buffer: int, size: int, written: int) -> None:
        made = self.given.pop(buffer, None)
        if made is not None and written:
            self.full.append((made, written))
        lost = c_size_t()
        if not library().functions.cuptiActivityGetNumDroppedRecords(context, stream, byref(lost)):
            self.dropped += lost.value


@functools.cache
def _room() -> _Room:
    """Registered once and never given up: CUPTI may call at any time from then on."""
    made = _Room()
    library().call("cuptiActivityRegisterCallbacks", made.requested, made.completed)
    return made


def _hear(given: int, domain: int, number: int, data: int) -> None:
    """Nothing is subscribed to."""


_hears = OnEvent(_hear)
_generations = itertools.count(1)
_ID_BITS = (
    40  # of an event's number; above them is the recording's, so that old ids mean nothing in a new one
)


def started() -> Collector | None:
    """A collector that runs; None, with a warning that says why, where CUPTI does not record."""
    made = None
    try:
        made = Collector(library())
        made.start()
        return made
    except CuptiError as error:
        if made is not None:
            made.give_up()
        warn(f"CUDA profiling is off, and what the CPU does is measured all the same: {error}")
        return None


class Collector:
    """One recording."""

    def __init__(self, cupti: Cupti) -> None:
        self._cupti = cupti
        self._first = next(_generations) << _ID_BITS
        self._push = cupti.functions.cuptiActivityPushExternalCorrelationId
        self._pop = cupti.functions.cuptiActivityPopExternalCorrelationId
        self._enabled: list[int] = []
        self._subscriber = c_void_p()
        self._process = os.getpid()

    def start(self) -> None:
        """Has CUPTI record from now on.

        Raises:
            CuptiError: it refuses, such as where another profiler has it.
        """
        self._cupti.call("cuptiSubscribe", byref(self._subscriber), _hears, None)
        self._cupti.functions.cuptiSetThreadIdType(_SYSTEMS_THREAD_IDS)
        _room().full.clear()
        _room().dropped = 0
        atexit.register(self.give_up)
        self.resume()
        self._began = self._moment()

    def resume(self) -> None:
        """Goes on."""
        for kind in records.KINDS:
            if kind not in self._enabled:
                self._cupti.call("cuptiActivityEnable", kind)
                self._enabled.append(kind)

    def pause(self) -> None:
        """Records nothing until ``resume``."""
        while self._enabled:
            self._cupti.functions.cuptiActivityDisable(self._enabled.pop())

    def push(self, number: int) -> None:
        """What this thread launches belongs to this event, until ``pop``."""
        self._push(_CUSTOM, self._first + number)

    def pop(self) -> None:
        """The innermost event of this thread is over."""
        self._pop(_CUSTOM, None)

    def stop(self) -> Collected:
        """Waits for the GPUs, and gives all that they did. CUPTI records nothing from then on, whatever goes wrong."""
        try:
            self._synchronize()
            ended = self._moment()
        finally:
            self.give_up()
        room = _room()
        if room.dropped:
            warn(f"CUPTI has dropped {room.dropped} records: the times of GPUs are not complete")
        full, room.full = room.full, []
        return _Reading(self._cupti, self._first, self._began, ended).of(full)

    def give_up(self) -> None:
        """Switches all of it off; nothing in a process that was forked meanwhile, which has no part in it."""
        atexit.unregister(self.give_up)
        if os.getpid() != self._process:
            return
        self.pause()
        self._cupti.functions.cuptiActivityFlushAll(_FLUSH_FORCED)
        if self._subscriber:
            self._cupti.functions.cuptiUnsubscribe(self._subscriber)
            self._subscriber = c_void_p()

    def _synchronize(self) -> None:
        cupy = find()
        for number in sorted({current(), *memory.counts}):
            try:
                with cupy.cuda.Device(number):
                    cupy.cuda.runtime.deviceSynchronize()
            except cupy.cuda.runtime.CUDARuntimeError as error:
                warn(f"the times of GPU {number} are not complete: {error}")

    def _moment(self) -> _Moment:
        """The closest of a few looks at both clocks."""
        best: tuple[int, _Moment] | None = None
        for _ in range(8):
            theirs = c_uint64()
            before = time.perf_counter_ns()
            self._cupti.call("cuptiGetTimestamp", byref(theirs))
            after = time.perf_counter_ns()
            if best is None or after - before < best[0]:
                best = after - before, _Moment((before + after) // 2, theirs.value)
        assert best is not None
        return best[1]


class _Reading:
    """Records become what they say, with times on the profiler's clock."""

    def __init__(self, cupti: Cupti, first: int, began: _Moment, ended: _Moment) -> None:
        self._cupti, self._first, self._began = cupti, first, began
        passed = ended.cuptis_ns - began.cuptis_ns
        self._rate = (ended.ours_ns - began.ours_ns) / passed if passed > 0 else 1.0

    def of(self, buffers: list[tuple[Any, int]]) -> Collected:
        """All that is in the buffers."""
        found = Collected([], [], {})
        for buffer, written in buffers:
            for each in records.records_in(self._cupti, buffer.ctypes.data, written):
                if isinstance(each, records.Link):
                    if each.externalKind == _CUSTOM:
                        found.links[each.correlationId] = each.externalId - self._first
                elif isinstance(each, records.Call):
                    found.launches.append(self._launch(each))
                elif each.end:  # 0 for what has not ended
                    found.works.append(self._work(each))
        return found

    def _ours_ns(self, theirs_ns: int) -> int:
        return self._began.ours_ns + round((theirs_ns - self._began.cuptis_ns) * self._rate)

    def _launch(self, call: records.Call) -> Launch:
        is_runtime = call.kind == _RUNTIME_KIND
        return Launch(
            self._cupti.name_of_call(_RUNTIME if is_runtime else _DRIVER, call.cbid),
            is_runtime,
            call.cbid,
            call.correlationId,
            call.threadId,
            self._ours_ns(call.start),
            self._ours_ns(call.end),
        )

    def _work(self, record: Any) -> Work:
        details: dict[str, Any] = dict(_details(record))
        if isinstance(record, records.Kernel):
            category, name = "kernel", kernel_name(record.name)
        elif isinstance(record, records.Setting):
            category, name = "gpu_memset", setting_name(record.memoryKind)
        else:
            category, name = "gpu_memcpy", copy_name(record.copyKind, record.srcKind, record.dstKind)
        return Work(
            category,
            name,
            record.deviceId,
            record.streamId,
            record.correlationId,
            self._ours_ns(record.start),
            self._ours_ns(record.end),
            details,
        )


def _details(record: Any) -> Iterator[tuple[str, Any]]:
    """What Kineto's traces tell, under its names."""
    yield "device", record.deviceId
    yield "context", record.contextId
    yield "stream", record.streamId
    yield "correlation", record.correlationId
    if isinstance(record, records.Kernel):
        yield "registers per thread", record.registersPerThread
        yield "shared memory", record.staticSharedMemory + record.dynamicSharedMemory
        yield "grid", [record.gridX, record.gridY, record.gridZ]
        yield "block", [record.blockX, record.blockY, record.blockZ]
    else:
        yield "bytes", record.bytes
        if isinstance(record, records.Copy | records.CopyBetween) and record.end > record.start:
            yield "memory bandwidth (GB/s)", record.bytes / (record.end - record.start)
    if record.graphNodeId:
        yield "graph id", record.graphId
        yield "graph node id", record.graphNodeId
