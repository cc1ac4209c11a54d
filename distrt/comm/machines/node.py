"""The ranks of one machine, as a part of a group that spans several."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from distrt.comm.progress import Steps, Wait
from distrt.comm.reduction import Array, as_bits, copy
from distrt.comm.shm import ShmTransport
from distrt.comm.shm.staged import Receiver
from distrt.comm.solo import SoloTransport

__all__ = ["LoneNode", "Node", "SharedNode", "in_group"]


class SharedNode(ShmTransport):
    """Several ranks that share memory."""

    def show(self, mine: Array, receive: Receiver, fingerprint: int) -> Steps:
        """Let all see all ranks' arrays, each (rows, columns): ``receive`` gets them window by window."""
        yield from self._show(mine, receive, fingerprint).steps

    def spread(self, flat: Array, bounds: Sequence[int], have_met: bool, fingerprint: int) -> Steps:
        """Rank k's ``flat[bounds[k]:bounds[k + 1]]`` becomes everybody's; ranks without bounds only take.

        ``have_met``: all are known to have come to this operation, so that their copies may be written to.
        """
        place = self._buffers.locate(flat)
        bits = as_bits(flat)
        if place is None:
            yield from self.collect(self._slice(bits, bounds), bits, bounds, fingerprint, is_in_place=True)
            return
        region, offset = place
        if not have_met:
            yield self._buffers.come_to(region, fingerprint)
        mine = self._slice(bits, bounds)
        if mine is not None:
            low = bounds[self.rank]
            for rank, view in enumerate(region.views(offset, bits.size, bits.dtype)):
                if rank != self.rank:
                    view[low : low + mine.size] = mine
        yield self._buffers.come_to(region, fingerprint)

    def collect(
        self,
        mine: Array | None,
        target: Array,
        bounds: Sequence[int],
        fingerprint: int,
        takes: bool = True,
        is_in_place: bool = False,
    ) -> Steps:
        """Rank k's ``mine`` becomes ``target[bounds[k]:bounds[k + 1]]`` of all who take it.

        ``is_in_place``: what a rank shows is that part of its own target.
        """
        widest = max(high - low for low, high in itertools.pairwise(bounds))

        def take(sources: list[Array], low: int, high: int) -> None:
            if not takes:
                return
            for rank, (start, stop) in enumerate(itertools.pairwise(bounds)):
                part = target[start + low : min(start + high, stop)]
                if part.size and not (is_in_place and rank == self.rank):
                    copy(part, sources[rank][0, : part.size])

        shown = None if mine is None else mine.reshape(1, -1)
        yield from self._staged.show(shown, (1, widest), target.dtype, take, fingerprint)

    def _slice(self, bits: Array, bounds: Sequence[int]) -> Array | None:
        if self.rank + 1 >= len(bounds):
            return None
        return bits[bounds[self.rank] : bounds[self.rank + 1]]


class LoneNode(SoloTransport):
    """A machine with one rank of the group."""

    def show(self, mine: Array, receive: Receiver, fingerprint: int) -> Steps:
        """There is this rank's array alone."""
        receive([mine], 0, mine.shape[1])
        return
        yield

    def spread(self, flat: Array, bounds: Sequence[int], have_met: bool, fingerprint: int) -> Steps:
        """There is nobody to spread to."""
        return
        yield

    def collect(
        self, mine: Array | None, target: Array, bounds: Sequence[int], fingerprint: int, takes: bool = True
    ) -> Steps:
        """A copy at most."""
        if mine is not None and takes:
            target[bounds[0] : bounds[1]] = mine
        return
        yield


Node = SharedNode | LoneNode


def in_group(
    steps: Steps,
    members: Sequence[int],
    gone: Callable[[list[int]], str | None],
    dead: Callable[[], str | None],
) -> Steps:
    """The steps of a node, whose waits name ranks of the group.

    Args:
        steps: what the node does.
        members: the node's ranks in the group.
        gone: says what became of a rank without which the group cannot go on.
        dead: names a rank of the group that has died.
    """
    while True:
        try:
            wait = next(steps)
        except StopIteration as end:
            return end.value
        yield _InGroup(wait, members, gone, dead)


class _InGroup(Wait):
    __slots__ = ("_dead", "_gone", "_members", "_wait")

    def __init__(
        self,
        wait: Wait,
        members: Sequence[int],
        gone: Callable[[list[int]], str | None],
        dead: Callable[[], str | None],
    ) -> None:
        self._wait, self._members, self._gone, self._dead = wait, members, gone, dead

    def is_over(self) -> bool:
        return self._wait.is_over()

    def sleep(self, seconds: float, sleeper: int) -> None:
        self._wait.sleep(seconds, sleeper)

    def missing(self) -> list[int]:
        return [self._members[rank] for rank in self._wait.missing()]

    def at_odds(self) -> list[int]:
        return [self._members[rank] for rank in self._wait.at_odds()]

    def lost(self) -> str | None:
        text = self._wait.lost()
        if text is None:
            return self._gone(self.missing())
        if (of_dead := self._dead()) is not None:
            return of_dead  # a mate that has left may have left because of that
        return re.sub(r"\brank (\d+)", lambda found: f"rank {self._members[int(found[1])]}", text)
