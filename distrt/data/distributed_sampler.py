"""The sampler that gives each rank its share of a dataset. PyTorch's rules, index by index.

This room knows nothing about process groups: who does, hands in the default world with ``set_default_world``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from typing import TypeVar

from distrt.core.random.draws import draw_permutation
from distrt.core.random.generator import Generator
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
    means that an evaluation over this sampler counts some samples twice; with ``padding="none"`` it does not, and
    the first ranks may have one sample, and so one batch, more than the others.

    Call ``set_epoch`` before each epoch; the order repeats otherwise.

    The ranks together have always read the front of the list. So one integer, the same on all of them, says where they
    stand: the samples read since the first epoch began. Ranks in any number go on from there:

        state = sampler.state_dict()        # {"samples": 5120}; save it with the model
        sampler.load_state_dict(state)      # in the next run; the next pass reads the rest of the epoch
        for epoch in range(sampler.epoch, epochs):
            sampler.set_epoch(epoch)

    ``DataLoader`` notes what has been read when it gives a batch, however many its workers have made ahead. Who
    iterates over a sampler without one calls ``advance``.

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
        padding: "wrap", or "none" for every sample exactly once.

    Raises:
        ValueError: for a rank outside ``[0, num_replicas)``, or without a process group to ask; for shards that the
            ranks, or a batch that the shards, cannot divide evenly; for another padding, or none with shards.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler.
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
        padding: str = "wrap",
    ) -> None:
        if num_replicas is None or rank is None:
            world_size, own_rank = _default_world()
            num_replicas = world_size if num_replicas is None else num_replicas
            rank = own_rank if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        _check_padding(padding, virtual_shards)
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.padding = padding
        self._shares = num_replicas if virtual_shards is None else virtual_shards
        if self._shares % num_replicas:
            raise ValueError(f"{num_replicas} ranks cannot divide {self._shares} virtual shards evenly")
        own = self._shares // num_replicas
        if virtual_shards is not None and (batch_size is None or batch_size <= 0 or batch_size % own):
            raise ValueError(
                f"with virtual_shards={virtual_shards} on {num_replicas} ranks, batch_size must be given, and be a "
                f"multiple of the {own} shards of each rank; got {batch_size}"
            )
        self._batch_size = None if virtual_shards is None else batch_size
        self.total_size = self._padded(len(dataset))
        self.num_samples = len(range(self.rank, self.total_size, num_replicas))
        self._begins = 0  # the place in the list where the next pass begins
        self._began = 0  # where the present one did
        self._used = 0  # how many of this rank's samples it has used

    def __iter__(self) -> Iterator[int]:
        self._began, self._begins, self._used = self._begins, 0, 0
        order = self._order()
        indices = order[self._began :]
        total = self._padded(len(indices))
        if indices:
            indices += [order[i % len(order)] for i in range(total - len(indices))]
        if self._batch_size is None:
            return iter(indices[self.rank : total : self.num_replicas])
        return self._by_shards(indices[:total], self._batch_size)

    def _by_shards(self, indices: list[int], batch_size: int) -> Iterator[int]:
        """Batch by batch, each of this rank's shards' part."""
        own = self._shares // self.num_replicas
        shards = [indices[shard :: self._shares] for shard in range(self.rank * own, (self.rank + 1) * own)]
        part = batch_size // own
        for start in range(0, len(shards[0]), part):
            for shard in shards:
                yield from shard[start : start + part]

    def __len__(self) -> int:
        """This rank's samples in a whole epoch."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Chooses the permutation of the next pass; the same number on every rank."""
        if epoch != self.epoch:
            self._begins = self._began = self._used = 0
        self.epoch = epoch

    def advance(self, count: int) -> None:
        """Notes that so many more of this rank's samples have been used."""
        self._used += count

    def position(self) -> dict[str, int]:
        """The epoch, and how many of its samples all ranks together have read.

        The same on all ranks when they have made equally many steps; at the end of an epoch without padding, rank 0's
        is the right one.
        """
        place = self._begins or self._began + self._used * self.num_replicas
        return {"epoch": self.epoch, "samples": min(place, len(self.dataset))}

    def go_to(self, epoch: int, samples: int) -> None:
        """Has the next pass begin at a position of ranks in any number."""
        self.epoch, self._begins = epoch, samples
        self._began = self._used = 0

    def state_dict(self) -> dict[str, int]:
        """The position as one integer: the samples that all ranks have read since the first epoch began."""
        place = self.position()
        return {"samples": place["epoch"] * len(self.dataset) + place["samples"]}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Has the next pass begin where ranks in some number have stood.

        Raises:
            ValueError: for what no ``state_dict`` of such a sampler is.
        """
        samples = state_dict.get("samples")
        if set(state_dict) != {"samples"} or type(samples) is not int or samples < 0:
            raise ValueError(f'expected {{"samples": a number of samples}}, got {dict(state_dict)}')
        self.go_to(*divmod(samples, len(self.dataset) or 1))

    def _padded(self, size: int) -> int:
        """The length of a list of so many samples when it is padded or cut."""
        if self.drop_last:
            return size // self._shares * self._shares
        return size if self.padding == "none" else -(-size // self._shares) * self._shares

    def _order(self) -> list[int]:
        size = len(self.dataset)
        if not self.shuffle:
            return list(range(size))
        generator = Generator().manual_seed(self.seed + self.epoch)
        order: list[int] = draw_permutation(size, generator).tolist()
        return order


def _check_padding(padding: str, virtual_shards: int | None) -> None:
    if padding not in ("wrap", "none"):
        raise ValueError(f'padding must be "wrap" or "none", got {padding!r}')
    if padding == "none" and virtual_shards is not None:
        raise ValueError(
            'padding="none" gives ranks different numbers of samples, which virtual_shards cannot have'
        )
