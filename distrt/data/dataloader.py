"""``DataLoader``: batches of a dataset, in a sampler's order. Loads in the calling process.

Every option of PyTorch's loader is accepted and checked by PyTorch's rules; worker processes are to come.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from distrt.core.random import Generator
from distrt.data.collate import default_collate, default_convert
from distrt.data.dataset import Dataset, IterableDataset, fetch_batch, fetch_samples, size_of
from distrt.data.sampler import BatchSampler, RandomSampler, SequentialSampler

T_co = TypeVar("T_co", covariant=True)

_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


def get_worker_info() -> None:
    """Which worker process the caller is in: None, the main process, where all loading happens."""
    return None


class DataLoader(Generic[T_co]):
    """Iterates over ``dataset`` in batches; each ``for`` starts a new pass.

    Args:
        dataset: an indexed or an iterable dataset.
        batch_size: samples per batch; None yields single samples, through ``default_convert``.
        shuffle: a new random order in every pass.
        sampler: yields the indices; excludes ``shuffle``.
        batch_sampler: yields lists of indices; excludes ``batch_size``, ``shuffle``, ``sampler`` and
            ``drop_last``.
        num_workers: accepted; until worker processes exist, loading stays in the main process, and a warning
            says so.
        collate_fn: makes a batch of a list of samples; ``default_collate`` by default.
        pin_memory: accepted; without a GPU there is nothing to pin.
        drop_last: drop a last batch that is shorter than ``batch_size``.
        timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers, in_order: for
            worker processes; checked and kept.
        generator: where ``shuffle`` takes its randomness from.
        pin_memory_device: accepted and unused, as in PyTorch.

    Raises:
        ValueError: for options that exclude one another, or that need ``num_workers > 0``.
    """

    dataset: Dataset[T_co]
    batch_size: int | None
    sampler: Iterable[Any]
    batch_sampler: Iterable[list[Any]] | None
    _is_complete = False

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
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_sampling(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _checked_context(multiprocessing_context, num_workers)
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
        self._is_complete = True
        if num_workers:
            warnings.warn(
                f"DataLoader: num_workers={num_workers}: worker processes are not implemented yet; "
                "the data is loaded in the main process",
                stacklevel=2,
            )

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._stream(self.dataset)
        return map(self._fetch, iter(self.sampler if self.batch_sampler is None else self.batch_sampler))

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return size_of(self.sampler if self.batch_sampler is None else self.batch_sampler)
        length = size_of(self.dataset)
        if self.batch_size is not None:
            length = length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        self._promised = length
        return length

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_complete and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def _default_sampler(self, shuffle: bool) -> Iterable[Any]:
        if isinstance(self.dataset, IterableDataset):
            return _Endless()
        if shuffle:
            return RandomSampler(self.dataset, generator=self.generator)  # type: ignore[arg-type]
        return SequentialSampler(self.dataset)  # type: ignore[arg-type]

    def _fetch(self, index: Any) -> Any:
        """The sample at ``index``, or the batch at a list of indices."""
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[index])
        indices = list(index)
        if self.collate_fn is default_collate and indices:
            batch = fetch_batch(self.dataset, indices)
            if batch is not None:
                return batch
        return self.collate_fn(fetch_samples(self.dataset, indices))

    def _stream(self, dataset: IterableDataset[T_co]) -> Iterator[Any]:
        """The batches of an iterable dataset; says so once when there are more than ``len`` promised."""
        promised = self._promised
        for count, batch in enumerate(self._stream_batches(iter(dataset)), start=1):
            if promised is not None and count == promised + 1:
                warnings.warn(
                    f"Length of IterableDataset {dataset} was reported to be {promised} (when accessing "
                    f"len(dataloader)), but more has been fetched",
                    stacklevel=2,
                )
            yield batch

    def _stream_batches(self, samples: Iterator[Any]) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)


class _Endless:
    """The sampler of an iterable dataset, which has no indices."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and timeout:
        raise ValueError("timeout option needs num_workers > 0")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing: let num_workers > 0 to "
            "enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_sampling(
    dataset: Any,
    batch_size: int | None,
    shuffle: bool | None,
    sampler: Any,
    batch_sampler: Any,
    drop_last: bool,
) -> None:
    if isinstance(dataset, IterableDataset):
        given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, "
                    f"but got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
        )
    if batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )


def _checked_context(context: str | BaseContext | None, num_workers: int) -> BaseContext | None:
    if context is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )
    if isinstance(context, BaseContext):
        return context
    if not isinstance(context, str):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the "
            f"start method, but got multiprocessing_context={context}"
        )
    methods = multiprocessing.get_all_start_methods()
    if context not in methods:
        raise ValueError(
            f"multiprocessing_context option should specify a valid start method in {methods!r}, but got "
            f"multiprocessing_context={context!r}"
        )
    return multiprocessing.get_context(context)
