"""Samplers: the order in which a loader visits the samples of an indexed dataset.

``DataLoader`` makes the usual ones itself; the distributed one is in ``distributed_sampler.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from distrt.core.creation import tensor
from distrt.core.ops import multinomial
from distrt.core.random.draws import draw_integers, draw_permutation, draw_seed
from distrt.core.random.generator import Generator
from distrt.core.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)

_TOGETHER = 32  #: so many indices are drawn at a time, with replacement: PyTorch's number, for the same order


class Sampler(Generic[T_co]):
    """Yields indices, or lists of them: subclasses define ``__iter__``, and ``__len__`` where it is known."""

    # No __len__ here: len(loader) must raise TypeError for a sampler that has none.

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, … in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A new permutation in every epoch, or draws with replacement.

    Args:
        data_source: what is sampled; only its length is used.
        replacement: draw each index independently.
        num_samples: how many indices to yield; the length of ``data_source`` by default. Without replacement,
            more than that takes one permutation after another.
        generator: where the randomness comes from; by default a stream seeded from the default generator.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        _check_positive("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices one pass yields; follows a dataset that grows."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size = len(self.data_source)
        random = self.generator or _child_generator()
        if self.replacement:
            for start in range(0, self.num_samples, _TOGETHER):
                count = min(_TOGETHER, self.num_samples - start)
                yield from draw_integers(0, size, (count,), random).tolist()
            return
        for _ in range(self.num_samples // size):
            yield from draw_permutation(size, random).tolist()
        last = draw_permutation(size, random).tolist()  # also for none of it: as PyTorch draws
        yield from last[: self.num_samples % size]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a new random order in every epoch."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in draw_permutation(len(self.indices), self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Draws index ``i`` with a probability proportional to ``weights[i]``.

    Args:
        weights: one non-negative number per sample; they need not sum to one.
        num_samples: how many indices to yield.
        replacement: without it, no index comes twice.
        generator: where the randomness comes from; the default generator by default.
    """

    weights: Tensor

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_positive("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        array = np.array(weights._array if isinstance(weights, Tensor) else weights, np.float64)
        if array.ndim != 1:
            raise ValueError(f"weights should be a 1d sequence but given weights have shape {array.shape}")
        self.weights = tensor(array)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        weights = self.weights._array
        total = weights.sum()
        if not (np.isfinite(total) and total > 0 and weights.min() >= 0):
            raise RuntimeError("weights must be finite and non-negative, and at least one must be positive")
        possible = np.count_nonzero(weights)
        if not self.replacement and self.num_samples > possible:
            raise RuntimeError(
                f"cannot draw {self.num_samples} samples without replacement from {possible} with a positive weight"
            )
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` indices of another sampler; ``drop_last`` drops a shorter last one."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_positive("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]  # TypeError where the sampler has no length
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def _check_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")


def _child_generator() -> Generator:
    """A stream of its own, so that what runs between two batches cannot change the order of an epoch."""
    return Generator().manual_seed(draw_seed(None))
