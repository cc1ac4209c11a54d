"""Virtual shards: a training step whose bits do not depend on how many ranks make it.

The global batch is cut into a fixed number of shards, a power of two, and each rank works through its share of them one
by one: so every product has the same shapes, and every random stream the same key, on one rank or on many. A gradient
is summed along one binary tree over the shards: inside a rank by the forks that its parameters pass through, between
ranks by the all-reduce, whose tree over the ranks goes on where the forks end. Scaling by powers of two rounds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import along_tree
from distrt.core import ops
from distrt.core.autograd.function import Function
from distrt.core.errors import CollectiveMismatch, ShapeError, UnsupportedError
from distrt.core.gpu.switches import switches
from distrt.core.modes import modes
from distrt.core.process.settings import get_num_threads, has_set_num_threads, set_num_threads
from distrt.core.random.generator import Source, default_generator, initial_seed
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.nn.utils.stateless import replaced_tensors
from distrt.parallel.lockstep import Lane, run_in_lockstep
from distrt.parallel.shard_statistics import ShardsOwn, ShardStatistics
from distrt.parallel.structures import map_tensors, map_together, tensors_in

__all__ = ["VirtualShards"]

_STREAMS = 1 << 63  # the streams of shards: far from those that users take
_MOST_SHARDS = 1 << 16


class VirtualShards:
    """The forward passes of a rank's virtual shards.

    Args:
        module: what is trained. It must not change its own state in the forward pass, but for running statistics of
            batch normalisation.
        group: the ranks; their number divides ``total``, and is a power of two.
        total: how many shards there are in all.

    Attributes:
        step: how many training steps have been made: part of the key of their random streams.

    Raises:
        ValueError: ``total`` is no power of two, or cannot be divided among the ranks.
        UnsupportedError: the module has BatchNorm and SyncBatchNorm, or one of these with a group of its own.
        CollectiveMismatch: scripts on different ranks have set different numbers of threads.
    """

    def __init__(self, module: Module, group: ProcessGroup, total: int) -> None:
        size = group.size()
        if not 0 < total <= _MOST_SHARDS or total & (total - 1):
            raise ValueError(f"reproducible must be a power of two up to {_MOST_SHARDS}, got {total}")
        if total % size:
            raise ValueError(
                f"reproducible={total} virtual shards cannot be divided evenly among {size} ranks: the number of ranks "
                "must be a power of two, and no larger"
            )
        self.total = total
        self.mine = total // size
        self.step = 0
        self._first = group.rank() * self.mine
        self._module, self._group = module, group
        seed = np.array([initial_seed()], np.uint64)
        group.broadcast(seed, src=0)
        self._seed = int(seed[0])
        self._statistics = ShardStatistics(module, group)
        _settle_threads(group)
        if any(each.is_cuda for each in module.parameters()):
            _settle_algorithms()

    def __call__(self, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's output for this rank's part of the batch.

        Tensors are cut along dim 0, if they are as long there as the first one; others go to every shard. Outputs are
        put together along dim 0, and a loss is averaged.

        Raises:
            ShapeError: the batch cannot be cut into this rank's shards.
        """
        if not (self._module.training and modes.grad):
            return self._module(*inputs, **kwargs)
        parts = self._cut((inputs, kwargs))
        copies = self._copies()
        others = self._counters()
        found: list[ShardsOwn] = []
        if self._statistics.are_synced:
            outputs = self._in_lockstep(parts, copies)
        else:
            outputs = []
            for place, (given, named) in enumerate(parts):
                own_parameters = replaced_tensors(self._module, copies[place], tie_weights=True)
                own_statistics = self._statistics.of_one_shard(found)
                with self._own_stream(self._first + place), own_statistics, own_parameters:
                    outputs.append(self._module(*given, **named))
        self._require_unchanged(others)
        self._statistics.move(found)
        self._statistics.note()
        self.step += 1
        return outputs[0] if len(outputs) == 1 else map_together(_joined, outputs)

    def _in_lockstep(self, parts: list[Any], copies: list[dict[str, Tensor]]) -> list[Any]:
        def lane(place: int) -> Lane:
            given, named = parts[place]
            return Lane(
                work=lambda: self._module(*given, **named),
                contexts=lambda: self._own_stream(self._first + place),
                state=lambda: replaced_tensors(self._module, copies[place], tie_weights=True),
            )

        return run_in_lockstep([lane(place) for place in range(self.mine)], self._group)

    # Inputs.

    def _cut(self, given: Any) -> list[Any]:
        if self.mine == 1:
            return [given]
        batch = next((each.shape[0] for each in tensors_in(given) if each.ndim), None)
        if batch is None or batch % self.mine:
            came = "no tensor" if batch is None else f"a batch of {batch}"
            raise ShapeError(
                f"with reproducible={self.total} on {self._group.size()} ranks, each rank's batch is cut into "
                f"{self.mine} virtual shards of equal size; got {came}"
            )
        length = batch // self.mine
        return [
            map_tensors(partial(_part, batch=batch, start=place * length, length=length), given)
            for place in range(self.mine)
        ]

    # Parameters.

    def _copies(self) -> list[dict[str, Tensor]]:
        """For each shard, the parameters behind forks that add up their gradients along a binary tree."""
        copies: list[dict[str, Tensor]] = [{} for _ in range(self.mine)]
        if self.mine > 1:
            for name, parameter in self._module.named_parameters():
                if parameter.requires_grad:
                    for place, copy in enumerate(_forked(parameter, self.mine)):
                        copies[place][name] = copy
        return copies

    # Random numbers.

    @contextmanager
    def _own_stream(self, shard: int) -> Iterator[None]:
        """The default generator draws from the stream of this step and shard; afterwards it goes on where it was."""
        before = default_generator.source
        default_generator.source = Source(self._seed, _STREAMS | self.step << 16 | shard)
        try:
            yield
        finally:
            default_generator.source = before

    # State.

    def end_pass(self) -> None:
        """After a backward pass: see `ShardStatistics.restore`."""
        self._statistics.restore()

    def _counters(self) -> list[tuple[str, Tensor, int]]:
        norms = {id(buffer) for buffer in self._statistics.buffers()}
        return [
            (name, buffer, buffer._version)
            for name, buffer in self._module.named_buffers()
            if id(buffer) not in norms
        ]

    def _require_unchanged(self, before: list[tuple[str, Tensor, int]]) -> None:
        now = dict(self._module.named_buffers())
        for name, buffer, version in before:
            if now.get(name) is not buffer or buffer._version != version:
                raise UnsupportedError(
                    f"the forward pass changed the buffer {name}: with reproducible= only running statistics of batch "
                    "normalisation may change, since the shards of other ranks could not see it"
                )


def _settle_threads(group: ProcessGroup) -> None:
    """One thread for products, or as many as the script has set.

    Several threads cut sums among them, so their number decides how a product rounds. A launcher gives each rank its
    share of the cores: on another number of ranks that would be another number of threads.
    """
    if not has_set_num_threads():
        set_num_threads(1)
    counts = np.empty((group.size(), 1), np.int64)
    group.all_gather(counts, np.array([get_num_threads()], np.int64)).wait()
    if (counts != counts[0]).any():
        told = ", ".join(f"{count} on rank {rank}" for rank, (count,) in enumerate(counts.tolist()))
        raise CollectiveMismatch(
            f"with reproducible=, products use as many threads on every rank; set_num_threads was called with {told}"
        )


def _settle_algorithms() -> None:
    """On a GPU, algorithms that give the same bits every time, and are not chosen by how long they take.

    Raises:
        UnsupportedError: the script has them chosen so.
    """
    if switches.cudnn.benchmark:
        raise UnsupportedError(
            "reproducible= and backends.cudnn.benchmark=True cannot be combined: it takes whatever algorithm is "
            "quickest at the time, and another one rounds otherwise"
        )
    switches.cudnn.deterministic = True


class _Fork(Function):
    """The same values twice; the gradients of both are added, the first one's first."""

    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        return input.detach(), input.detach()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        first, second = grads
        return second if first is None else first if second is None else ops.add(first, second)


def _forked(parameter: Tensor, count: int) -> list[Tensor]:
    level = [parameter]
    while len(level) < count:
        level = [copy for each in level for copy in cast("tuple[Tensor, ...]", _Fork.apply(each))]
    return level


def _part(tensor: Tensor, batch: int, start: int, length: int) -> Tensor:
    is_batch = tensor.ndim > 0 and tensor.shape[0] == batch
    return tensor.narrow(0, start, length) if is_batch else tensor


def _joined(parts: list[Tensor]) -> Tensor:
    if parts[0].ndim:
        return cast("Tensor", ops.cat(parts, 0))
    # Losses are averaged along the same tree; the division by a power of two rounds nothing.
    return cast("Tensor", ops.div(along_tree(ops.add, parts), len(parts)))
