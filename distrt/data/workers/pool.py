"""The workers of one loader as its process sees them: started, listened to, missed when they die, and ended."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import pickle
import signal
import time
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

from distrt.core.process.children import signal_name
from distrt.core.process.users_code import warn
from distrt.core.storage.sharing import send_through_multiprocessing
from distrt.data.workers.channel import Channel, ChannelClosed
from distrt.data.workers.loans import Loans
from distrt.data.workers.process import Begin, NewBlock, Post, Result, Task, work

__all__ = ["Pool", "Worker", "WorkerDied"]

_LOOK_S = 1.0  # how often processes are looked at that give no sign
_PATIENCE_S = 5.0  # between telling workers to end and killing them
_PATIENCE_AFTER_DEATH_S = 0.2  # the error must not wait for the others
_END_BEFORE_DAEMONS = 10  # priority at exit: multiprocessing terminates daemons after what is at least 0
_GUARD = (
    "The error that it has printed says why. Often it is this: where workers are not forked (by default from Python "
    "3.14 on), they import the program first, and a program that is being imported must not start workers itself. Put "
    "what it does below `if __name__ == '__main__':`, or pass multiprocessing_context='fork'."
)


class WorkerDied(RuntimeError):  # noqa: N818 - named for what is the case; PyTorch raises a RuntimeError
    """A worker process ended without being told to."""


class Worker:
    """One worker: its process, this end of its channel, and the memory that it has lent."""

    def __init__(self, number: int, channel: Channel, process: BaseProcess, is_forked: bool) -> None:
        self.number = number
        self.channel = channel
        self.process = process
        self.is_forked = is_forked
        self.loans = Loans()
        self.has_spoken = False

    def do(self, turn: int, number: int, index: Any) -> None:
        """Gives it a task."""
        self.channel.send(Task(turn, number, index, self.loans.take_ended()))


class Pool:
    """Starts workers; ends them when it is dropped, closed, or when the interpreter exits.

    Args:
        context: how processes are started; None for the default way of ``multiprocessing``.
        posts: what each is told.
    """

    def __init__(self, context: BaseContext | None, posts: list[Post]) -> None:
        self.workers: list[Worker] = []
        self._pid = os.getpid()
        self._died: str | None = None
        self._end = multiprocessing.util.Finalize(
            self, _end, (self.workers,), exitpriority=_END_BEFORE_DAEMONS
        )
        chosen: Any = multiprocessing.get_context() if context is None else context
        if chosen.get_start_method() != "fork":
            send_through_multiprocessing()  # a dataset's tensors lie in memory once, not once per worker
        try:
            for post in posts:
                self._start(chosen, post)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all workers, within some seconds."""
        self._end()

    @property
    def is_open(self) -> bool:
        """Whether the workers are there, as far as is known, and are this process's."""
        return self._died is None and self._pid == os.getpid() and self._end.still_active()

    def __del__(self) -> None:
        if self._pid != os.getpid():
            # The workers are the parent's, and so is their end; these ends are copies.
            for each in self.workers:
                each.channel.close()

    def begin(self, turn: int) -> None:
        """Tells all of a new pass."""
        for each in self.workers:
            self._tell(each, lambda each=each: each.channel.send(Begin(turn)))

    def do(self, worker: int, turn: int, number: int, index: Any) -> None:
        """Gives a worker a task."""
        each = self.workers[worker]
        self._tell(each, lambda: each.do(turn, number, index))

    def receive(self, timeout_s: float | None) -> tuple[Worker, Result] | None:
        """What some worker has to say; None where none says anything in time.

        Raises:
            WorkerDied: names the worker and the signal.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
            for each in self._speaking(max(0.0, left_s)):
                try:
                    came = each.channel.receive(0)
                except ChannelClosed:
                    self._mourn(each)
                if came is None:
                    continue
                each.has_spoken = True
                message, descriptor = came
                if not isinstance(message, NewBlock):
                    return each, message
                assert descriptor is not None, "a block comes with its descriptor"
                each.loans.meet(message.number, message.length, descriptor)
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def _speaking(self, timeout_s: float) -> list[Worker]:
        """Those with something to read.

        Raises:
            WorkerDied: one has nothing to say and is dead.
        """
        self._require_usable()
        at_hand = [each for each in self.workers if each.channel.has_come()]
        if at_hand:
            return at_hand
        signs: dict[Any, Worker] = {each.channel: each for each in self.workers}
        signs |= {each.process.sentinel: each for each in self.workers}
        ready = wait(list(signs), timeout_s)
        speaking = [signs[sign] for sign in ready if isinstance(sign, Channel)]
        if not speaking:
            for each in self.workers:
                if not each.process.is_alive():
                    self._mourn(each)
        return speaking

    def _start(self, context: Any, post: Post) -> None:
        is_forked = context.get_start_method() == "fork"
        ours, theirs = Channel.pair()
        inherited = [*(each.channel for each in self.workers), ours] if is_forked else []
        process: BaseProcess = context.Process(target=work, args=(post, theirs, inherited), daemon=True)
        try:
            process.start()
            self.workers.append(Worker(post.number, ours, process, is_forked))
        except (TypeError, AttributeError, pickle.PicklingError):
            warn(
                "Got pickle error when attempting to start a worker Process. This might be because the worker Process "
                f"arguments are not picklable. With the start method {context.get_start_method()!r} dataset, "
                "collate_fn and worker_init_fn must be; multiprocessing_context='fork' takes them as they are."
            )
            raise
        except (ConnectionError, EOFError) as error:
            raise WorkerDied(
                f"DataLoader worker {post.number} of {post.workers} was not started: multiprocessing's fork server "
                f"has ended. {_GUARD}"
            ) from error
        finally:
            theirs.close()
            if not any(each.channel is ours for each in self.workers):
                ours.close()

    def _tell(self, worker: Worker, send: Any) -> None:
        self._require_usable()
        try:
            send()
        except ChannelClosed:
            self._mourn(worker)

    def _require_usable(self) -> None:
        if self._died is not None:
            raise WorkerDied(self._died)
        if self._pid != os.getpid():  # both processes hold the sockets, and would take each other's batches
            raise RuntimeError(
                f"process {os.getpid()} was forked while process {self._pid} iterated over a DataLoader, whose workers "
                "are the latter's: begin a pass of its own"
            )

    def _mourn(self, worker: Worker) -> NoReturn:
        worker.process.join(_LOOK_S)
        self._died = _obituary(worker, len(self.workers))
        self._end.cancel()
        _end(self.workers, _PATIENCE_AFTER_DEATH_S)
        raise WorkerDied(self._died)


def _obituary(worker: Worker, count: int) -> str:
    """How a worker ended, in PyTorch's words, and which one it was."""
    pid, code = worker.process.pid, worker.process.exitcode
    which = f"It was worker {worker.number} of {count}"
    if code is None or code >= 0:
        how = "" if code is None else f" with exit code {code}"
        text = f"DataLoader worker (pid(s) {pid}) exited unexpectedly{how}. {which}."
        return text if worker.has_spoken or worker.is_forked or code != 1 else f"{text} {_GUARD}"
    name = signal_name(-code)
    what = signal.strsignal(-code)
    text = f"DataLoader worker (pid {pid}) is killed by signal: {what}. {which}, and {name} ended it."
    if -code == signal.SIGKILL:
        text += " If nobody sent the signal, the machine or the container was out of memory."
    return text


def _end(workers: list[Worker], patience_s: float = _PATIENCE_S) -> None:
    for each in workers:
        each.channel.hang_up()
    deadline = time.monotonic() + patience_s
    for each in workers:
        each.process.join(max(0.0, deadline - time.monotonic()))
    for each in workers:
        if each.process.is_alive():
            each.process.kill()
            each.process.join()
        each.channel.close()
