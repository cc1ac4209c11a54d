"""MPI between two ranks: waiting without blocking, and messages with tags.

MPI carries bytes only: dtypes, lengths and sums are ours. Nothing blocks inside MPI, so that time-outs, deaths and
other operations are seen to while a rank waits.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.comm.machines.network import Exchange, Gone, lost_senders, reason_of
from distrt.comm.mpi.gpu_memory import bytes_of
from distrt.comm.mpi.polled import LONGEST_POLL_S, POLL_S, Polled
from distrt.comm.progress import Steps, Wait
from distrt.comm.reduction import Array
from distrt.comm.transport import misfit
from distrt.core.arrays import is_on_gpu
from distrt.core.errors import DistributedError, PeerFailed, ShapeError
from distrt.core.modes import used

if TYPE_CHECKING:
    from distrt.comm.mpi.world import MpiWorld

__all__ = ["Arrivals", "Letters", "collective_tags", "is_away"]

_HEADER = struct.Struct("=q16s")  # bytes, dtype
_KEPT_BYTES = 256 * 1024  # as much as fits into a ring of shared memory
_POLLS = 4  # MPI moves a piece when it is asked (UCX 64 KB), and does not say whether it has


class Arrivals(Polled, Exchange):
    """Waiting for messages under way, to and from several ranks.

    Args:
        world: MPI; this is kept there, and with it the buffers, until all have arrived, whoever gives up waiting.
        requests: what MPI gave for each.
        ranks: whom each goes to or comes from.
        buffers: what MPI reads or writes.
        gone: see `Gone`.
    """

    __slots__ = ("_buffers", "_ranks", "_requests", "_world")

    polls = _POLLS

    def __init__(
        self,
        world: MpiWorld,
        requests: Sequence[Any],
        ranks: Sequence[int],
        buffers: Sequence[Array],
        gone: Gone,
    ) -> None:
        super().__init__(gone)
        self._world = world
        world.under_way.add(self)
        self._requests, self._ranks, self._buffers = list(requests), list(ranks), list(buffers)

    def poll(self) -> bool:
        """Whether all have arrived."""
        mpi = self._world.mpi
        try:
            with self._world.at_gpu():
                if not mpi.Request.Testall(self._requests):
                    return False
        except mpi.Exception as error:
            raise PeerFailed(reason_of(self._gone, self._ranks) or f"MPI: {error}") from error
        self._world.under_way.discard(self)
        self._requests.clear()
        self._buffers.clear()
        return True

    @property
    def is_done(self) -> bool:
        """Whether all had arrived when somebody last asked."""
        return self._over

    def missing(self) -> list[int]:  # noqa: D102
        with self._lock, self._world.at_gpu():  # they are forgotten once all have arrived
            pending = [
                rank
                for rank, request in zip(self._ranks, self._requests, strict=False)
                if request and not request.Test()
            ]
        return sorted(set(pending))


class _Receipt:
    """A posted receive."""

    __slots__ = ("after", "array", "buffer", "fault", "is_here", "request", "source", "tag", "wanted")

    def __init__(self, array: Array, wanted: int | None, tag: int, after: Wait | None) -> None:
        self.array, self.wanted, self.tag, self.after = array, wanted, tag, after
        self.source: int | None = None
        self.request: Any = None
        self.buffer: Any = None
        self.fault: str | None = None
        self.is_here = False

    @property
    def is_free(self) -> bool:
        """Whether its array may be written to."""
        return self.after is None or self.after.is_over()


class Letters:
    """One rank's messages with tags. A header says what comes; then the bytes come, to where they belong.

    Args:
        world: MPI.
        comm: the group's communicator.
        gone: see `Gone`.
    """

    def __init__(self, world: MpiWorld, comm: Any, gone: Gone) -> None:
        self._world, self._mpi, self._comm, self._gone = world, world.mpi, comm, gone
        first_of_collectives, _ = collective_tags(comm, world.mpi)
        self._highest = (first_of_collectives - 2) // 2  # each of the user's tags takes two of MPI's
        self._posted: list[_Receipt] = []  # in posting order
        # Copies of short messages, to whom, and of how many bytes.
        self._kept: list[tuple[Arrivals, int, int]] = []
        self._carrier: threading.Thread | None = None
        self._long: list[Arrivals] = []  # sends that wait for their receivers
        self._lock = threading.Lock()  # a header and its bytes are sent, and received, without others between

    def send(self, flat: Array, dst: int, tag: int) -> Steps:
        """The steps of a send."""
        if (fault := self._refuse(tag)) is not None:
            return fault
        if (text := self._gone([dst])) is not None:
            return PeerFailed(text)
        header = np.frombuffer(_HEADER.pack(flat.nbytes, flat.dtype.name.encode()), np.uint8).copy()
        is_kept = flat.nbytes <= self._space(dst)
        body = flat.copy() if is_kept else flat
        if is_kept and used.gpu and is_on_gpu(body):
            yield self._world.gpu_of(body).mark()  # MPI would read before it is copied
        with self._lock:
            requests = [
                self._comm.Isend([header, self._mpi.BYTE], dst, 2 * tag),
                self._comm.Isend([bytes_of(self._mpi, body), self._mpi.BYTE], dst, 2 * tag + 1),
            ]
        sent = Arrivals(self._world, requests, [dst, dst], [header, body], self._gone)
        if not is_kept:
            self._long = [*(each for each in self._long if not each.is_done), sent]
            yield sent
        elif not sent.is_over():
            self._keep(sent, dst, flat.nbytes)
        return None

    def _space(self, dst: int) -> int:
        """How many bytes more may be on their way to a rank after the sends of them have returned."""
        return _KEPT_BYTES - sum(nbytes for _, to, nbytes in tuple(self._kept) if to == dst)

    def _keep(self, sent: Arrivals, dst: int, nbytes: int) -> None:
        with self._lock:
            self._kept.append((sent, dst, nbytes))
            if self._carrier is None:
                self._carrier = threading.Thread(target=self._carry, name="distrt mail", daemon=True)
                self._carrier.start()

    def _carry(self) -> None:
        """See kept messages off: MPI moves them on when it is asked, and their sender may be busy."""
        pause_s = POLL_S
        while True:
            kept = tuple(self._kept)
            gone = {sent for sent, _, _ in kept if is_away(sent)}
            with self._lock:
                self._kept = [each for each in self._kept if each[0] not in gone]
                if not self._kept:
                    self._carrier = None
                    return
            pause_s = POLL_S if gone else min(2 * pause_s, LONGEST_POLL_S)
            time.sleep(pause_s)

    def recv(self, flat: Array, src: int | None, tag: int, after: Wait | None = None) -> Steps:
        """The steps of a receive; ``flat`` is written to when ``after`` is over."""
        if (fault := self._refuse(tag)) is not None:
            return fault
        receipt = _Receipt(flat, src, tag, after)
        with self._lock:
            self._posted.append(receipt)
        yield _Letter(self, receipt, self._gone)
        return receipt.source if receipt.fault is None else ShapeError(receipt.fault)

    @property
    def is_waiting(self) -> bool:
        """Whether a receive is posted, or a long message has not been taken."""
        return bool(self._posted) or not all(sent.is_over() for sent in self._long)

    def pump(self) -> None:
        """Take in what has come for posted receives."""
        if not self._lock.acquire(blocking=False):
            return  # another thread does
        try:
            waiting: set[tuple[int | None, int]] = set()
            for receipt in tuple(self._posted):
                if receipt.request is None and not self._match(receipt, waiting):
                    waiting.add((receipt.wanted, receipt.tag))
                elif receipt.request.Test():
                    receipt.is_here = True
                    self._posted.remove(receipt)
        finally:
            self._lock.release()

    def _match(self, receipt: _Receipt, waiting: set[tuple[int | None, int]]) -> bool:
        """Give a receive the next message for it, unless that is for one that was posted before."""
        tag = receipt.tag
        if (None, tag) in waiting or (receipt.wanted, tag) in waiting or not receipt.is_free:
            return False
        if receipt.wanted is not None:
            sources = [receipt.wanted]
        elif any(each == tag for _, each in waiting):
            ranks = range(self._comm.Get_size())
            sources = [rank for rank in ranks if (rank, tag) not in waiting and rank != self._comm.Get_rank()]
        else:
            sources = [self._mpi.ANY_SOURCE]
        status = self._mpi.Status()
        for source in sources:
            message = self._comm.Improbe(source, 2 * tag, status)
            if message is not None:
                header = bytearray(_HEADER.size)
                message.Recv([header, self._mpi.BYTE])
                self._listen(receipt, status.Get_source(), *_HEADER.unpack(header))
                return True
        return False

    def _listen(self, receipt: _Receipt, source: int, nbytes: int, dtype: bytes) -> None:
        name, array = dtype.rstrip(b"\0").decode(), receipt.array
        receipt.source = source
        receipt.fault = misfit(source, nbytes, name, array)
        fits = receipt.fault is None
        receipt.buffer = bytes_of(self._mpi, array) if fits else np.empty(nbytes, np.uint8)
        receipt.request = self._comm.Irecv([receipt.buffer, self._mpi.BYTE], source, 2 * receipt.tag + 1)

    def _refuse(self, tag: int) -> DistributedError | None:
        if 0 <= tag <= self._highest:
            return None
        return DistributedError(f"a tag between machines is from 0 to {self._highest}, got {tag}")


class _Letter(Polled):
    """Waiting for a message."""

    __slots__ = ("_mail", "_receipt")

    polls = _POLLS

    def __init__(self, mail: Letters, receipt: _Receipt, gone: Gone) -> None:
        super().__init__(gone)
        self._mail, self._receipt = mail, receipt

    def poll(self) -> bool:
        with self._mail._world.at_gpu():
            self._mail.pump()
        return self._receipt.is_here

    def missing(self) -> list[int]:
        wanted = self._receipt.source if self._receipt.source is not None else self._receipt.wanted
        if wanted is not None:
            return [wanted]
        comm = self._mail._comm
        return [rank for rank in range(comm.Get_size()) if rank != comm.Get_rank()]

    def lost(self) -> str | None:
        return lost_senders(self._gone, self.missing())


def is_away(sent: Arrivals) -> bool:
    """Whether a message has gone, or its receiver has."""
    try:
        return sent.is_over()
    except PeerFailed:
        return True  # whoever waits for that rank is told


def collective_tags(comm: Any, mpi: Any) -> tuple[int, int]:
    """The first MPI tag that collectives use, and how many there are; those below are for messages."""
    highest: int = mpi.COMM_WORLD.Get_attr(mpi.TAG_UB)  # Open MPI tells it of no other communicator
    first = highest // 2 + 1
    return first, highest - first + 1
