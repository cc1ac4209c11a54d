"""What a rank sees of the others while it waits for its GPU: the same as on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

from distrt.comm.status import Status, StatusPage
from distrt.comm.transport import Transport

__all__ = ["Witness"]


class Witness:
    """The part of `Transport` that shows other ranks, asked of another transport of the same ranks.

    Args:
        control: that transport.
    """

    def __init__(self, control: Transport) -> None:
        self._control = control
        self.identity = control.identity

    @property
    def page(self) -> StatusPage | None:  # noqa: D102
        return self._control.page

    def peek(self, rank: int) -> Status | None:  # noqa: D102
        return self._control.peek(rank)

    def plight(self, rank: int) -> str:  # noqa: D102
        return self._control.plight(rank)

    def is_silent(self, rank: int) -> bool:  # noqa: D102
        return self._control.is_silent(rank)

    def stacks(self, rank: int, patience_s: float) -> str:  # noqa: D102
        return self._control.stacks(rank, patience_s)

    def give_up(self, because: str) -> None:  # noqa: D102
        self._control.give_up(because)

    def gone(self, ranks: Sequence[int]) -> str | None:  # noqa: D102
        return self._control.gone(ranks)

    @property
    def mates(self) -> Sequence[int]:  # noqa: D102
        return self._control.mates
