"""``delay_all_reduce_named_params``: gradients that are averaged together, in passes that reach a chosen parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array
from distrt.core.autograd.engine import queue_callback
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.leases import Lease, allocate_leased

__all__ = ["DelayedGradients", "named_delayed"]


def named_delayed(named: Iterable[tuple[str, Tensor]] | None, trigger: Tensor | None) -> dict[str, Tensor]:
    """The parameters that ``delay_all_reduce_named_params`` names.

    Raises:
        ValueError: only one of the two arguments was given.
    """
    if (named is None) != (trigger is None):
        raise ValueError(
            "delay_all_reduce_named_params and param_to_hook_all_reduce need to be set at the same time."
        )
    return dict(named or ())


class DelayedGradients:
    """Gradients in buffers of their own, one a dtype, which are averaged once in every backward pass.

    They are averaged inside of ``no_sync``, too, as in PyTorch. ``.grad`` is always a view of the buffers.

    Args:
        parameters: whose gradients these are; rank 0's values are given to all.
        trigger: a backward pass that reaches it averages, at its end.
        group: the ranks.
    """

    def __init__(self, parameters: Sequence[Tensor], trigger: Tensor, group: ProcessGroup) -> None:
        self._parameters, self._group = list(parameters), group
        self._flats: list[Array] = []
        self._views: dict[int, Array] = {}  # by the parameter's id
        lease = Lease()
        lease.end_with(self)
        kinds: dict[np.dtype[Any], list[Tensor]] = {}
        for parameter in self._parameters:
            kinds.setdefault(parameter._array.dtype, []).append(parameter)
        for dtype, same in kinds.items():
            bounds = np.cumsum([0, *(parameter.numel() for parameter in same)])
            flat = allocate_leased(group, int(bounds[-1]), dtype, lease, same)
            self._flats.append(flat)
            for parameter, (start, stop) in zip(same, pairwise(bounds), strict=True):
                self._views[id(parameter)] = flat[start:stop].reshape(parameter._array.shape)
        for parameter in self._parameters:
            group.broadcast(parameter._array, src=0)
            parameter._counter[0] += 1
        self._hook = trigger.register_hook(self._when_triggered)

    def clear(self) -> None:
        """After a forward pass: gradients that were set to None are zeros in the buffers."""
        for parameter in self._parameters:
            if parameter.grad is None:
                view = self._views[id(parameter)]
                view[...] = 0
                parameter.grad = wrap(view)

    def close(self) -> None:
        """Let go of the parameter that says when."""
        self._hook.remove()

    def _when_triggered(self, gradient: Tensor) -> Tensor:
        # Which gradients of one layer come first differs from PyTorch; at the end of the pass, all are there.
        queue_callback(self._average)
        return gradient

    def _average(self) -> None:
        works = []
        for flat in self._flats:
            np.divide(flat, self._group.size(), out=flat)
            works.append(self._group.all_reduce(flat, ReduceOp.SUM, async_op=True))
        for work in works:
            work.wait()
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad._counter[0] += 1
