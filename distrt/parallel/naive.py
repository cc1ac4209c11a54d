"""``NaiveDDP``: data parallelism in its shortest form, and the specification of ``DistributedDataParallel``.

Read this first. The other one computes the same gradients, in fewer and larger pieces, while backward still runs.
"""

from __future__ import annotations

from typing import Any

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.agreement import broadcast_from_rank_0, require_same_parameters
from distrt.parallel.sparse_gradients import average_gradient


class NaiveDDP(Module):
    """Every rank holds the same model and computes on its own part of the batch; gradients are averaged.

    Args:
        module: the model; rank 0's values are taken over by the others.
        process_group: the ranks; all of the world when not given.
    """

    def __init__(self, module: Module, process_group: ProcessGroup | None = None) -> None:
        super().__init__()
        self.module = module
        self.process_group = process_group or default_group()
        require_same_parameters(module, self.process_group)
        broadcast_from_rank_0(module, self.process_group)
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._average)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model."""
        return self.module(*args, **kwargs)

    def _average(self, parameter: Tensor) -> None:
        average_gradient(self.process_group, parameter)
