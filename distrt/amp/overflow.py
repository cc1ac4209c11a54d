"""``Overflow``: which gradient was not finite, on which rank. ``GradScaler.overflow`` gives it."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Overflow", "located"]


class Overflow(NamedTuple):
    """Where the first gradient that was not finite was found.

    Attributes:
        group: the number of the optimizer's parameter group.
        number: the parameter's number in the group.
        name: its name, where the optimizer was made with names.
        rank: the first rank that found it; None where all did (the gradients had been summed before) or there is one
            process only.
        scale: the scale that the loss had been multiplied with.
    """

    group: int
    number: int
    name: str | None
    rank: int | None
    scale: float


def located(optimizer: Any, number: int, rank: int | None, scale: float) -> Overflow:
    """The overflow of the parameter with this number among all of the optimizer's."""
    place = number
    for group_number, group in enumerate(optimizer.param_groups):
        if place < len(group["params"]):
            names = group.get("param_names")
            return Overflow(group_number, place, names[place] if names else None, rank, scale)
        place -= len(group["params"])
    raise IndexError(f"the optimizer has no parameter number {number}")
