"""`TcpNetwork`: the ranks of a job, connected by TCP."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from distrt.comm.looking import Look
from distrt.comm.machines.lifeline import Lifeline
from distrt.comm.machines.network import (
    Communicator,
    Exchange,
    Gone,
    Network,
    lost_senders,
    reason_of,
    say_goodbye,
    wait_for_goodbyes,
)
from distrt.comm.progress import Steps, Wait
from distrt.comm.reduction import Array
from distrt.comm.tcp.entrance import Entrance
from distrt.comm.tcp.loop import Loop
from distrt.comm.tcp.messages import NO_DTYPE, SHORT_BYTES, Receipt, Sending, Transfer, as_bytes
from distrt.comm.transport import misfit
from distrt.core.errors import DistributedError, PeerFailed, ShapeError

__all__ = ["TcpNetwork"]

_HIGHEST_TAG = 2**63 - 1
_SLICE_S = 0.05


class TcpNetwork(Network):
    """Connections between the ranks of a job, opened when they are wanted.

    Args:
        loop: moves messages on.
        entrance: where other ranks come in.
        lifeline: see `Network`.
        timeout_s: see `Network`.
    """

    kind = "tcp"
    look = Look.NEVER  # the kernel wakes who waits

    def __init__(self, loop: Loop, entrance: Entrance, lifeline: Lifeline, timeout_s: float) -> None:
        super().__init__(lifeline, timeout_s)
        self.loop = loop
        self._entrance = entrance
        self._groups = 0  # that this rank has not left
        self._ending = threading.Lock()
        self._has_ended = False

    def communicator(self, members: Sequence[int], name: str, timeout_s: float) -> TcpCommunicator:
        """Made without a word to the others: its name tells its messages from those of other groups."""
        self._groups += 1
        return TcpCommunicator(self, members, name)

    def is_delivered(self) -> bool:
        """Moves on what is left."""
        self.loop.turn()
        return self.loop.is_idle

    def leave_group(self) -> None:
        """This rank has left one of its groups. With the last one it leaves the others, as far as it must not wait."""
        self._groups -= 1
        if not self._groups and not self._has_ended:  # Python 3.12 starts no thread while it exits
            # The interpreter waits for this one.
            threading.Thread(target=self.end, name="distrt goodbye").start()

    def end(self, is_well: bool = True) -> None:
        """Leave the others, once they have what was sent to them; rank 0, by which they hear of one another, last."""
        with self._ending:
            if self._has_ended:
                return
            self._has_ended = True
            say_goodbye(self, is_well)
            if self.rank == 0:
                wait_for_goodbyes(self)
            self._entrance.close()
            self.loop.close()
            self.lifeline.close()


class TcpCommunicator(Communicator):
    """A group's messages by TCP.

    Args:
        network: see `Communicator`.
        members: see `Communicator`.
        name: the group's in the job.
    """

    def __init__(self, network: TcpNetwork, members: Sequence[int], name: str) -> None:
        super().__init__(network, members)
        self._network, self._loop = network, network.loop
        self._is_closed = False
        self._context = _number_of(f"{name} collectives")
        self._mail_context = _number_of(f"{name} mail")

    def post(
        self,
        sends: Sequence[tuple[int, Array]],
        receives: Sequence[tuple[int, Array]],
        call: int,
        gone: Gone,
    ) -> Exchange:
        """A message each."""
        loop, context, members = self._loop, self._context, self.members
        tag = call % _HIGHEST_TAG
        transfers: list[tuple[int, Transfer]] = []
        for rank, array in receives:
            transfers.append((rank, loop.receive(Receipt(members[rank], context, tag, array))))
        for rank, array in sends:
            transfers.append((rank, loop.send(members[rank], context, tag, as_bytes(array))))
        return _Underway(loop, transfers, gone)

    def mail(self, gone: Gone) -> TcpMail:
        """Messages with tags."""
        return TcpMail(self, self._loop, self._mail_context, gone)

    def close(self) -> None:
        """With its last group a rank leaves the network."""
        if not self._is_closed:
            self._is_closed = True
            self._network.leave_group()


class _Underway(Exchange):
    """Waiting for transfers.

    Args:
        loop: moves them on.
        transfers: with the rank of the group that each goes to or comes from.
        gone: see `Gone`.
    """

    __slots__ = ("_gone", "_loop", "_ranks", "_transfers")

    def __init__(self, loop: Loop, transfers: Sequence[tuple[int, Transfer]], gone: Gone) -> None:
        self._loop, self._gone = loop, gone
        self._ranks = [rank for rank, _ in transfers]
        self._transfers = [transfer for _, transfer in transfers]

    @property
    def is_done(self) -> bool:
        return all(each.is_done for each in self._transfers)

    def is_over(self) -> bool:
        """Moves messages on before it answers.

        Raises:
            PeerFailed: a connection has broken.
        """
        if not self.is_done:
            self._loop.glance()
            if not self.is_done:
                return False
        for transfer in self._transfers:
            if transfer.error is not None:
                raise PeerFailed(
                    reason_of(self._gone, self._ranks)
                    or f"a connection between machines broke: {transfer.error}"
                )
        return True

    def sleep(self, seconds: float, sleeper: int) -> None:
        """In the kernel, until a connection has news."""
        self._loop.wait(self._transfers, seconds)

    def missing(self) -> list[int]:
        pairs = zip(self._ranks, self._transfers, strict=True)
        return sorted({rank for rank, transfer in pairs if not transfer.is_done})

    def lost(self) -> str | None:
        """What became of a rank that is waited for."""
        return self._gone(self.missing())


class TcpMail:
    """One rank's messages with tags.

    Args:
        communicator: the group's.
        loop: moves them on.
        context: tells them from all others.
        gone: see `Gone`.
    """

    def __init__(self, communicator: TcpCommunicator, loop: Loop, context: int, gone: Gone) -> None:
        self._members, self._rank = communicator.members, communicator.rank
        self._loop, self._context, self._gone = loop, context, gone
        self._long: list[Sending] = []  # that wait for their receivers
        self._receipts: list[Receipt] = []
        self._kept: list[Sending] = []  # short ones that the kernel had no room for
        self._carrier: threading.Thread | None = None
        self._lock = threading.Lock()

    def send(self, flat: Array, dst: int, tag: int) -> Steps:
        """A short one returns at once, as long as not too many wait."""
        if (fault := _refuse(tag)) is not None:
            return fault
        if (text := self._gone([dst])) is not None:
            return PeerFailed(text)
        payload, to = as_bytes(flat), self._members[dst]
        is_short = payload.nbytes <= SHORT_BYTES - sum(each.header.nbytes for each in self._waiting(to))
        if is_short:
            payload = memoryview(bytes(payload))
        sending = self._loop.send(to, self._context, tag, payload, _name_of(flat))
        if is_short:
            self._keep(sending)
        else:
            self._long = [*(each for each in self._long if not each.is_done), sending]
            yield _Underway(self._loop, [(dst, sending)], self._gone)
        return None

    def recv(self, flat: Array, src: int | None, tag: int, after: Wait | None = None) -> Steps:
        """The steps of a receive."""
        if (fault := _refuse(tag)) is not None:
            return fault
        source = None if src is None else self._members[src]
        receipt = self._loop.receive(Receipt(source, self._context, tag, flat, _name_of(flat)))
        self._receipts = [*(each for each in self._receipts if not each.is_done), receipt]
        ranks = (
            [src] if src is not None else [rank for rank in range(len(self._members)) if rank != self._rank]
        )
        yield _Letter(self._loop, receipt, ranks, self._gone)
        assert receipt.header is not None
        assert receipt.sender is not None
        sender = self._members.index(receipt.sender)
        if receipt.fits:
            return sender
        dtype = receipt.header.dtype.rstrip(b"\0").decode()
        return ShapeError(misfit(sender, receipt.header.nbytes, dtype, flat))

    @property
    def is_waiting(self) -> bool:
        """Whether a receive is posted, or a long message has not been taken."""
        self._loop.turn()
        return not all(each.is_done for each in (*self._receipts, *self._long))

    def _waiting(self, to: int) -> list[Sending]:
        return [each for each in tuple(self._kept) if each.to == to and not each.is_done]

    def _keep(self, sending: Sending) -> None:
        """See it off: its sender may be busy with something else."""
        if sending.is_done:
            return
        with self._lock:
            self._kept.append(sending)
            if self._carrier is None:
                self._carrier = threading.Thread(target=self._carry, name="distrt mail", daemon=True)
                self._carrier.start()

    def _carry(self) -> None:
        while True:
            with self._lock:
                self._kept = [each for each in self._kept if not each.is_done]
                if not self._kept:
                    self._carrier = None
                    return
            self._loop.wait(self._kept, _SLICE_S)


class _Letter(_Underway):
    """Waiting for a message with a tag, from one rank or from any.

    Args:
        loop: moves it on.
        receipt: the message.
        ranks: who can send it.
        gone: see `Gone`.
    """

    __slots__ = ("_senders",)

    def __init__(self, loop: Loop, receipt: Receipt, ranks: list[int], gone: Gone) -> None:
        super().__init__(loop, [(ranks[0], receipt)], gone)
        self._senders = ranks

    def missing(self) -> list[int]:
        if self.is_done:
            return []
        return self._senders

    def lost(self) -> str | None:
        return lost_senders(self._gone, self.missing())


def _name_of(array: Array) -> bytes:
    return array.dtype.name.encode().ljust(len(NO_DTYPE), b"\0")


def _number_of(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _refuse(tag: int) -> DistributedError | None:
    if 0 <= tag <= _HIGHEST_TAG:
        return None
    return DistributedError(f"a tag between machines is from 0 to {_HIGHEST_TAG}, got {tag}")
