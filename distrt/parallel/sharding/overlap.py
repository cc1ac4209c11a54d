"""Steps of ``ZeroRedundancyOptimizer`` inside the backward pass of ``DistributedDataParallel``.

Communication hooks, which see the buckets of gradients: a rank updates the parameters of its buckets while others are
still on their way. The first passes, until the buckets are laid out for good, update nothing: as in PyTorch.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from distrt.comm.futures import Future
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket
from distrt.parallel.ddp import DistributedDataParallel
from distrt.parallel.hooks.all_reducing import when_awaited
from distrt.parallel.sharding.partition import index_of_least
from distrt.parallel.sharding.publication import InPlace
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer

__all__ = ["hook_with_zero_step", "hook_with_zero_step_interleaved"]

Hook = Callable[[Any, GradBucket], Future[Tensor]]
Params = list[Tensor]


def hook_with_zero_step(
    hook: Hook, ddp: DistributedDataParallel, zero: ZeroRedundancyOptimizer, shard_buckets: bool = False
) -> Hook:
    """A hook that does what ``hook`` does, and after the last bucket updates all parameters.

    Args:
        hook: averages a bucket.
        ddp: the wrapper that the new hook is registered with.
        zero: the optimizer, made with ``overlap_with_ddp=True``.
        shard_buckets: spread the parameters of each bucket over the ranks, instead of whole buckets.

    Raises:
        ValueError: the optimizer was not made so.
        RuntimeError: on a group that was asked for by the name of gloo, as in PyTorch.
    """
    steps = _OverlappedSteps(ddp, zero, shard_buckets)
    averages: list[tuple[GradBucket, Future[Tensor]]] = []

    def hook_with_zero_fn(state: Any, bucket: GradBucket) -> Future[Tensor]:
        future = hook(state, bucket)
        if not steps.begin(bucket):
            return future
        averages.append((bucket, future))
        if bucket.is_last():
            for each, average in averages:
                average.wait()
                steps.update(each)
            averages.clear()
        return future

    return hook_with_zero_fn


def hook_with_zero_step_interleaved(
    hook: Hook, ddp: DistributedDataParallel, zero: ZeroRedundancyOptimizer, shard_buckets: bool = False
) -> Hook:
    """A hook that does what ``hook`` does, and updates the parameters of a bucket while later ones are averaged.

    Args:
        hook, ddp, zero, shard_buckets: as for `hook_with_zero_step`; so are the errors.
    """
    steps = _OverlappedSteps(ddp, zero, shard_buckets)

    def hook_with_zero_interleaved_fn(state: Any, bucket: GradBucket) -> Future[Tensor]:
        future = hook(state, bucket)
        if not steps.begin(bucket):
            return future

        def update() -> Tensor:
            future.wait()
            steps.update(bucket)
            return bucket.buffer()

        return when_awaited(update)

    return hook_with_zero_interleaved_fn


class _OverlappedSteps:
    """The buckets, who updates their parameters, and the updates."""

    def __init__(self, ddp: DistributedDataParallel, zero: ZeroRedundancyOptimizer, is_spread: bool) -> None:
        if not zero._overlap_with_ddp:
            raise ValueError(
                "ZeroRedundancyOptimizer must be constructed with `overlap_with_ddp=True` to use this hook properly"
            )
        if ddp.process_group.backend_asked == "gloo":
            raise RuntimeError("Gloo backend using Overlapping DDP with ZeRO may meet hangs")
        self._ddp, self._zero, self._is_spread = weakref.ref(ddp), zero, is_spread
        self._buckets: list[Params] = []
        self._shards: list[list[Params]] = []  # per bucket and rank

    def begin(self, bucket: GradBucket) -> bool:
        """Takes note of a bucket; whether it is known by now who updates its parameters."""
        if self._shards:
            return True
        ddp = self._ddp()
        if ddp is None or not ddp._has_rebuilt_buckets:
            return False
        if bucket.index() > 0 or not self._buckets:
            self._buckets.append(bucket.parameters())
            return False
        size = self._zero.world_size
        self._shards = _spread(self._buckets, size) if self._is_spread else _dealt(self._buckets, size)
        self._zero._begin_overlap(
            [[param for shards in self._shards for param in shards[rank]] for rank in range(size)]
        )
        return True

    def update(self, bucket: GradBucket) -> None:
        """Updates the parameters of an averaged bucket, each rank its own, and gives them to all."""
        shards, zero = self._shards[bucket.index()], self._zero
        gradients = dict(zip(bucket.parameters(), bucket.gradients(), strict=True))
        own = [param for group in zero.optim.param_groups for param in group["params"]]
        held = [param._grad for param in own]
        for param in own:
            param._grad = gradients.get(param)
        try:
            zero._local_step()
        finally:
            for param, gradient in zip(own, held, strict=True):
                param._grad = gradient
        InPlace(shards, zero.process_group).publish()


def _dealt(buckets: list[Params], size: int) -> list[list[Params]]:
    """Each bucket to one rank."""
    return [
        [params if rank == index % size else [] for rank in range(size)]
        for index, params in enumerate(buckets)
    ]


def _spread(buckets: list[Params], size: int) -> list[list[Params]]:
    """Buckets cut into runs below the ranks' fair share, each to the rank with the least so far, as in PyTorch."""
    counts = [sum(param.numel() for param in params) for params in buckets]
    fair, held = sum(counts) / size, [0] * size
    shards: list[list[Params]] = [[[] for _ in range(size)] for _ in buckets]
    for index in sorted(range(len(buckets)), key=counts.__getitem__):
        for run in _runs(buckets[index], fair):
            rank = index_of_least(held, {each for each, own in enumerate(shards[index]) if own})
            shards[index][rank] = run
            held[rank] += sum(param.numel() for param in run)
    return shards


def _runs(params: Params, limit: float) -> list[Params]:
    runs: list[Params] = [[]]
    for param in params:
        if runs[-1] and sum(each.numel() for each in runs[-1]) + param.numel() >= limit:
            runs.append([])
        runs[-1].append(param)
    return runs
