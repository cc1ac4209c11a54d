"""Parameters that several ranks update together: the seam between optimizers and who shares parameters among ranks.

Whoever does hands in how such parameters are updated, as their ``_updater``. An optimizer whose rule looks at single
elements leaves them to it, and all others are refused by it. This room knows nothing of process groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["Updater", "updaters_of"]


class Updater(Protocol):
    """What updates some parameters."""

    def update(self, optimizer: Any) -> None:
        """Take one step of an `ElementwiseOptimizer` with those of its parameters that are this updater's."""

    def refuse(self, optimizer: Any) -> None:
        """Raise the error for an optimizer that looks at more than one element."""


def updaters_of(groups: Sequence[dict[str, Any]]) -> list[Updater]:
    """The updaters of an optimizer's parameters, in the parameters' order."""
    found: list[Updater] = []
    for group in groups:
        for param in group["params"]:
            updater = param._updater
            if updater is not None and updater not in found:
                found.append(updater)
    return found
