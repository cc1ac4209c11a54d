"""Running statistics of batch normalisation under virtual shards: they move by every shard's, in the shards' order.

A shard's own statistics are taken out of its forward pass, and each rank moves its running ones by those of all shards,
as one rank would that has them all. Called by ``virtual_shards.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array
from distrt.core.creation import zeros_like
from distrt.core.errors import UnsupportedError
from distrt.core.ops.nn.batch_normalisation import move_running
from distrt.core.tensor import Tensor
from distrt.nn.modules.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, count_batch
from distrt.nn.modules.module import Module
from distrt.parallel.sync_batch_norm import SyncBatchNorm

__all__ = ["ShardStatistics", "ShardsOwn"]

_BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


class ShardsOwn(NamedTuple):
    """The statistics of one shard.

    Attributes:
        uses: of each layer, whether the shard came to it.
        values: each layer's mean and variance, float64, where the model is.
    """

    uses: Array
    values: Array


class ShardStatistics:
    """The layers of a model that keep running statistics.

    Args:
        module: the model.
        group: the ranks.

    Attributes:
        are_synced: whether its layers take statistics over all shards, which then run in lockstep.

    Raises:
        UnsupportedError: there are BatchNorm and SyncBatchNorm, or one of these with a group of its own.
    """

    def __init__(self, module: Module, group: ProcessGroup) -> None:
        self._group = group
        named: list[tuple[str, Any]] = list(module.named_modules())
        self._synced = [(name, part) for name, part in named if isinstance(part, SyncBatchNorm)]
        for name, part in self._synced:
            if part.process_group not in (None, group):
                raise UnsupportedError(
                    f"{name}: with reproducible=, a SyncBatchNorm has the wrapper's own group"
                )
        self._norms = [
            (name, part)
            for name, part in named
            if isinstance(part, _BATCH_NORMS) and part.track_running_stats
        ]
        self.are_synced = bool(self._synced)
        if self._synced and self._norms:
            raise UnsupportedError(
                f"{self._norms[0][0]}: with reproducible=, a model has either BatchNorm or SyncBatchNorm, not both; "
                "SyncBatchNorm.convert_sync_batchnorm converts all"
            )
        # The buffers after the last forward pass: (layer's name, layer, [(buffer, values, version)]).
        self._noted: list[tuple[str, Module, list[tuple[Tensor, Array, int]]]] = []

    def buffers(self) -> Iterator[Tensor]:
        """The running statistics."""
        for _, part in (*self._norms, *self._synced):
            yield from part.buffers()

    @contextmanager
    def of_one_shard(self, found: list[ShardsOwn]) -> Iterator[None]:
        """Has batch normalisation leave this shard's own statistics, which are then put away in ``found``."""
        kept = [(part, part.momentum, int(part.num_batches_tracked)) for _, part in self._norms]
        running = [(part.running_mean, part.running_var) for _, part in self._norms]
        for part, _, _ in kept:
            # One in evaluation mode (frozen, for fine-tuning) normalises with its running statistics, and keeps them.
            if not part.training:
                continue
            # The move from 0 by a momentum of 1 gives what was found, to the bit.
            part.running_mean, part.running_var = map(zeros_like, (part.running_mean, part.running_var))
            part.momentum = 1.0
        row: list[Array] = []
        times = []
        try:
            yield
        finally:
            for (part, momentum, count), (mean, variance) in zip(kept, running, strict=True):
                row += [part.running_mean._array.reshape(-1), part.running_var._array.reshape(-1)]
                times.append(int(part.num_batches_tracked) - count)
                part.running_mean, part.running_var, part.momentum = mean, variance, momentum
                part.num_batches_tracked.fill_(count)
        for (name, _), used in zip(self._norms, times, strict=True):
            if used > 1:
                raise UnsupportedError(
                    f"{name} was used {used} times in one forward pass: with reproducible= a layer of batch "
                    "normalisation can be used once"
                )
        if row:
            values = np.concatenate([each.astype(np.float64) for each in row])
            found.append(ShardsOwn(np.array(times, np.uint8), values))

    def move(self, found: list[ShardsOwn]) -> None:
        """Moves the running statistics by those of all shards, in their order; all ranks call.

        Args:
            found: those of this rank's shards, as many on every rank.
        """
        if not self._norms:
            return
        size = self._group.size()
        uses, values = np.stack([each.uses for each in found]), np.stack([each.values for each in found])
        all_uses = np.empty((size, *uses.shape), np.uint8)
        self._group.all_gather(all_uses, uses)
        everybodys = np.empty((size, *values.shape), like=values)
        self._group.all_gather(everybodys, values)
        for used_in, row in zip(
            all_uses.reshape(-1, uses.shape[1]), everybodys.reshape(-1, values.shape[1]), strict=True
        ):
            start = 0
            for used, (_, part) in zip(used_in, self._norms, strict=True):
                size = part.num_features
                mean, variance = row[start : start + size], row[start + size : start + 2 * size]
                start += 2 * size
                if used:
                    momentum = count_batch(part)
                    move_running(part.running_mean, mean, momentum)
                    move_running(part.running_var, variance, momentum)

    def note(self) -> None:
        """The forward passes are over: keep what the statistics are now."""
        self._noted = [
            (name, part, [(each, each._array.copy(), each._version) for each in part.buffers()])
            for name, part in (*self._norms, *self._synced)
        ]

    def restore(self) -> None:
        """After a backward pass, in which checkpointed parts have run again: their statistics have counted before.

        Raises:
            UnsupportedError: there is a SyncBatchNorm among them. It saw one shard, so the gradients are wrong.
        """
        noted, self._noted = self._noted, []
        for name, part, buffers in noted:
            for buffer, values, version in buffers:
                if buffer._version == version:
                    continue
                if isinstance(part, SyncBatchNorm):
                    raise UnsupportedError(
                        f"{name}: with reproducible=, SyncBatchNorm cannot be in a checkpointed part of the model, "
                        "which is computed again one shard after another. The gradients of this pass are wrong"
                    )
                buffer._array[...] = values
                buffer._counter[0] += 1
