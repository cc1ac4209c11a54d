"""`StreamWork`: an operation that is queued on a GPU.

``wait()`` is PyTorch's on GPUs: the caller's current stream waits for the result, the program does not. Under
``TORCH_NCCL_BLOCKING_WAIT=1``, and where ``wait`` gets a time-out, the program waits, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from distrt.comm.nccl.channel import Channel
from distrt.comm.progress import Label, Wait
from distrt.comm.work import Work, seconds_of
from distrt.core.errors import CollectiveTimeout
from distrt.core.gpu import library as gpus

if TYPE_CHECKING:
    from distrt.comm.nccl.engine import StreamEngine

__all__ = ["StreamWork"]

_POLL_S = 0.0005


class StreamWork(Work):
    """A launched operation.

    Args:
        engine: what watches over it.
        channel: what carries it.
        label: its name and number.
        ended: called when the GPU is done with it, well or not; on the watching thread.
    """

    __slots__ = (
        "_callbacks",
        "_engine",
        "_has_ended",
        "asked_in",
        "channel",
        "done",
        "ended",
        "error",
        "kept",
        "label",
        "since",
        "value",
        "wait_now",
    )

    def __init__(
        self,
        engine: StreamEngine,
        channel: Channel,
        label: Label,
        ended: Callable[[], object],
    ) -> None:
        super().__init__()
        self._engine, self.channel, self.label = engine, channel, label
        self.ended = ended
        self.since = time.monotonic()
        self.done: Any = None  # an event behind it, once it is queued
        self.error: BaseException | None = None
        self.value: Any = None
        self.kept: Any = None  # arrays that the GPU still needs
        self.asked_in: Any = None  # the caller's stream
        self.wait_now = OnDevice(self)
        self._callbacks: list[Callable[[], object]] = []
        self._has_ended = False

    @property
    def is_queued(self) -> bool:  # type: ignore[override]
        """Whether ``wait`` has a stream wait, and the program go on."""
        return not self._engine.settings.blocking_wait

    @property
    def is_over(self) -> bool:
        """Whether the GPU is done with it."""
        return self._has_ended or self.error is not None or (self.done is not None and bool(self.done.done))

    def settle(self) -> None:
        """The GPU is done, or will never be (by the watching thread)."""
        if not self._has_ended:
            self._has_ended = True
            self._let_go()
            self.ended()

    def is_completed(self) -> bool:
        """Whether the GPU is done with it."""
        if not self.is_over:
            return False
        self._call_back()
        return True

    def exception(self) -> BaseException | None:
        """None as long as nothing is known to be wrong."""
        return self.error

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """The current stream waits for the result; the program only where it was told to.

        Raises:
            CollectiveTimeout: the GPU is not done after ``timeout``, and may still be.
            DistributedError: it failed.
        """
        given_s = seconds_of(timeout)
        if given_s is not None or self._engine.settings.blocking_wait:
            self._wait_for_device(given_s)
        if self.error is not None:
            raise self.error
        if self.done is not None:
            cuda = gpus.find().cuda
            with cuda.Device(self.channel.device):
                stream = cuda.get_current_stream()
                stream.wait_event(self.done)
            if stream == self.asked_in:
                self._let_go()
        self._call_back()
        return True

    def _let_go(self) -> None:
        """The arrays may go: their memory is given to what comes behind the result in the stream that they are of.

        Else they would stay until the watching thread has looked, which in a sharded model is units later.
        """
        self.kept = None
        if not isinstance(self.value, int):
            self.value = None

    def wait_for_device(self) -> None:
        """The program waits until the GPU is done; the watching thread sees to it that this ends.

        Raises:
            DistributedError: it failed.
        """
        self._wait_for_device(None)
        if self.error is not None:
            raise self.error

    def _wait_for_device(self, given_s: float | None) -> None:
        began = time.monotonic()
        while not self.is_over:
            if given_s is not None and time.monotonic() - began >= given_s:
                operation, number = self.label
                raise CollectiveTimeout(
                    self._engine.describe(
                        f"the GPU has not done it after {given_s:g} s: wait longer", operation, number
                    )
                )
            time.sleep(_POLL_S)

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """When somebody waits, or asks and it is done: in the caller's thread, and behind it in his stream."""
        if self._callbacks is _CALLED:
            callback()
        else:
            self._callbacks.append(callback)

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, _CALLED
        for callback in callbacks:
            callback()

    def source_rank(self) -> int:
        """Where a message came from."""
        return int(self.value) if isinstance(self.value, int) else super().source_rank()


_CALLED: list[
    Callable[[], object]
] = []  # in the place of a work's callbacks, when they have been called; stays empty


class OnDevice(Wait):
    """Waiting for the GPU, as `distrt.comm.diagnosis` looks at it."""

    __slots__ = ("_work",)

    def __init__(self, work: StreamWork) -> None:
        self._work = work

    def is_over(self) -> bool:
        return self._work.is_over

    def sleep(self, seconds: float, sleeper: int) -> None:
        time.sleep(seconds)

    def missing(self) -> list[int]:
        """Those whose pages do not say that they have come: where all have, it is the GPUs that take long."""
        return self._work._engine.absent(self._work)

    def lost(self) -> str | None:
        return self._work._engine.lost(self._work)
