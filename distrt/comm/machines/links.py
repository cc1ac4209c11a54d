"""What an operation between machines is made of: the ranks' places, steps on one machine, messages to others."""

from __future__ import annotations

from collections.abc import Sequence

from distrt.comm.machines.network import Communicator, Exchange, Network
from distrt.comm.machines.node import Node, in_group
from distrt.comm.progress import Steps
from distrt.comm.reduction import Array
from distrt.comm.transport import block_bounds
from distrt.comm.tree import Placement
from distrt.core.arrays import is_on_gpu
from distrt.core.errors import PeerFailed
from distrt.core.modes import used

__all__ = ["Links"]

_LINE = 64
_SPREAD = 0x9E3779B1  # sets the numbers of calls that follow one another far apart


class Links:
    """One rank's links to the others of its group.

    Args:
        network: what connects the machines, and who lives.
        communicator: the group's.
        placement: where they are.
        node: those of this rank's machine.
        name: what the group is called in the job.

    Attributes:
        machine: the number of this rank's machine; place: its place there.
        mates: the ranks of its machine.
        fingerprint: of the call that the ranks are at; collectives run one after another.
        is_apart: every rank of the group counts as a machine of its own.
        lanes: how many ranks of each machine talk to other machines at once, each about a slice of the array.
    """

    def __init__(
        self,
        network: Network,
        communicator: Communicator,
        placement: Placement,
        node: Node,
        name: str,
    ) -> None:
        self.network = network
        self.communicator = communicator
        self.members = communicator.members
        self.placement = placement
        self.node = node
        self.name = name
        self.rank, self.size = communicator.rank, communicator.size
        self.machine = placement.of[self.rank]
        self.machines = len(placement.members)
        self.mates = placement.members[self.machine]
        self.place = placement.place(self.rank)
        self.is_apart = self.machines == self.size
        self.fingerprint = 0
        self._begun = 0  # how many calls; every rank counts the same
        self._posted: list[Exchange] = []
        self.lanes = min(map(len, placement.members))

    def begin(self, fingerprint: int) -> None:
        """Come to the next call."""
        self.fingerprint = fingerprint
        self._begun += 1

    def local(self, steps: Steps) -> Steps:
        """Steps of the node, as steps of the group."""
        return in_group(steps, self.mates, self.gone, lambda: self.dead(at_once=True))

    def settled(self, sample: Array) -> Steps:
        """Over when the network may touch what is where ``sample`` is, memory that was used before included."""
        if used.gpu and is_on_gpu(sample):
            yield self.network.gpu_of(sample).mark()

    def peer(self, machine: int) -> int:
        """The rank of another machine that drives the same lane."""
        return self.placement.members[machine][self.place]

    def others(self) -> list[int]:
        """The other machines."""
        return [machine for machine in range(self.machines) if machine != self.machine]

    def bounds(self, length: int, lanes: int, itemsize: int) -> list[int]:
        """Which slice of an array each lane drives."""
        return block_bounds(length, lanes, max(1, _LINE // itemsize))

    def post(self, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> Exchange:
        """Messages, each to or from a rank of the group; arrays are contiguous. The sender's must not change.

        Raises:
            PeerFailed: a rank that should get one has died.
        """
        self.require_living([rank for rank, _ in sends])
        # Messages of another call do not fit: nobody takes them.
        call = self.fingerprint + self._begun * _SPREAD
        exchange = self.communicator.post(sends, receives, call, self.gone)
        self._posted = [each for each in self._posted if not each.is_done]
        self._posted.append(exchange)
        return exchange

    @property
    def is_waiting(self) -> bool:
        """Whether what was posted for a collective has not arrived."""
        return not all(each.is_over() for each in self._posted)

    def require_living(self, ranks: Sequence[int]) -> None:
        """Refuse to send to the dead, of which MPICH may die itself."""
        lost = self.network.lifeline.lost
        if lost and any(self.members[rank] in lost for rank in ranks):
            raise PeerFailed(f"rank {self.rank}: {self.dead(at_once=True)}")

    def gone(self, missing: list[int]) -> str | None:
        """Why a collective cannot go on: a rank that is waited for is gone, or another has died.

        Where any rank has died, those who wait for others wait in vain, sooner or later.
        """
        text = self.gone_peer(missing)
        # Whoever has left or failed may have done so because another has died.
        of_dead = self.dead(at_once=text is not None)
        return of_dead or text

    def gone_peer(self, missing: list[int]) -> str | None:
        """Why nothing comes from one of some ranks, whatever became of others."""
        for rank in missing:
            if (text := self.network.lifeline.gone(self.members[rank], self.name)) is not None:
                return self._blame(rank, text)
        return None

    def dead(self, at_once: bool = False) -> str | None:
        """The first rank of the group that died or failed, if what it had sent must have arrived by now."""
        ended = self.network.lifeline.ended_badly()
        dead = [rank for rank, member in enumerate(self.members) if member in ended and rank != self.rank]
        if not dead:
            return None
        first = min(dead, key=lambda rank: ended[self.members[rank]])
        text = self.network.lifeline.died(self.members[first], at_once)
        return None if text is None else self._blame(first, text)

    def _blame(self, rank: int, text: str) -> str:
        self.network.failed = text = text.replace(f"rank {self.members[rank]} ", f"rank {rank} ", 1)
        return text
