"""The sampler that gives each rank its share of a dataset. PyTorch's rules, index by index.

This room knows nothing about process groups: who does, hands in the default world with ``set_default_world``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import TypeVar

from distrt.core.random import Generator, numpy_generator
from distrt.data.sampler import Sampler

T_co = TypeVar("T_co", covariant=True)

WorldProvider = Callable[[], tuple[int, int]]


def _no_world() -> tuple[int, int]:
    raise ValueError(
        "DistributedSampler: the default process group has not been initialized; call init_process_group() "
        "first, or pass both num_replicas and rank"
    )


_default_world: WorldProvider = _no_world


def set_default_world(provider: WorldProvider | None) -> None:
    """Says where a sampler without ``num_replicas`` or ``rank`` finds them.

    Args:
        provider: returns ``(world_size, rank)`` of the calling thread, or raises; None takes it back.
    """
    global _default_world
    _default_world = provider or _no_world


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index of one list that all ranks agree on.

    All ranks get the same number of indices. Where the dataset does not divide evenly, the list is padded
    with indices from its own front (repeated as often as needed), or with ``drop_last`` cut short. Padding
    means that an evaluation over this sampler counts some samples twice.

    Call ``set_epoch`` before each epoch; the order repeats otherwise.

    Args:
        dataset: what is sampled; only its length is used.
        num_replicas: number of ranks; the default process group's by default.
        rank: this process's rank; the default process group's by default.
        shuffle: permute the list, in the same way on every rank.
        seed: base of the permutation's seed, ``seed + epoch``; must be the same on every rank.
        drop_last: cut the list to a multiple of ``num_replicas`` instead of padding it.
        virtual_shards: the number that ``DistributedDataParallel(reproducible=...)`` has. The list is then divided
            among so many shards instead of the ranks, and each batch of a rank has its shards' samples one after
            another: so every shard gets the same samples on any number of ranks.
        batch_size: with ``virtual_shards``, that of the loader on each rank.

    Raises:
        ValueError: for a rank outside ``[0, num_replicas)``, or without a process group to ask; for shards that the
            ranks, or a batch that the shards, cannot divide evenly.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler
    (the permutation itself is distrt's generator's, not PyTorch's).
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        *,
        virtual_shards: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        if num_replicas is None or rank is None:
            world_size, own_rank = _default_world()
            num_replicas = world_size if num_replicas is None else num_replicas
            rank = own_rank if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        shares = num_replicas if virtual_shards is None else virtual_shards
        if shares % num_replicas:
            raise ValueError(f"{num_replicas} ranks cannot divide {shares} virtual shards evenly")
        own = shares // num_replicas
        if virtual_shards is not None and (batch_size is None or batch_size <= 0 or batch_size % own):
            raise ValueError(
                f"with virtual_shards={virtual_shards} on {num_replicas} ranks, batch_size must be given, and be a "
                f"multiple of the {own} shards of each rank; got {batch_size}"
            )
        self._virtual_shards, self._batch_size = virtual_shards, batch_size
        size = len(dataset)
        of_share = size // shares if drop_last else -(-size // shares)
        self.num_samples = of_share * own
        self.total_size = of_share * shares

    def __iter__(self) -> Iterator[int]:
        indices = self._order()
        while 0 < len(indices) < self.total_size:
            indices += indices[: self.total_size - len(indices)]
        if self._virtual_shards is None:
            return iter(indices[self.rank : self.total_size : self.num_replicas])
        return self._by_shards(indices[: self.total_size], self._virtual_shards)

    def _by_shards(self, indices: list[int], count: int) -> Iterator[int]:
        """Batch by batch, each of this rank's shards' part."""
        own = count // self.num_replicas
        shards = [indices[shard::count] for shard in range(self.rank * own, (self.rank + 1) * own)]
        assert self._batch_size is not None
        part = self._batch_size // own
        for start in range(0, len(shards[0]), part):
            for shard in shards:
                yield from shard[start : start + part]

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Chooses the permutation of the next pass; the same number on every rank."""
        self.epoch = epoch

    def _order(self) -> list[int]:
        size = len(self.dataset)
        if not self.shuffle:
            return list(range(size))
        generator = Generator().manual_seed(self.seed + self.epoch)
        order: list[int] = numpy_generator(generator).permutation(size).tolist()
        return order
