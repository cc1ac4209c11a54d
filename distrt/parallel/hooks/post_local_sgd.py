"""Post-local SGD: gradients are averaged over all ranks at first, later within small groups only.

From then on something else averages the models now and then: ``PeriodicModelAverager``, ``PostLocalSGDOptimizer``.
Source: Lin et al. 2018, "Don't Use Large Mini-Batches, Use Local SGD".
"""

from __future__ import annotations

import logging

from distrt.comm.functions.subgroups import new_subgroups
from distrt.comm.futures import Future
from distrt.comm.process_group import ProcessGroup
from distrt.core.tensor import Tensor
from distrt.parallel.bucket import GradBucket
from distrt.parallel.hooks.all_reducing import average

__all__ = ["PostLocalSGDState", "post_localSGD_hook"]

_log = logging.getLogger("distrt.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook")


class PostLocalSGDState:
    """What ``post_localSGD_hook`` remembers.

    Args:
        process_group: the ranks that average at first; all of the world where None.
        subgroup: the ranks that average later; where None, those of ``new_subgroups()``.
        start_localSGD_iter: the step from which on they do.
        post_local_gradient_allreduce: False to average no gradients at all from then on.
    """

    __slots__ = ["iter", "post_local_gradient_allreduce", "process_group", "start_localSGD_iter", "subgroup"]

    def __init__(
        self,
        process_group: ProcessGroup | None,
        subgroup: ProcessGroup | None,
        start_localSGD_iter: int,  # noqa: N803 - PyTorch's name
        post_local_gradient_allreduce: bool = True,
    ) -> None:
        _log.info("Local SGD will be started after %s iterations", start_localSGD_iter)
        self.process_group, self.subgroup = process_group, subgroup
        self.start_localSGD_iter = start_localSGD_iter
        self.post_local_gradient_allreduce = post_local_gradient_allreduce
        self.iter = 0

    def maybe_increase_iter(self, bucket: GradBucket) -> None:
        """Count a step, when its last bucket comes."""
        if bucket.is_last():
            self.iter += 1
        if self.iter == self.start_localSGD_iter:
            _log.info("Start to apply local SGD after %s iterations.", self.iter)


def post_localSGD_hook(state: PostLocalSGDState, bucket: GradBucket) -> Future[Tensor]:  # noqa: N802 - PyTorch's name
    """Averages over all ranks until ``state.start_localSGD_iter``, then over the subgroup, or not at all."""
    buffer = bucket.buffer()
    if state.iter < state.start_localSGD_iter:
        state.maybe_increase_iter(bucket)
        return average(state.process_group, buffer)
    if not state.post_local_gradient_allreduce:
        future: Future[Tensor] = Future()
        future.set_result(buffer)
        return future
    if state.subgroup is None:
        state.subgroup, _ = new_subgroups()
    return average(state.subgroup, buffer)
