"""How the ranks of a data-parallel model agree on an overflow: what ``GradScaler`` asks of them (``distrt.amp``).

Averaged gradients are infinite on all ranks or on none, and no longer tell on which rank that began. So from the first
time that a ``GradScaler`` asks, each rank looks at its own gradients just before they are averaged: one product of a
bucket with itself, and element by element only if that is not finite.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.amp.agreement import MOST_RANKS
from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array, is_on_gpu

if TYPE_CHECKING:
    from distrt.parallel.bucket import Bucket
    from distrt.parallel.ddp import DistributedDataParallel

__all__ = ["OverflowAgreement", "OverflowWatch"]


class OverflowWatch:
    """Which gradients of the last averaged pass were not finite on this rank.

    Attributes:
        found: the ids of their parameters; None where the last pass was not looked at.
    """

    def __init__(self) -> None:
        self.found: set[int] | None = None

    def begin(self) -> None:
        """A pass that will be averaged begins."""
        self.found = set()

    def forget(self) -> None:
        """Gradients stay on their rank in the next pass."""
        self.found = None

    def look(self, bucket: Bucket) -> None:
        """Look at a bucket that is complete, before it is averaged."""
        if is_on_gpu(bucket.buffer):
            self.forget()  # to look would make the program wait for the GPU at every bucket
        if self.found is None or _may_be_finite(bucket.buffer):
            return
        for parameter, slot in zip(bucket.parameters, bucket.slots, strict=True):
            if not np.isfinite(slot).all():
                self.found.add(id(parameter))


def _may_be_finite(buffer: Array) -> bool:
    """False where some element is not finite, and now and then where all are, but large."""
    if buffer.dtype.char not in "fdFD":  # there is no fast product of half precision
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.dot(buffer, buffer)))


class OverflowAgreement:
    """Has a step skipped on all ranks or on none, also where gradients were not averaged (hooks, ``no_sync``).

    Args:
        model: while some of its ranks may have run out of input, nothing is asked: they take no steps. Gradients that
            were averaged are infinite on all ranks or on none in any event.
        group: the ranks.
    """

    def __init__(self, model: DistributedDataParallel, group: ProcessGroup) -> None:
        self._model = weakref.ref(model)
        self._group = group
        self.rank = group.rank()

    def maximum(self, values: Array) -> None:
        """Each element's largest value over the ranks, in place."""
        model = self._model()
        if model is not None and not model._join_config.enable:
            self._group.all_reduce(values, ReduceOp.MAX)

    def among(self, parameters: list[Any]) -> _Question:
        """What to ask about an optimizer of these parameters."""
        model = self._model()
        if model is None:
            return _Question(self, parameters, None)
        if model.reducer.watch is None:
            model.reducer.watch = OverflowWatch()
        return _Question(self, parameters, model.reducer.watch.found)


class _Question:
    """An agreement about the gradients of one optimizer.

    Args:
        agreement: how the ranks find a maximum.
        parameters: the optimizer's, in the order in which their numbers count.
        own: see `OverflowWatch.found`.
    """

    def __init__(self, agreement: OverflowAgreement, parameters: list[Any], own: set[int] | None) -> None:
        self._agreement, self._parameters, self._own = agreement, parameters, own
        self.rank = agreement.rank

    def maximum(self, values: Array) -> None:
        """As of `OverflowAgreement`; a rank whose own gradient was finite leaves it to the others to be named.

        ``values`` are those of ``GradScaler``: less the number of the first parameter whose gradient is not finite,
        times a constant, less the rank; and 1 where this rank has found none.
        """
        key = -values[0]
        if self._own is not None and math.isfinite(key):
            number = int(key) // MOST_RANKS
            if id(self._parameters[number]) not in self._own:
                values[:] = -float(number * MOST_RANKS + _NOBODY), 1.0
        self._agreement.maximum(values)
        if math.isfinite(values[0]) and int(-values[0]) % MOST_RANKS == _NOBODY:
            values[1] = 0.0  # all were finite, and their average is not: no rank is to blame


#: In the place of a rank; larger than all.
_NOBODY = MOST_RANKS - 1
