"""Several forward passes of one module side by side, one of which runs at a time: for layers that need all of them.

Virtual shards run one after another, and ``SyncBatchNorm`` needs the statistics of all. So each shard's pass has a
thread of its own, and only the one whose turn it is runs. At such a layer it puts its input down and ends its turn;
when all have come there, the layer computes on all inputs at once, as one operation.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Protocol

from distrt.comm.process_group import ProcessGroup
from distrt.core import autocast
from distrt.core.autograd import packing
from distrt.core.errors import UnsupportedError
from distrt.core.gpu.places import same_queue
from distrt.core.modes import modes, set_grad_enabled, used

__all__ = ["Lane", "current_lane", "run_in_lockstep"]


class Layer(Protocol):
    """What needs all inputs."""

    def normalise_together(self, operands: Sequence[Any], group: ProcessGroup) -> Sequence[Any]:
        """What it gives for each of them."""


class _Current(threading.local):
    lane: Lane | None = None


_current = _Current()


def current_lane() -> Lane | None:
    """The pass that this thread is; None in threads that are none."""
    return _current.lane


class _Abandoned(BaseException):
    """Unwinds a pass whose neighbour has failed."""


class Lane(threading.Thread):
    """One of the passes.

    Args:
        work: the pass.
        contexts: what holds during it as a whole: made and entered once.
        state: what the module has to be in during its turns: made and entered for each.
    """

    def __init__(
        self,
        work: Callable[[], Any],
        contexts: Callable[[], AbstractContextManager[Any]],
        state: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        super().__init__(name="distrt virtual shard", daemon=True)
        self._work, self._contexts, self._state = work, contexts, state
        self._modes, self._autocast = dict(vars(modes)), autocast.snapshot()
        self._hooks = packing.snapshot()
        self._variables = contextvars.copy_context()
        self._queue = same_queue() if used.gpu else nullcontext()
        self._turn, self._turn_is_over = threading.Semaphore(0), threading.Semaphore(0)
        self._stack = ExitStack()
        self._is_abandoned = False
        self.offered: tuple[Layer, Any] | None = None
        self.is_recorded = True  # what is offered, and will be differentiated
        self.answer: Any = None
        self.output: Any = None
        self.error: BaseException | None = None
        self.is_done = False

    def take_turn(self) -> None:
        """Let the pass run until it offers something, or ends."""
        self.offered = None
        self._turn.release()
        self._turn_is_over.acquire()

    def abandon(self) -> None:
        """Unwind the pass."""
        if not self.is_done:
            self._is_abandoned = True
            self.take_turn()
        self.join()

    def offer(self, layer: Layer, operands: Any) -> Any:
        """Put down what a layer works on; its answer, when all passes have come there."""
        self.offered, self.is_recorded = (layer, operands), modes.grad
        self._stack.close()
        self._turn_is_over.release()
        self._turn.acquire()
        if self._is_abandoned:
            raise _Abandoned
        self._stack.enter_context(self._state())
        answer, self.answer = self.answer, None
        return answer

    def run(self) -> None:
        """In the thread."""
        self._turn.acquire()
        try:
            if not self._is_abandoned:
                self._variables.run(self._run)
        except _Abandoned:
            pass
        except BaseException as error:  # handed to who waits for the outputs
            self.error = error
        finally:
            self.is_done = True
            self._turn_is_over.release()

    def _run(self) -> None:
        _current.lane = self
        vars(modes).update(self._modes)
        packing.restore(self._hooks)
        with self._queue, autocast.restored(self._autocast), self._contexts(), self._stack:
            self._stack.enter_context(self._state())
            self.output = self._work()


def run_in_lockstep(lanes: Sequence[Lane], group: ProcessGroup) -> list[Any]:
    """The outputs of all passes, in order.

    Raises:
        UnsupportedError: they come to different layers.
    """
    for lane in lanes:
        lane.start()
    try:
        while True:
            for lane in lanes:
                if not lane.is_done:
                    lane.take_turn()
                if lane.error is not None:
                    raise lane.error
            offered = [lane.offered for lane in lanes]
            if all(lane.is_done for lane in lanes):
                return [lane.output for lane in lanes]
            if None in offered or len({id(each[0]) for each in offered if each is not None}) > 1:
                raise UnsupportedError(
                    "with reproducible=, the virtual shards of a rank took different ways through the model: one came "
                    "to a SyncBatchNorm that another did not come to"
                )
            together = [each for each in offered if each is not None]
            with set_grad_enabled(lanes[0].is_recorded):  # the model may be in a block of `no_grad`
                answers = together[0][0].normalise_together([operands for _, operands in together], group)
            for lane, answer in zip(lanes, answers, strict=True):
                lane.answer = answer
    finally:
        for lane in lanes:
            lane.abandon()
