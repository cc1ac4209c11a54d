"""A pass that worker processes load: which of them makes which batch, and in which order the batches are given.

Workers take turns, and no more than ``prefetch_factor`` batches of each are under way. So the batches, and what a
stream's workers make of their parts, come in one order however fast each of them is.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from distrt.core.process.children import outlives_children
from distrt.data.iterating import LoaderIterator
from distrt.data.workers.parcels import unpack
from distrt.data.workers.pool import Pool, Worker
from distrt.data.workers.process import Batch, Ended, Failure, Post, Result

if TYPE_CHECKING:
    from distrt.data.dataloader import DataLoader

__all__ = ["InWorkers"]


class _UnderWay:
    """A batch that a worker has been asked for."""

    def __init__(self, worker: int, size: int) -> None:
        self.worker = worker
        self.size = size
        self.result: Result | None = None


class InWorkers(LoaderIterator):
    """Loads in worker processes, which it starts, and ends at the end of the pass unless they are persistent."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._turn = 0
        self._count = loader.num_workers
        self._most = max(1, loader.prefetch_factor or 0) * self._count
        self._ahead = (loader.prefetch_factor or 0) * self._count
        self._timeout_s = loader.timeout
        self._is_in_order = loader.in_order
        self._is_persistent = loader.persistent_workers
        super().__init__(loader)
        lasting = outlives_children()
        posts = [
            Post(number, self._count, self.base_seed, self._recipe, loader.worker_init_fn, lasting)
            for number in range(self._count)
        ]
        self._pool = Pool(loader.multiprocessing_context, posts)
        self._ask_ahead()

    @property
    def is_open(self) -> bool:
        """Whether another pass can be made with the same workers."""
        return self._pool.is_open

    def begin_again(self, loader: DataLoader[Any]) -> None:
        """Another pass with the same workers; what is left of the last one is dropped."""
        self._turn += 1
        for each in self._under_way.values():
            self._drop(self._pool.workers[each.worker], each.result)
        self._begin(loader)
        self._pool.begin(self._turn)
        self._ask_ahead()

    def _begin(self, loader: DataLoader[Any]) -> None:
        super()._begin(loader)
        self._asked = 0
        self._under_way: dict[int, _UnderWay] = {}
        self._has_ended = [False] * self._count
        self._turns = itertools.cycle(range(self._count))

    def _next_batch(self) -> tuple[Any, int]:
        deadline = time.monotonic() + self._timeout_s if self._timeout_s else None
        while True:
            number = self._ready()
            if number is None:
                if not self._under_way and not self._ask():
                    if not self._is_persistent:
                        self._pool.close()
                    raise StopIteration
                self._receive(deadline)
                continue
            each = self._under_way.pop(number)
            if isinstance(each.result, Ended):
                self._leave_out(each.worker)
                continue
            if self._ahead:
                self._ask()
            if isinstance(each.result, Failure):
                each.result.error.reraise()
            assert each.result is not None, "it was ready"
            return self._unpack(self._pool.workers[each.worker], each.result), each.size

    def _ready(self) -> int | None:
        """What to look at next, if it is there."""
        for number, each in self._under_way.items():
            if each.result is not None:
                return number
            if self._is_in_order:
                break
        return None

    def _leave_out(self, worker: int) -> None:
        """A worker's stream has ended: what it was asked for beyond that goes to others.

        Only when the batch would have been its turn, so that the order does not depend on when the news came.
        """
        self._has_ended[worker] = True
        left = [number for number, each in self._under_way.items() if each.worker == worker]
        for number in left:
            del self._under_way[number]
        for _ in range(1 + len(left) if self._ahead else 0):
            self._ask()

    def _unpack(self, worker: Worker, batch: Batch) -> Any:
        rows = [worker.loans.take(*place) for place in batch.places]
        worker.loans.forget(batch.dropped)
        return unpack(batch.stream, rows)

    def _drop(self, worker: Worker, result: Result | None) -> None:
        """Gives back what nobody will ask for any more."""
        if isinstance(result, Batch):
            worker.loans.refuse(result.places)
            worker.loans.forget(result.dropped)

    def _ask_ahead(self) -> None:
        for _ in range(self._ahead):
            self._ask()

    def _ask(self) -> bool:
        """Asks a worker for the next batch; False where there are no more indices, or no worker."""
        worker = self._next_worker()
        if worker is None:
            return False
        try:
            index = next(self._indices)
        except StopIteration:
            return False
        self._under_way[self._asked] = _UnderWay(worker, self._size(index))
        self._pool.do(worker, self._turn, self._asked, index)
        self._asked += 1
        return True

    def _next_worker(self) -> int | None:
        """Whose turn it is; batches that may come in any order go to a worker with little to do."""
        most = self._most // max(1, self._has_ended.count(False))
        for worker in itertools.islice(self._turns, self._count):
            if self._has_ended[worker]:
                continue
            if self._is_in_order or self._load(worker) < most:
                return worker
        return None

    def _load(self, worker: int) -> int:
        return sum(each.worker == worker for each in self._under_way.values())

    def _receive(self, deadline: float | None) -> None:
        came = self._pool.receive(None if deadline is None else deadline - time.monotonic())
        if came is None:
            waiting = next(iter(self._under_way.values()))
            raise RuntimeError(
                f"DataLoader timed out after {self._timeout_s} seconds, waiting for worker {waiting.worker} "
                f"(pid {self._pool.workers[waiting.worker].process.pid})"
            )
        worker, result = came
        if result.turn == self._turn:
            self._under_way[result.number].result = result
        else:  # of a pass that was broken off
            self._drop(worker, result)
