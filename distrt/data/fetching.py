"""How a batch is made of what a sampler gave: by a loader itself, and by each of its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from distrt.data.collate import default_collate
from distrt.data.dataset import Dataset, IterableDataset, fetch_batch, fetch_samples

__all__ = ["Fetch", "Recipe"]


class Fetch(Protocol):
    """Makes the batch at a list of indices, or the sample at one.

    Raises:
        StopIteration: a stream has come to its end.
    """

    def __call__(self, index: Any, /) -> Any:
        """The batch."""


class Recipe:
    """What a loader knows about making batches.

    Args:
        dataset: an indexed one, or a stream.
        in_batches: whether an index is a list, whose samples are one batch.
        collate_fn: makes a batch of a list of samples, or converts one sample.
        drop_last: whether a last batch of a stream that is shorter is left out.
    """

    def __init__(
        self, dataset: Dataset[Any], in_batches: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.in_batches = in_batches
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def begin(self) -> Fetch:
        """A new pass; a stream begins here."""
        if not isinstance(self.dataset, IterableDataset):
            return self._batch if self.in_batches else self._sample
        samples = iter(self.dataset)
        return lambda index: self._next(samples, index)

    def _sample(self, index: Any) -> Any:
        return self.collate_fn(self.dataset[index])

    def _batch(self, index: Any) -> Any:
        indices = list(index)
        if self.collate_fn is default_collate and indices:
            batch = fetch_batch(self.dataset, indices)
            if batch is not None:
                return batch
        return self.collate_fn(fetch_samples(self.dataset, indices))

    def _next(self, samples: Iterator[Any], index: Any) -> Any:
        if not self.in_batches:
            return self.collate_fn(next(samples))
        batch = list(islice(samples, len(index)))
        if not batch or (self.drop_last and len(batch) < len(index)):
            raise StopIteration
        return self.collate_fn(batch)
