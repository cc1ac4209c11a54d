"""How the ranks of a data-parallel model agree on an overflow: what ``GradScaler`` asks of them (``distrt.amp``)."""

from __future__ import annotations

import weakref

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array
from distrt.parallel.join import Joinable

__all__ = ["OverflowAgreement"]


class OverflowAgreement:
    """Has a step skipped on all ranks or on none, also where gradients were not averaged (hooks, ``no_sync``).

    Args:
        model: while some of its ranks may have run out of input, nothing is asked: they take no steps. Gradients that
            were averaged are infinite on all ranks or on none in any event.
        group: the ranks.
    """

    def __init__(self, model: Joinable, group: ProcessGroup) -> None:
        self._model = weakref.ref(model)
        self._group = group
        self.rank = group.rank()

    def maximum(self, values: Array) -> None:
        """Each element's largest value over the ranks, in place."""
        model = self._model()
        if model is not None and not model._join_config.enable:
            self._group.all_reduce(values, ReduceOp.MAX)
