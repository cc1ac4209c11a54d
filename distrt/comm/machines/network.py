"""The seam between operations between machines and the network that carries their bytes.

`distrt.comm.mpi` and `distrt.comm.tcp` fill it in. A network carries bytes and nothing else: dtypes, lengths and sums
are the business of `Reducer` and `Traveller`, so that results have the same bits over each.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from distrt.comm.looking import Look
from distrt.comm.machines.lifeline import Lifeline
from distrt.comm.progress import Steps, Wait
from distrt.comm.reduction import Array
from distrt.core.errors import DistributedError

__all__ = [
    "Communicator",
    "Exchange",
    "Gone",
    "Mail",
    "Network",
    "ends_well",
    "lost_senders",
    "reason_of",
    "say_goodbye",
    "wait_for_goodbyes",
]

_NEWS_S = 1.0
_DELIVERY_S = 10.0  # for messages that were sent, and that nobody may ever receive


class Gone(Protocol):
    """Says what became of a rank without which one cannot go on."""

    def __call__(self, missing: list[int], /) -> str | None: ...  # noqa: D102


class Exchange(Wait):
    """Waiting for messages under way, to and from several ranks of a group."""

    __slots__ = ()

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether all had arrived when somebody last asked."""


def reason_of(gone: Gone, ranks: list[int]) -> str | None:
    """What became of a rank that the network has just lost; the news may come a little later."""
    deadline = time.monotonic() + _NEWS_S
    while (text := gone(ranks)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return text


def lost_senders(gone: Gone, ranks: list[int]) -> str | None:
    """Why no message will come from one of ``ranks``; None as long as somebody can still send."""
    if len(ranks) > 1 and any(gone([rank]) is None for rank in ranks):
        return None
    return gone(ranks[:1])


class Mail(Protocol):
    """A rank's messages with tags, within a group."""

    def send(self, flat: Array, dst: int, tag: int) -> Steps:
        """The steps of a send."""

    def recv(self, flat: Array, src: int | None, tag: int, after: Wait | None = None) -> Steps:
        """The steps of a receive, posted at once; ``flat`` is written to when ``after`` is over."""

    @property
    def is_waiting(self) -> bool:
        """Whether a receive is posted, or a long message has not been taken."""


class Communicator(ABC):
    """What carries the messages of one group, as seen by one rank.

    Args:
        network: that of the process.
        members: the job's ranks that are in the group, in its order.
    """

    def __init__(self, network: Network, members: Sequence[int]) -> None:
        self.members = list(members)
        self.rank = self.members.index(network.rank)
        self.size = len(self.members)

    @abstractmethod
    def post(
        self,
        sends: Sequence[tuple[int, Array]],
        receives: Sequence[tuple[int, Array]],
        call: int,
        gone: Gone,
    ) -> Exchange:
        """Messages of a collective, each to or from a rank of the group; arrays are contiguous.

        ``call`` stands for the call that they belong to: those of another one do not fit. What is sent must not
        change before the exchange is over.
        """

    @abstractmethod
    def mail(self, gone: Gone) -> Mail:
        """Its messages with tags (asked for once)."""

    def close(self) -> None:
        """This rank has left the group."""
        return


class Network(ABC):
    """One process's way to all ranks of the job.

    Args:
        lifeline: tells which ranks have died or left.
        timeout_s: how long its start and its end may wait.

    Attributes:
        look: how to look out for messages before sleeping; they take longer than falling asleep.
        takes_gpu_memory: whether it, on all ranks, is given the memory of GPUs as it is.
        failed: set it to the reason why this rank must not wait for the others at its end.
    """

    kind: str  #: "mpi", "tcp"
    takes_gpu_memory = False
    look = Look.YIELD

    def __init__(self, lifeline: Lifeline, timeout_s: float) -> None:
        self.rank, self.size = lifeline.rank, lifeline.size
        self.lifeline = lifeline
        self.timeout_s = timeout_s
        self.failed: str | None = None

    @abstractmethod
    def communicator(self, members: Sequence[int], name: str, timeout_s: float) -> Communicator:
        """For a group of the job's ranks, all of which call; nobody uses its name again."""

    def gpu_of(self, array: Array) -> Any:
        """The GPU that an array is on (`distrt.comm.mpi.gpu_memory.Gpu`), where it takes such memory."""
        raise DistributedError(f"{self.kind} takes no memory of a GPU")

    @abstractmethod
    def is_delivered(self) -> bool:
        """Whether all that was sent is away; what is left is moved on."""


def ends_well() -> bool:
    """Whether the interpreter ends without an exception that nobody caught."""
    return getattr(sys, "last_value", None) is None


def say_goodbye(network: Network, is_well: bool) -> None:
    """See messages off, and tell the others that this rank ends."""
    lifeline = network.lifeline
    deadline = time.monotonic() + _DELIVERY_S
    while network.failed is None and is_well and time.monotonic() < deadline:
        if network.is_delivered() or lifeline.others_have_left() or lifeline.somebody_failed() is not None:
            break
        time.sleep(0.0005)
    lifeline.leave(is_well and network.failed is None, network.failed or "")


def wait_for_goodbyes(network: Network) -> str | None:
    """Return when all ranks have left; why not all will, where that is so."""
    lifeline = network.lifeline
    deadline = time.monotonic() + network.timeout_s
    while not lifeline.everybody_has_left():
        if (failure := lifeline.somebody_failed()) is not None:
            return failure
        if time.monotonic() > deadline:
            return f"waited {network.timeout_s:g} s for the others"
        network.is_delivered()  # what this rank has sent may need its help to arrive
        time.sleep(0.001)
    return None
