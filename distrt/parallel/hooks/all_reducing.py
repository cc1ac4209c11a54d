"""The hook that does what data parallelism does without one, and the step that the other hooks share."""

from __future__ import annotations

from collections.abc import Callable

from distrt.comm.functions.collectives import all_reduce
from distrt.comm.futures import Future
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket

__all__ = ["allreduce_hook", "average", "reduced", "when_awaited"]


def allreduce_hook(process_group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Averages the bucket by an all-reduce, as data parallelism does without a hook."""
    return average(process_group, bucket.buffer())


def average(group: ProcessGroup | None, tensor: Tensor) -> Future[Tensor]:
    """A future of the average of all ranks' ``tensor``, which takes its place.

    Args:
        group: the ranks; all of the world where None.
        tensor: is divided first, so that a sum of half-precision numbers does not overflow.
    """
    chosen = group if group is not None else default_group()
    tensor.div_(chosen.size())
    return reduced(chosen, tensor).then(lambda future: future.value()[0])


def reduced(group: ProcessGroup, tensor: Tensor) -> Future[list[Tensor]]:
    """A future of the list of ``tensor`` alone, once it is the sum of all ranks'."""
    work = all_reduce(tensor, group=group, async_op=True)
    assert work is not None  # only ranks outside the group have none
    future: Future[list[Tensor]] = work.get_future()
    return future


def when_awaited(step: Callable[[], Tensor]) -> Future[Tensor]:
    """A future of what ``step()`` returns, which is called by whoever waits for it.

    Data parallelism waits for its buckets in their order. So a hook's further collectives come in the same order on all
    ranks; in a callback they would come in the order in which the first ones happen to end.
    """
    future: Future[Tensor] = Future()

    def drive() -> None:
        if future.done():
            return
        try:
            value = step()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(value)

    future._drive = drive
    return future
