"""Datasets: what can be indexed (``Dataset``) or only iterated (``IterableDataset``), and how they combine.

``DataLoader`` reads them; ``distrt.utils.data`` is their public address.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np

from distrt.core.errors import ShapeError
from distrt.core.process.users_code import warn
from distrt.core.random.draws import draw_permutation
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by index: subclasses define ``__getitem__``, and ``__len__`` where a sampler needs it.

    A subclass may define ``__getitems__(indices) -> list of samples`` to fetch a whole batch at once.
    """

    # No __len__ here: list() and other callers must be able to see that a subclass has none.

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Samples in the order they come, for data without an index: subclasses define ``__iter__``."""

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class SizeMismatch(ShapeError, AssertionError):  # noqa: N818 - named for what is the case
    """Tensors of different numbers of rows were to be one dataset: PyTorch asserts that they are not."""


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample ``i`` is the tuple of the ``i``-th rows of several tensors.

    Raises:
        SizeMismatch: (an AssertionError) where the tensors differ in their number of rows.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor")
        rows = [len(tensor) for tensor in tensors]
        if len(set(rows)) > 1:
            raise SizeMismatch(f"TensorDataset: size mismatch between tensors: they have {rows} rows")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset[T_co]):
    """The samples of ``dataset`` at ``indices``, in that order."""

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        cls = type(self)
        if cls.__getitem__ is not Subset.__getitem__ and cls.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{cls.__name__} overrides __getitem__ but not __getitems__, which DataLoader calls; define "
                "also: def __getitems__(self, indices): return [self[i] for i in indices]"
            )
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        return fetch_samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """Several indexed datasets one after the other."""

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(size_of(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError(f"index {index} is out of range for {len(self)} samples")
            index += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        if which == len(self.datasets):
            raise IndexError(f"index {index} is out of range for {len(self)} samples")
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


class StackDataset(Dataset[Any]):
    """Sample ``i`` has the ``i``-th sample of each of several datasets: a tuple, or by name a dict.

    Raises:
        ValueError: for datasets given in both ways, none, or datasets of different sizes.
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like input/output, but both "
                "types are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets = args or kwargs
        sizes = {size_of(dataset) for dataset in self._parts()}
        if len(sizes) > 1:
            raise ValueError("Size mismatch between datasets")
        self._length = sizes.pop()

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _sample(self, parts: Sequence[Any]) -> Any:
        return (
            dict(zip(self.datasets, parts, strict=True)) if isinstance(self.datasets, dict) else tuple(parts)
        )

    def __getitem__(self, index: Any) -> Any:
        return self._sample([dataset[index] for dataset in self._parts()])

    def __getitems__(self, indices: list[int]) -> list[Any]:
        columns = [fetch_samples(dataset, indices) for dataset in self._parts()]
        for column in columns:
            if len(column) != len(indices):
                raise ValueError(
                    f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(column)}"
                )
        return [self._sample(parts) for parts in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


class ChainDataset(IterableDataset[T_co]):
    """Several iterable datasets one after the other."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self._checked():
            yield from dataset

    def __len__(self) -> int:
        return sum(size_of(dataset) for dataset in self._checked())

    def _checked(self) -> Iterator[IterableDataset[T_co]]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"ChainDataset only supports IterableDataset, not {type(dataset).__name__}")
            yield dataset


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Cuts ``dataset`` at random into subsets of the given lengths, without overlap.

    Lengths that sum to 1 are fractions: each subset gets the floor of its share, and what remains goes one
    sample each to the first subsets.

    Raises:
        ValueError: where the lengths do not sum to the dataset's, or a fraction is outside [0, 1].
    """
    size = size_of(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _shares(lengths, size)
    if sum(lengths) != size:
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! {sum(lengths)} != {size}"
        )
    indices = draw_permutation(size, generator).tolist()
    counts = cast("Sequence[int]", lengths)
    ends = itertools.accumulate(counts)
    return [Subset(dataset, indices[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def _shares(fractions: Sequence[float], size: int) -> list[int]:
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1: {fraction}")
    shares = [math.floor(size * fraction) for fraction in fractions]
    for i in range(size - sum(shares)):
        shares[i % len(shares)] += 1
    for i, share in enumerate(shares):
        if share == 0:
            warn(f"Length of split at index {i} is 0. This might result in an empty dataset.")
    return shares


def size_of(dataset: Any) -> int:
    """``len(dataset)``, for a type that does not promise to have one."""
    return len(dataset)


def fetch_samples(dataset: Any, indices: list[int]) -> list[Any]:
    """The samples at ``indices``, in one call where the dataset has ``__getitems__``."""
    if callable(getattr(dataset, "__getitems__", None)):
        return cast("list[Any]", dataset.__getitems__(indices))
    return [dataset[index] for index in indices]


def fetch_batch(dataset: Any, indices: list[int]) -> list[Tensor] | None:
    """What ``default_collate`` would make of the samples at ``indices``, gathered in one go.

    A tensor dataset's batch is one indexing operation per tensor instead of one per sample and tensor. None
    for every other dataset, also for a subclass, whose ``__getitem__`` may do more.
    """
    if type(dataset) is Subset:
        return fetch_batch(dataset.dataset, [dataset.indices[i] for i in indices])
    if type(dataset) is TensorDataset and all(type(index) is int for index in indices):
        rows = np.asarray(indices, np.int64)
        return [tensor[rows] for tensor in dataset.tensors]
    return None
