"""``report``: what a script says of its progress, for `distrt-launch top` and whoever else reads status pages."""

from __future__ import annotations

import operator
from typing import SupportsFloat, SupportsIndex

from distrt.comm.local import is_local_rank
from distrt.comm.presence import here_if_launched

__all__ = ["report"]


def report(
    *, loss: SupportsFloat | None = None, samples: SupportsIndex = 0, step: SupportsIndex | None = None
) -> None:
    """Note on this rank's status page how far the run is; nobody is waited for, and nothing is sent.

        dist.report(loss=loss, samples=len(batch))

    It takes a microsecond, and does nothing where nobody can look: without a launcher, before the group is made.

    Args:
        loss: the present one: a number, or a tensor with one element.
        samples: how many this rank has trained on since the last call.
        step: the number of the present step; without it, the steps of the optimizer are counted.

    Raises:
        ValueError: ``samples`` or ``step`` is negative.
    """
    count, number = operator.index(samples), None if step is None else operator.index(step)
    if count < 0 or (number or 0) < 0:
        raise ValueError(f"report: samples and step are not negative, got {count} and {number}")
    value = None if loss is None else float(loss.item() if hasattr(loss, "item") else loss)
    presence = None if is_local_rank.get() else here_if_launched()
    if presence is not None:
        presence.report(value, count, number)
