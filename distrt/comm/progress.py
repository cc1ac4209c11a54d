"""The engine that drives launched operations, whoever carries them.

An operation is a generator, its *steps*, which does what it can and yields what it waits for (`Wait`). Whoever has
time moves it on: the caller in ``work.wait()``, any other call that has to wait, and, for operations that are worth
it, a helper thread, so that a large all-reduce goes on while the caller computes. Operations of one queue run one
after another, in launch order; queues are independent of one another.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from distrt.comm.looking import Look, look_out
from distrt.comm.work import Work, seconds_of
from distrt.core.errors import CollectiveMismatch, CollectiveTimeout, DistributedError, PeerFailed
from distrt.core.process.activity import WAITING, doing

if TYPE_CHECKING:
    from distrt.comm.diagnosis import Diagnosis, Vigil

__all__ = ["CALLER", "HELPER", "Engine", "Label", "Operation", "RunningWork", "Steps", "Wait", "name_ranks"]

CALLER, HELPER = 0, 1  # who sleeps; a transport may keep a bell for each

_SLICE_S = 0.05  # the longest sleep: bounds what a lost wake-up costs
_BUSY_SLICE_S = 0.001  # while other operations are outstanding, which the sleeper may have to move on
_IDLE_S = 1.0  # how long the helper thread stays without anything to do
_LINGER = 25  # head starts without anything to do, before the helper has to be woken again

Label: TypeAlias = tuple[str, int]  # an operation's name and number, for messages


class Wait(ABC):
    """What an operation waits for."""

    __slots__ = ()

    @abstractmethod
    def is_over(self) -> bool:
        """Whether the operation can go on. Called often, by more than one thread."""

    @abstractmethod
    def sleep(self, seconds: float, sleeper: int) -> None:
        """Block until it may be over, at most so long; ``sleeper`` is `CALLER` or `HELPER`."""

    @abstractmethod
    def missing(self) -> list[int]:
        """The ranks that it waits for."""

    def at_odds(self) -> list[int]:
        """Those of the missing ranks that have come to do something else, as far as can be seen from here."""
        return []

    def lost(self) -> str | None:
        """Why it will never be over, if a rank that it waits for is gone."""
        return None


Steps: TypeAlias = Generator[Wait, None, Any]


class Operation(NamedTuple):
    """Steps, and what those who drive them need to know.

    Attributes:
        steps: what is done.
        queue: that they belong to: compared by equality; an object of its own for an operation that follows no other.
        is_long: whether the helper thread is worth waking for them.
        place: where the arrays lie, for messages, if all ranks' have to lie there: "in shared buffer 2".
    """

    steps: Steps
    queue: object
    is_long: bool = False
    place: str = ""


class Engine:
    """Drives the operations of one group on one rank.

    Args:
        describe: puts the rank and a label in front of a message.
        timeout_s: how long one step may wait for another rank.
        look: how ranks look out for one another before they sleep.
        diagnosis: finds out why a wait takes long.
        head_start_s: for how long the helper thread leaves an operation to the caller.
    """

    def __init__(
        self,
        describe: Callable[[str, str, int], str],
        timeout_s: float,
        look: Look,
        diagnosis: Diagnosis,
        head_start_s: float = 0.0,
    ) -> None:
        self.timeout_s = timeout_s
        self.failed: str | None = None  # why the group is of no use any more
        self._describe = describe
        self._diagnosis = diagnosis
        self._lock = threading.RLock()
        self._queues: dict[object, deque[RunningWork]] = {}
        self._is_closed = False
        self._helper: threading.Thread | None = None
        self._head_start_s = head_start_s
        self._news = threading.Event()
        self.glances, self._look_s, self._yields = look_out(look)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is outstanding."""
        return not self._queues

    def launch(
        self, operation: Operation, label: Label, finish: Callable[[], object] | None = None
    ) -> RunningWork:
        """Start an operation, and return without waiting for it; ``finish`` is called when it has ended well."""
        work = RunningWork(self, operation, label, finish)
        with self._lock:
            self._queues.setdefault(operation.queue, deque()).append(work)
            self._advance(work)
        if operation.is_long and not work.is_over:
            self._wake_helper()
        return work

    def run(self, operation: Operation, label: Label) -> Any:
        """Carry an operation out, after those of its queue that were launched before; what its steps return."""
        if operation.queue in self._queues:
            work = self.launch(operation, label)
            try:
                work.wait()
            except BaseException as error:
                if not work.is_over:
                    self.give_up(error)
                raise
            return work.value
        steps = operation.steps
        try:
            while True:
                self.block(next(steps), label)
        except StopIteration as end:
            value = end.value
        except BaseException as error:
            self.give_up(error)
            raise
        if isinstance(value, Exception):
            raise self._labelled(value, label)
        return value

    def block(self, wait: Wait, label: Label) -> None:
        """Return when ``wait`` is over; meanwhile, move other operations on."""
        if not self._look(wait):
            self._sleep_until(wait.is_over, lambda: (wait, label), self.timeout_s, self._diagnosis.vigil())

    def progress(self) -> None:
        """Move outstanding operations on, as far as possible without blocking."""
        if self._queues:
            with self._lock:
                for queue in tuple(self._queues.values()):
                    while queue and self._advance(queue[0]):
                        pass

    def give_up(self, error: BaseException) -> None:
        """After this failure the group cannot be used any more: ranks may be in the middle of an operation."""
        if self.failed is None:
            self.failed = str(error).partition("\n")[0] or f"{type(error).__name__} while it waited"
            self._diagnosis.give_up(self.failed)

    def close(self) -> None:
        """End the helper thread; what is outstanding stays undone."""
        self._is_closed = True
        self._queues = {}
        self._news.set()
        if (helper := self._helper) is not None and helper is not threading.current_thread():
            helper.join(timeout=1.0)

    def wait_for(self, work: RunningWork, timeout_s: float | None) -> None:
        """Return when ``work`` has ended; its error is not raised here.

        Raises:
            CollectiveTimeout: it has not ended in ``timeout_s``, and may still.
        """
        if not work.is_over:
            self.progress()
        while not work.is_over:
            if self._is_closed:
                raise DistributedError(
                    self._describe("the group was closed before this was done", *work.label)
                )
            head = work.head()
            if head is None or not self._look(head[0]):
                if work.vigil is None:
                    work.vigil = self._diagnosis.vigil()
                total_s = self.timeout_s if timeout_s is None else timeout_s
                self._sleep_until(lambda: work.is_over, work.head, total_s, work.vigil, timeout_s)
            self.progress()

    # How a thread waits.

    def _look(self, wait: Wait) -> bool:
        is_over = wait.is_over
        for _ in range(1 + self.glances):
            if is_over():
                return True
        look_until = time.perf_counter() + self._look_s
        while time.perf_counter() < look_until:
            if self._yields:
                # Giving the core to the rank that is waited for, if it needs this one. Without it, 2 ranks that
                # share a core take 125 us for 1 KB instead of 9, and 4 ranks on 2 cores 390 us instead of 42.
                os.sched_yield()
            if is_over():
                return True
        return False

    def _sleep_until(
        self,
        is_over: Callable[[], bool],
        current: Callable[[], tuple[Wait, Label] | None],
        timeout_s: float,
        vigil: Vigil,
        given_s: float | None = None,
    ) -> None:
        """Sleep in slices. The time-out starts again with every step, unless the caller gave one for the whole."""
        now = time.monotonic()
        deadline = now + timeout_s
        vigil.begin(now)
        while not is_over() and not self._is_closed:
            head = current()
            if head is None:  # not begun, or in another thread's hands, which then hold the lock
                self.progress()
                continue
            wait, label = head
            if vigil.turn_to(wait) and given_s is None:
                deadline = now + timeout_s
            is_busy = bool(self._queues)
            wait.sleep(max(0.0, min(_BUSY_SLICE_S if is_busy else _SLICE_S, deadline - now)), CALLER)
            if is_busy:
                self.progress()
            now = time.monotonic()
            vigil.look(now, label)
            if now >= deadline and (missing := wait.missing()) and not is_over():
                raise self._diagnosis.late(timeout_s, missing, label)

    # The operations.

    def _advance(self, work: RunningWork) -> bool:
        """Do what can be done without waiting (under the lock); whether the operation has ended."""
        queue = self._queues.get(work.queue)
        if queue is None or queue[0] is not work:
            return work.is_over
        try:
            while work.wait_now is None or work.wait_now.is_over():
                work.wait_now = next(work.steps)
            return False
        except StopIteration as end:
            work.value = end.value
            if isinstance(end.value, Exception):
                work.error = self._labelled(end.value, work.label)
            elif work.finish is not None:
                work.finish()
        except Exception as error:
            self.give_up(error)
            work.error = error
        except BaseException as error:  # an interrupt is nobody's to keep
            self.give_up(error)
            raise
        queue.popleft()
        if not queue:
            del self._queues[work.queue]
        work.end()
        return True

    def _labelled(self, error: Exception, label: Label) -> Exception:
        return type(error)(self._describe(str(error), *label))

    # The helper thread.

    def _wake_helper(self) -> None:
        with self._lock:
            if self._helper is None or not self._helper.is_alive():
                self._helper = threading.Thread(target=self._help, name="distrt communication", daemon=True)
                self._helper.start()
        self._news.set()

    def _help(self) -> None:
        idle = 0
        while not self._is_closed and self.failed is None:
            since = self._outstanding_since()
            if since is None:
                idle += 1
                if self._head_start_s and idle < _LINGER:
                    time.sleep(self._head_start_s)  # to be woken costs the caller more than to look again
                elif not self._wait_for_news():
                    return
                continue
            idle = 0
            if (rest_s := since + self._head_start_s - time.perf_counter()) > 0:
                time.sleep(rest_s)
                continue
            self.progress()
            with self._lock:
                waits = [queue[0].wait_now for queue in self._queues.values()]
            if waits and waits[0] is not None:
                waits[0].sleep(_BUSY_SLICE_S if len(waits) > 1 else _SLICE_S, HELPER)

    def _outstanding_since(self) -> float | None:
        """When the operation was launched that has been outstanding for longest; None where none is."""
        if not self._queues:
            return None
        with self._lock:
            return min((queue[0].since for queue in self._queues.values()), default=None)

    def _wait_for_news(self) -> bool:
        """Sleep until something is launched; False when the helper thread has to end."""
        self._news.clear()
        if not self._queues and not self._is_closed and not self._news.wait(_IDLE_S):
            with self._lock:
                if not self._queues:
                    self._helper = None  # it holds the engine, and with it the group's memory
                    return False
        return True


class RunningWork(Work):
    """A launched operation."""

    __slots__ = (
        "_callbacks",
        "_engine",
        "error",
        "finish",
        "is_over",
        "label",
        "queue",
        "since",
        "steps",
        "value",
        "vigil",
        "wait_now",
    )

    def __init__(
        self, engine: Engine, operation: Operation, label: Label, finish: Callable[[], object] | None
    ) -> None:
        super().__init__()
        self._engine = engine
        self._callbacks: list[Callable[[], object]] = []
        self.steps = operation.steps
        self.queue = operation.queue
        self.finish = finish
        self.label = label
        self.since = time.perf_counter()
        self.wait_now: Wait | None = None  # None before it runs
        self.is_over = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.vigil: Vigil | None = None  # of those who wait for it

    def head(self) -> tuple[Wait, Label] | None:
        """What the operation, or the one before it in the queue, waits for; None while a thread moves it on."""
        queue = self._engine._queues.get(self.queue)
        try:
            first = None if queue is None else queue[0]
        except IndexError:
            return None
        wait = None if first is None else first.wait_now
        return None if first is None or wait is None else (wait, first.label)

    def end(self) -> None:
        """Tell those who wait (under the engine's lock)."""
        callbacks, self._callbacks = self._callbacks, []
        try:
            for callback in callbacks:
                callback()
        finally:
            self.is_over = True

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """At once where it is over."""
        with self._engine._lock:
            if not self.is_over:
                self._callbacks.append(callback)
                return
        callback()

    def is_completed(self) -> bool:
        """Moves operations on before it answers."""
        if not self.is_over:
            self._engine.progress()
        return self.is_over

    def exception(self) -> BaseException | None:
        """None until it is over, and where it went well."""
        return self.error

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Moves operations on meanwhile."""
        given_s = seconds_of(timeout)
        if not self.is_over:
            try:
                with doing(WAITING):
                    self._engine.wait_for(self, given_s)
            except CollectiveTimeout as error:
                if given_s is None:
                    self._engine.give_up(error)
                raise
            except (PeerFailed, CollectiveMismatch) as error:
                self._engine.give_up(error)
                self.error = self.error or error
                raise
        if self.error is not None:
            raise self.error
        return True

    def source_rank(self) -> int:
        """Where a message came from."""
        return int(self.value) if isinstance(self.value, int) else super().source_rank()


def name_ranks(ranks: list[int]) -> str:
    """``[2]`` -> "rank 2", ``[0, 2]`` -> "ranks 0, 2"."""
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
