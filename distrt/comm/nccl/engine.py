"""`StreamEngine`: queues the operations of a group on its GPU's stream, and watches over them from a thread.

The caller's stream comes first, the result is waited for by streams, and the program goes on. What keeps an operation
from ending is found by the watching thread: it compares the ranks' status pages, asks NCCL for errors and the CPU's
transport for ranks that are gone, counts the time, and ends all by aborting the communicators.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from distrt.comm.diagnosis import Describe, Diagnosis
from distrt.comm.nccl.channel import Channel
from distrt.comm.nccl.settings import ABORT_ONLY, IGNORE, Settings
from distrt.comm.nccl.work import StreamWork
from distrt.comm.progress import Label, Operation
from distrt.comm.transport import Transport
from distrt.core.errors import DistributedError
from distrt.core.gpu import library as gpus

__all__ = ["StreamEngine"]

_LOOK_EVERY_S = 0.02
_IDLE_S = 1.0  # how long the watching thread stays without anything to watch
_GONE_FOR_S = 0.5  # a rank that is gone may have done its part: its GPU's last words are on their way
_LINGER_S = 10.0  # at the end, for what the GPU has not done
_GRACE_S = 10.0  # for the program to come across the error by itself


class StreamEngine:
    """Drives the operations of one group on one rank.

    Args:
        transport: shows other ranks.
        diagnosis: finds out why an operation takes long.
        describe: puts the rank and a label in front of a message.
        timeout_s: how long an operation may take from when the one before it has ended.
        settings: what users set.

    Attributes:
        failed: why the group is of no use any more.
        error: that, as it is raised.
        was_told: the program has come across it.
    """

    glances = 0

    def __init__(
        self,
        transport: Transport,
        diagnosis: Diagnosis,
        describe: Describe,
        timeout_s: float,
        settings: Settings,
    ) -> None:
        self.timeout_s = timeout_s
        self.settings = settings
        self.describe = describe
        self.failed: str | None = None
        self.error: BaseException | None = None
        self.was_told = False
        self._transport, self._diagnosis = transport, diagnosis
        self._channels: list[Channel] = []
        self._lock = threading.Lock()
        self._outstanding: list[StreamWork] = []
        self._watcher: threading.Thread | None = None
        self._news = threading.Event()
        self._is_closed = False
        self._gone_since: float | None = None
        self._vigil = diagnosis.vigil()

    @property
    def is_idle(self) -> bool:
        """Whether the GPU has done all that it was given."""
        return not self._outstanding

    def start(
        self,
        operation: Operation,
        label: Label,
        finish: Callable[[], object] | None,
        ended: Callable[[], object],
    ) -> StreamWork:
        """Queue an operation; ``finish`` is queued behind it.

        Args:
            operation: its ``queue`` is the channel.
            label: its name and number.
            finish: more work for the GPU, which brings results home.
            ended: called when the GPU is done.
        """
        channel = operation.queue
        assert isinstance(channel, Channel), "NcclTransport gives no other"
        work = StreamWork(self, channel, label, ended)
        work.kept = (operation.steps, finish)  # which hold the arrays
        channel.open()
        if channel not in self._channels:
            self._channels.append(channel)
        with self._lock:
            self._outstanding.append(work)
        self._watch_over()
        try:
            self._queue(work, channel, operation, finish)
        except BaseException as error:
            raise self._refused(work, error) from error
        if self.error is not None and work.error is None:
            work.error = self.error  # it was aborted meanwhile
        return work

    def _queue(
        self, work: StreamWork, channel: Channel, operation: Operation, finish: Callable[[], object] | None
    ) -> None:
        cuda = gpus.find().cuda
        with cuda.Device(channel.device):
            before = cuda.Event(disable_timing=True)
            work.asked_in = cuda.get_current_stream()
            before.record(work.asked_in)
            channel.stream.wait_event(before)
            with channel.stream:
                work.value = next(operation.steps)
                work.kept = (*work.kept, work.value)
                if finish is not None:
                    finish()
            done = cuda.Event(disable_timing=True)
            done.record(channel.stream)
            work.done = done

    def _refused(self, work: StreamWork, error: BaseException) -> BaseException:
        """NCCL does not take an operation: because it was aborted, or by itself."""
        if self.error is None:
            told = error
            if isinstance(error, Exception) and not isinstance(error, DistributedError):
                told = DistributedError(self.describe(f"NCCL: {error}", *work.label))
            self._fail(told)
        self.was_told = True
        assert self.error is not None, "just set"
        return self.error

    def progress(self) -> None:
        """Nothing to do: the GPU goes on by itself."""

    def raise_failure(self) -> None:
        """Raise what the watching thread has found.

        Raises:
            DistributedError: there is something.
        """
        if self.error is not None:
            self.was_told = True
            raise self.error

    def drain(self) -> None:
        """Return when the GPU has done all that it was given; the watching thread sees to it that this ends.

        Raises:
            DistributedError: an operation failed.
        """
        for work in tuple(self._outstanding):
            try:
                work.wait_for_device()
            except BaseException:
                self.was_told = True
                raise

    def give_up(self, error: BaseException) -> None:
        """After this failure the group cannot be used any more."""
        self._fail(error)

    def close(self) -> None:
        """End the communicators: well, where the GPU has done all that it was given; else by aborting them."""
        if not self.is_idle and self.error is None:
            deadline = time.monotonic() + _LINGER_S
            while not self.is_idle and self.error is None and time.monotonic() < deadline:
                self._settle_those_done()
                time.sleep(_LOOK_EVERY_S)
        is_well = self.is_idle and self.error is None
        self._is_closed = True
        for channel in self._channels:
            channel.close() if is_well else channel.abort()
        self._news.set()
        watcher = self._watcher
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(timeout=1.0)
        self._end_all(DistributedError("the group was closed before this was done"))

    # What the watching thread asks.

    def absent(self, work: StreamWork) -> list[int]:
        """The ranks of ``work`` that have not come, as far as pages tell; the other rank of a message."""
        if not work.label[1]:
            return work.channel.peers
        return [rank for rank in self._diagnosis.absent(work.label[1]) if rank in work.channel.peers]

    def lost(self, work: StreamWork) -> str | None:
        """Why ``work`` will never be over: a rank has been gone for a while, and the GPU is still at it."""
        text = self._transport.gone(work.channel.peers)
        now = time.monotonic()
        if text is None:
            self._gone_since = None
            return None
        self._gone_since = self._gone_since or now
        return text if now - self._gone_since > _GONE_FOR_S else None

    # The watching thread.

    def _watch_over(self) -> None:
        with self._lock:
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._watch, name="distrt nccl watchdog", daemon=True)
                self._watcher.start()
        self._news.set()

    def _watch(self) -> None:
        if self._channels:  # else to ask for an event would take memory of the first GPU
            gpus.find().cuda.Device(self._channels[0].device).use()
        turned_to: StreamWork | None = None
        since = 0.0
        while not self._is_closed and self.error is None:
            first = self._settle_those_done()
            if first is None:
                if not self._wait_for_news():
                    return
                continue
            now = time.monotonic()
            if first is not turned_to:
                turned_to, since = first, now
                self._vigil.turn_to(first.wait_now)
            try:
                self._look_at(first, now, since)
            except Exception as error:
                self._fail(error)
            time.sleep(_LOOK_EVERY_S)
        if self.error is not None and not self._is_closed:
            self._see_to_it_that_it_is_told()

    def _look_at(self, work: StreamWork, now: float, since: float) -> None:
        if self.settings.error_handling != IGNORE:
            for channel in self._channels:
                if (found := channel.error()) is not None:
                    raise self._diagnosis.failure(f"NCCL: {found}", work.label)
        self._vigil.begin(now)
        self._vigil.look(now, work.label)
        if now - since >= self.timeout_s and not work.is_over:
            raise self._diagnosis.late(self.timeout_s, self.absent(work) or work.channel.peers, work.label)

    def _settle_those_done(self) -> StreamWork | None:
        """Take leave of what the GPU has done; the first that it has not."""
        with self._lock:
            over = [work for work in self._outstanding if work.is_over]
            self._outstanding = [work for work in self._outstanding if work not in over]
            first = self._outstanding[0] if self._outstanding else None
        for work in over:
            work.settle()
        return first

    def _wait_for_news(self) -> bool:
        """Sleep until something is launched; False when the thread has to end."""
        self._news.clear()
        if not self._outstanding and not self._is_closed and not self._news.wait(_IDLE_S):
            with self._lock:
                if not self._outstanding:
                    self._watcher = None  # it holds the engine, and with it the group
                    return False
        return True

    def _fail(self, error: BaseException) -> None:
        if self.error is not None:
            return
        self.failed = str(error).partition("\n")[0] or type(error).__name__
        self.error = error
        self._diagnosis.give_up(self.failed)
        for channel in self._channels:
            channel.abort()
        self._end_all(error)

    def _end_all(self, error: BaseException) -> None:
        with self._lock:
            ended, self._outstanding = self._outstanding, []
        for work in ended:
            work.error = work.error or error
            work.settle()

    def _see_to_it_that_it_is_told(self) -> None:
        """End the process, if the program goes on as if all were well: what its GPU has computed is worth nothing.

        It has `_GRACE_S` to come across the error, which its next call in the group raises.
        """
        if self.settings.error_handling in (IGNORE, ABORT_ONLY):
            return
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            if self.was_told or self._is_closed:
                return
            time.sleep(_LOOK_EVERY_S)
        page = self._transport.page
        if page is not None:
            page.fail(str(self.error))
        sys.stderr.write(
            f"{self.error}\nThe program has not asked about it in {_GRACE_S:g} s: ending the process "
            "(TORCH_NCCL_ASYNC_ERROR_HANDLING=2 leaves it alone)\n"
        )
        sys.stderr.flush()
        os._exit(1)
