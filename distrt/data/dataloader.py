"""``DataLoader``: batches of a dataset, in a sampler's order.

A pass that loads in the calling process is in ``iterating.py``, one that worker processes load in ``workers/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from distrt.core.gpu.library import device_count
from distrt.core.random.generator import Generator
from distrt.data.collate import default_collate, default_convert
from distrt.data.dataset import Dataset, IterableDataset, size_of
from distrt.data.fetching import Recipe
from distrt.data.iterating import InProcess, LoaderIterator
from distrt.data.loader_options import check_sampling, check_workers, checked_context, warn_of_many_workers
from distrt.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from distrt.data.workers.iterator import InWorkers

T_co = TypeVar("T_co", covariant=True)

_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


class DataLoader(Generic[T_co]):
    """Iterates over ``dataset`` in batches; each ``for`` starts a new pass.

    Args:
        dataset: an indexed or an iterable dataset.
        batch_size: samples per batch; None yields single samples, through ``default_convert``.
        shuffle: a new random order in every pass.
        sampler: yields the indices; excludes ``shuffle``.
        batch_sampler: yields lists of indices; excludes ``batch_size``, ``shuffle``, ``sampler`` and
            ``drop_last``.
        num_workers: how many processes load; 0: the calling one does. The order of the batches is the same.
        collate_fn: makes a batch of a list of samples; ``default_collate`` by default.
        pin_memory: have batches in page-locked memory, which a GPU copies from while the program goes on: tensors in
            whatever containers, and what has a method ``pin_memory``. Where processes load, a thread does it. Without
            a GPU a warning says so.
        drop_last: drop a last batch that is shorter than ``batch_size``.
        timeout: seconds to wait for a batch of the workers; 0: for as long as they live.
        worker_init_fn: called in each worker with its number, after its random streams are seeded.
        multiprocessing_context: how workers are started: "fork", "spawn", "forkserver", or a context; the default way
            of ``multiprocessing`` by default.
        generator: where ``shuffle`` and the base seed of the workers come from; the default generator by default.
        prefetch_factor: how many batches each worker makes ahead; 2 by default.
        persistent_workers: keep the workers from pass to pass.
        pin_memory_device: accepted and unused, as in PyTorch.
        in_order: give batches in the sampler's order; without it, as they come.

    Raises:
        ValueError: for options that exclude one another, or that need ``num_workers > 0``.

    Iterating raises what the dataset raises; with workers, an error of the same class, whose message has the worker's
    traceback. It is a RuntimeError where a worker dies or the time-out passes.
    """

    dataset: Dataset[T_co]
    batch_size: int | None
    sampler: Iterable[Any]
    batch_sampler: Iterable[list[Any]] | None
    __initialized = False  # PyTorch's name for it: loaders that repeat their sampler take it back for a while

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        check_sampling(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = checked_context(multiprocessing_context, num_workers)
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self.generator = generator
        self.drop_last = drop_last

        if sampler is None:
            sampler = self._default_sampler(bool(shuffle))
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._promised: int | None = None  # the length that an iterable dataset's loader has reported
        self.__initialized = True
        self._iterator: LoaderIterator | None = None  # of workers that stay
        warn_of_many_workers(num_workers)

    def __iter__(self) -> LoaderIterator:
        if not (self.num_workers and self.persistent_workers):
            return self._get_iterator()
        if isinstance(self._iterator, InWorkers) and self._iterator.is_open:
            warn_of_many_workers(self.num_workers)
            self._iterator.begin_again(self)
            return self._iterator
        self._iterator = self._get_iterator()
        return self._iterator

    def _get_iterator(self) -> LoaderIterator:
        """A pass of its own, even where workers stay. The name is PyTorch's, for loaders that never end a pass."""
        if not self.num_workers:
            return self._in_process()(self)
        warn_of_many_workers(self.num_workers)
        return self._in_workers()(self)

    def _in_process(self) -> type[InProcess]:
        if not (self.pin_memory and device_count()):
            return InProcess
        from distrt.data.pinning import PinnedInProcess

        return PinnedInProcess

    def _in_workers(self) -> type[InWorkers]:
        if not (self.pin_memory and device_count()):
            return InWorkers
        from distrt.data.pinning import PinnedInWorkers

        return PinnedInWorkers

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Iterable[Any]:
        """What the pass goes through: lists of indices, or indices where batching is off."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def recipe(self) -> Recipe:
        """How batches are made."""
        return Recipe(self.dataset, self._auto_collation, self.collate_fn, self.drop_last)

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return size_of(self._index_sampler)
        length = size_of(self.dataset)
        if self.batch_size is not None:
            length = length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        self._promised = length
        return length

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def _default_sampler(self, shuffle: bool) -> Iterable[Any]:
        if isinstance(self.dataset, IterableDataset):
            return InfiniteSampler()
        if shuffle:
            return RandomSampler(self.dataset, generator=self.generator)  # type: ignore[arg-type]
        return SequentialSampler(self.dataset)  # type: ignore[arg-type]


class InfiniteSampler:
    """The sampler of an iterable dataset, which has no indices."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)
