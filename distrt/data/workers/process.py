"""What a worker process does: it takes tasks, makes batches, and sends them; until its channel closes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from distrt.core.process.carrying import ExceptionWrapper
from distrt.core.process.children import end_with_parent
from distrt.core.process.settings import set_num_threads
from distrt.core.random.generator import manual_seed
from distrt.data.dataset import IterableDataset
from distrt.data.fetching import Fetch, Recipe
from distrt.data.workers.blocks import Blocks
from distrt.data.workers.channel import Channel, ChannelClosed
from distrt.data.workers.info import WorkerInfo, set_worker
from distrt.data.workers.parcels import Parcel

__all__ = ["Batch", "Begin", "Ended", "Failure", "NewBlock", "Post", "Result", "Task", "work"]


class Post(NamedTuple):
    """What a worker is told when it starts."""

    number: int
    workers: int
    base_seed: int
    recipe: Recipe
    init_fn: Callable[[int], None] | None
    is_started_by_lasting_thread: bool


# To the worker


class Task(NamedTuple):
    """Make batch `number` of pass `turn`; `loans` have ended."""

    turn: int
    number: int
    index: Any
    loans: list[tuple[int, bool]]


class Begin(NamedTuple):
    """A new pass; tasks of those before are void."""

    turn: int


# To the parent


class NewBlock(NamedTuple):
    """A block that batches will lie in; its descriptor comes along."""

    number: int
    length: int


class Batch(NamedTuple):
    """A batch; blocks that are `dropped` will not be used again."""

    turn: int
    number: int
    stream: bytes
    places: list[tuple[int, int]]
    dropped: list[int]


class Failure(NamedTuple):
    """An error instead of a batch."""

    turn: int
    number: int
    error: ExceptionWrapper


class Ended(NamedTuple):
    """Instead of a batch: this worker's stream has come to its end."""

    turn: int
    number: int


#: What comes of a task.
Result: TypeAlias = Batch | Failure | Ended


def work(post: Post, channel: Channel, inherited: list[Channel]) -> None:
    """The whole life of a worker.

    Args:
        post: what it is to do.
        channel: its end.
        inherited: channels of the parent that a forked process has copies of.
    """
    end_with_parent(post.is_started_by_lasting_thread)
    for each in inherited:
        each.close()
    # Ctrl-C is the parent's to answer: it may go on, and ends its workers otherwise. What the parent does about SIGTERM
    # was for the parent. Under a launcher, batch systems tell every process of a job to make room, and the ranks are to
    # save first, for which they may need their workers.
    signal.signal(signal.SIGINT, lambda *_: None)
    to_all = signal.SIG_IGN if "DISTRT_LAUNCHER_PID" in os.environ else signal.SIG_DFL
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, to_all)
    set_num_threads(1)
    with contextlib.suppress(ChannelClosed):
        _Worker(post, channel).run()


def _seed_streams(base_seed: int, number: int) -> int:
    """PyTorch's rule: ``base_seed + number`` for Python's stream and ours; NumPy's has a seed of both."""
    seed = base_seed + number
    random.seed(seed)
    manual_seed(seed)
    words = [number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
    return seed


class _Worker:
    def __init__(self, post: Post, channel: Channel) -> None:
        self._post = post
        self._channel = channel
        self._blocks = Blocks()
        self._where = f"in DataLoader worker process {post.number}"
        self._turn = 0
        self._tasks: deque[Task] = deque()
        self._fetch: Fetch | None = None
        self._error: ExceptionWrapper | None = None
        self._has_ended = False
        self._is_unfit = False  # worker_init_fn has failed

    def run(self) -> None:
        post = self._post
        seed = _seed_streams(post.base_seed, post.number)
        set_worker(WorkerInfo(post.number, post.workers, seed, post.recipe.dataset), self._blocks)
        try:
            if post.init_fn is not None:
                post.init_fn(post.number)
        except Exception:
            self._is_unfit, self._error = True, ExceptionWrapper(where=self._where)
        self._begin()
        while True:
            came = self._channel.receive(0 if self._tasks else None)
            if came is not None:
                self._take(came[0])
            elif not self._has_ended:
                self._do(self._tasks.popleft())
            else:
                self._tasks.clear()

    def _take(self, message: Task | Begin) -> None:
        if isinstance(message, Task):
            self._blocks.come_back(message.loans)
            self._tasks.append(message)
            return
        self._turn = message.turn
        self._tasks.clear()
        self._begin()

    def _begin(self) -> None:
        self._has_ended = False
        if self._is_unfit:
            return
        try:
            self._fetch = self._post.recipe.begin()
        except Exception:
            self._fetch, self._error = None, ExceptionWrapper(where=self._where)

    def _do(self, task: Task) -> None:
        if self._fetch is None:  # every task of the pass fails for the reason that it could not begin for
            assert self._error is not None, "it was kept"
            self._channel.send(Failure(task.turn, task.number, self._error))
            return
        try:
            parcel = Parcel(self._fetch(task.index), self._blocks)
        except Exception as error:
            if isinstance(error, StopIteration) and isinstance(self._post.recipe.dataset, IterableDataset):
                self._has_ended = True
                self._channel.send(Ended(task.turn, task.number))
            else:
                wrapped = ExceptionWrapper(where=self._where)
                self._channel.send(Failure(task.turn, task.number, wrapped))
        else:
            self._send(task, parcel)

    def _send(self, task: Task, parcel: Parcel) -> None:
        for block in parcel.blocks:
            if block.descriptor >= 0:
                self._channel.send(NewBlock(block.number, block.length), block.descriptor)
                block.told()
        self._blocks.lend(parcel.blocks)
        dropped = self._blocks.take_dropped()
        self._channel.send(Batch(task.turn, task.number, parcel.stream, parcel.places, dropped))
