"""``Plan``: what a step does to the slices of some parameters, worked out once for all steps while nothing moves.

In a small model's step, to find out where everything lies takes longer than to update it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core.arrays import Array
from distrt.optim.passes import RepeatedUpdate, apply
from distrt.parallel.sharding.shared_parameters import Part

__all__ = ["Plan"]


class Plan:
    """A step of the parameters of one group.

    Args:
        parts: the parameters, which all have gradients.
        names: the states with an element for each of a parameter's.
        pieces: by piece, the state of this rank's slice.
    """

    def __init__(self, parts: list[Part], names: Sequence[str], pieces: dict[Any, dict[str, Any]]) -> None:
        self._parts, self._names, self._states = parts, names, pieces
        self._pieces = [part.piece for part in parts]
        homes = [part.gradients_home() for part in parts]
        self._homes: list[list[Array]] = [home for home in homes if home is not None]
        self._has_fitted = False
        # By the halves that are the present ones, since a step turns from one to the other.
        self._repeated: dict[tuple[int, ...], RepeatedUpdate] = {}
        self._now: RepeatedUpdate | None = None

    def fits(self, parts: list[Part], names: Sequence[str]) -> bool:
        """Whether parameters and gradients lie where they did; of the states, `SharedState` knows."""
        self._has_fitted = (
            parts == self._parts
            and names == self._names
            and len(self._homes) == len(parts)
            and all(part.is_settled(home) for part, home in zip(parts, self._homes, strict=True))
        )
        return self._has_fitted

    def prepare(self) -> None:
        """Before anything is changed."""
        self._now = self._repeated.get(tuple([part.half for part in self._parts]))
        if self._now is None:
            for part in self._parts:
                part.prepare()

    def run(self, optimizer: Any, group: dict[str, Any]) -> bool:
        """The optimizer's own rule, on slices in the place of parameters; whether states may have been added to."""
        whole, pieces = optimizer.state, self._pieces
        optimizer.state = self._states
        try:
            states = [optimizer._prepare(piece, group) for piece in pieces]
            if self._now is not None:
                self._now.run(pieces, states, group)
                return False
            targets = [part.target for part in self._parts]
            apply(optimizer.rule, pieces, states, group, targets)
            if self._has_fitted:  # and so may the next ones
                halves = tuple([part.half for part in self._parts])
                repeated = RepeatedUpdate.prepare(optimizer.rule, pieces, states, group, targets)
                if repeated is not None:
                    self._repeated[halves] = repeated
        finally:
            optimizer.state = whole
        for part in self._parts:
            part.let_go()
        return True
