"""How ranks agree on whether a gradient has overflowed: the seam between ``GradScaler`` and data parallelism.

Gradients that were summed over the ranks are infinite on all of them or on none. Where they were not (gradients that
stay on a rank, are compressed, or belong to a part of the model that only some ranks have), one rank would skip its
step and the others would not, and from then on their scales and parameters differ. So whoever spreads parameters over
ranks hands in how these ranks find a maximum:

    distrt.amp.agree_on(model.parameters(), agreement)

or its tensors have an attribute ``_agreement``. ``GradScaler.unscale_`` then calls it once for each optimizer that
owns one of these parameters. This room knows nothing of process groups.

Whoever sums gradients destroys what would tell whose were infinite. An agreement that has looked before says so with a
method ``among(parameters)``, which gives the agreement to ask about an optimizer of these parameters, in their order.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Protocol

from distrt.core.arrays import Array
from distrt.core.tensor import Tensor

__all__ = ["MOST_RANKS", "Agreement", "agree_on", "agreements_of", "forget_agreement"]


MOST_RANKS = 2**20  # more than there are: a parameter's number, times this, and a rank travel in one float64


class Agreement(Protocol):
    """What a group of ranks offers.

    Attributes:
        rank: this process's rank in the group.
    """

    rank: int

    def maximum(self, values: Array) -> None:
        """Replaces each element of a float64 vector by its largest value over the ranks.

        It is a collective: every rank of the group calls it, with the same length, and waits for the others.
        """


_agreements: dict[int, tuple[weakref.ref[Tensor], Agreement]] = {}


def agree_on(parameters: Iterable[Tensor], agreement: Agreement) -> None:
    """From now on, the ranks of ``agreement`` skip a step together when a gradient of these parameters has overflowed.

    A second call replaces the first one's agreement. It lasts as long as the parameter.
    """
    for parameter in parameters:
        key = id(parameter)
        _agreements[key] = (weakref.ref(parameter, lambda _, key=key: _agreements.pop(key, None)), agreement)  # type: ignore[misc]


def forget_agreement(parameters: Iterable[Tensor]) -> None:
    """Undoes ``agree_on``: each rank decides for itself."""
    for parameter in parameters:
        _agreements.pop(id(parameter), None)


def agreements_of(parameters: Iterable[Any]) -> list[Agreement]:
    """The different agreements on any of these parameters, in the parameters' order, which all ranks share."""
    listed = list(parameters)
    found: list[Any] = []
    for parameter in listed:
        known = _agreements.get(id(parameter))
        agreement = (
            known[1]
            if known is not None and known[0]() is parameter
            else getattr(parameter, "_agreement", None)
        )
        if agreement is not None and not any(each is agreement for each in found):
            found.append(agreement)
    return [each.among(listed) if hasattr(each, "among") else each for each in found]
