"""One pass over a loader: what all passes have in common, and the pass that loads in the calling process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from distrt.core.gpu.library import device_count
from distrt.core.process.activity import DATA, doing
from distrt.core.process.users_code import warn
from distrt.core.random.draws import draw_seed
from distrt.data.dataset import IterableDataset, size_of

if TYPE_CHECKING:
    from distrt.data.dataloader import DataLoader

__all__ = ["InProcess", "LoaderIterator", "innermost_sampler"]


class LoaderIterator(Iterator[Any]):
    """Gives batches; subclasses load them.

    Attributes:
        base_seed: drawn from the loader's generator when the iterator is made, whoever loads: so the order of a pass
            does not depend on the number of workers. Workers that stay keep theirs, and later passes draw none, as in
            PyTorch.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        if loader.pin_memory and not device_count():
            warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be "
                "used."
            )
        self._recipe = loader.recipe()
        self._begin(loader)
        self.base_seed = draw_seed(loader.generator)

    def _begin(self, loader: DataLoader[Any]) -> None:
        self._index_sampler = loader._index_sampler
        self._indices = iter(self._index_sampler)
        self._promised = loader._promised
        self._given = 0
        self._note_used = getattr(innermost_sampler(loader), "advance", None)

    def __iter__(self) -> LoaderIterator:
        return self

    def __len__(self) -> int:
        return size_of(self._index_sampler)

    def __next__(self) -> Any:
        with doing(DATA):
            batch, size = self._next_batch()
        self._given += 1
        if self._promised is not None and self._given == self._promised + 1:
            warn(
                f"Length of IterableDataset {self._recipe.dataset} was reported to be {self._promised} (when accessing "
                f"len(dataloader)), but more has been fetched"
            )
        if self._note_used is not None:
            self._note_used(size)
        return batch

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")

    def _next_batch(self) -> tuple[Any, int]:
        """The next batch, and how many indices it was made of, where somebody wants to know."""
        raise NotImplementedError

    def _size(self, index: Any) -> int:
        if self._note_used is None:
            return 0
        return len(index) if self._recipe.in_batches else 1


class InProcess(LoaderIterator):
    """Loads each batch when it is asked for."""

    def _begin(self, loader: DataLoader[Any]) -> None:
        super()._begin(loader)
        self._fetch = self._recipe.begin()

    def _next_batch(self) -> tuple[Any, int]:
        index = next(self._indices)
        try:
            return self._fetch(index), self._size(index)
        except StopIteration as stop:
            if isinstance(self._recipe.dataset, IterableDataset):
                raise
            raise RuntimeError("a dataset that is no stream raised StopIteration") from stop


def innermost_sampler(loader: DataLoader[Any]) -> Any:
    """The sampler that single indices come from: a batch sampler of the user's may have one, too. None for a stream."""
    if isinstance(loader.dataset, IterableDataset):
        return None
    return getattr(loader.batch_sampler, "sampler", loader.sampler)
