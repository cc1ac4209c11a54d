"""``DistributedDataParallel(shard_optimizer=True)``: what it makes, and what it cannot be combined with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distrt.core.errors import UnsupportedError
from distrt.parallel.bucket import Bucket, OrderedBucket
from distrt.parallel.sharding.shared_bucket import SharedBucket
from distrt.parallel.sharding.shared_update import SharedUpdate

if TYPE_CHECKING:
    from distrt.parallel.ddp import DistributedDataParallel
    from distrt.parallel.sharding.device_update import DeviceUpdate

__all__ = [
    "average_whole_buckets",
    "bucket_class",
    "may_recut",
    "refuse_steps_in_backward",
    "require_even",
    "shared_update",
]


def bucket_class(model: DistributedDataParallel) -> type[Bucket]:
    """What averages gradients.

    Raises:
        UnsupportedError: the model cannot be sharded.
    """
    if model.shard_optimizer:
        _refuse(model)
    if model.reproducible is not None and is_on_gpu(model):
        return OrderedBucket
    if not model.shard_optimizer:
        return Bucket
    # Between machines, every rank has the whole average; so it has where a hook averages.
    has_whole = spans_machines(model) or is_on_gpu(model) or model._casting is not None
    return Bucket if has_whole else SharedBucket


def may_recut(model: DistributedDataParallel) -> bool:
    """Whether slices may become others after the first pass: not where the state of some is on other machines."""
    return not (model.shard_optimizer and spans_machines(model) and not is_on_gpu(model))


def shared_update(model: DistributedDataParallel) -> SharedUpdate | DeviceUpdate | None:
    """What updates the model's parameters; None without the option. A collective."""
    if not model.shard_optimizer:
        return None
    if is_on_gpu(model):
        from distrt.parallel.sharding.device_update import DeviceUpdate

        trained = [each for each in model._module_parameters if each.requires_grad]
        on_gpu = DeviceUpdate(model.process_group, trained)
        model.reducer.lease.when_over(on_gpu.forget)
        return on_gpu
    named = [
        (name, parameter)
        for name, parameter in model.module.named_parameters()
        if name not in model.parameters_to_ignore
    ]
    update = SharedUpdate(model, named)
    model.reducer.lease.when_over(update.forget)
    return update


def require_even(model: DistributedDataParallel) -> None:
    """Refuses uneven inputs where others cannot update a rank's slices for it.

    Raises:
        UnsupportedError: the ranks are on several machines, or have GPUs.
    """
    if model.shard_optimizer and (spans_machines(model) or is_on_gpu(model)):
        raise UnsupportedError(
            "shard_optimizer on several machines, or on GPUs, needs even inputs: nobody else can update the slices of "
            "a rank that has run out of them. Give every rank as many batches, or leave shard_optimizer out"
        )


def spans_machines(model: DistributedDataParallel) -> bool:
    """Whether not all ranks share memory."""
    group = model.process_group
    return len(group.transport.mates) < group.size()


def is_on_gpu(model: DistributedDataParallel) -> bool:
    """Whether ranks have memory of their own, each on its GPU."""
    return model.device_type == "cuda"


def average_whole_buckets(model: DistributedDataParallel) -> None:
    """A hook averages buckets, not slices; a collective where buckets have to be made anew."""
    if model.shard_optimizer:
        model.reducer.use(Bucket)


def refuse_steps_in_backward(model: DistributedDataParallel) -> None:
    """Refuses optimizers that step in the midst of a pass.

    Raises:
        UnsupportedError: the model is sharded.
    """
    if model.shard_optimizer:
        raise UnsupportedError(
            "shard_optimizer: ranks take a step together, after backward; an optimizer in backward takes one for each "
            "bucket or parameter. Leave one of them out"
        )


def _refuse(model: DistributedDataParallel) -> None:
    if model._delayed_parameters:
        raise UnsupportedError(
            "shard_optimizer=True and delay_all_reduce_named_params= cannot be combined: leave one of them out"
        )
