"""`MpiWorld`: what all that a rank does by MPI has in common."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from distrt.comm.machines.lifeline import Lifeline
from distrt.comm.machines.network import Communicator, Exchange, Gone, Network
from distrt.comm.mpi.blocking import within
from distrt.comm.mpi.gpu_memory import Gpu, bytes_of
from distrt.comm.mpi.mail import Arrivals, Letters, collective_tags, is_away
from distrt.comm.reduction import Array

__all__ = ["MpiWorld"]

_NOWHERE = nullcontext()


class MpiWorld(Network):
    """MPI as all ranks of the job see it.

    Args:
        mpi: the module ``mpi4py.MPI``.
        comm: a communicator of our own in which every rank has the number that it has in the job.
        lifeline: tells which ranks have died or left.
        timeout_s: how long the start and the end may wait.
        takes_gpu_memory: whether MPI, on all ranks, is given the memory of GPUs as it is.

    Attributes:
        under_way: the messages of all groups that have not arrived; they have ``is_over()``.
    """

    kind = "mpi"

    def __init__(
        self, mpi: Any, comm: Any, lifeline: Lifeline, timeout_s: float, takes_gpu_memory: bool = False
    ) -> None:
        super().__init__(lifeline, timeout_s)
        self.takes_gpu_memory = takes_gpu_memory
        self._gpu: Gpu | None = None
        self.under_way: set[Any] = set()
        self.mpi = mpi
        self.comm = comm

    def communicator(self, members: Sequence[int], name: str, timeout_s: float) -> MpiCommunicator:
        """Of MPI's own."""
        if list(members) == list(range(self.size)):
            comm = within(timeout_s, "MPI_Comm_dup", self.comm.Dup)
        else:
            group = self.comm.Get_group().Incl(members)
            tag = zlib.crc32(name.encode()) % 30000
            comm = within(timeout_s, "MPI_Comm_create_group", lambda: self.comm.Create_group(group, tag))
            group.Free()
        comm.Set_errhandler(self.mpi.ERRORS_RETURN)
        return MpiCommunicator(self, comm, members)

    def is_delivered(self) -> bool:
        """MPI moves messages on when it is asked."""
        self.comm.Iprobe()
        return all(is_away(message) for message in tuple(self.under_way))

    def gpu_of(self, array: Any) -> Gpu:
        """The GPU that an array is on: this rank's, from now on."""
        device = array.device.id
        if self._gpu is None or self._gpu.device != device:
            self._gpu = Gpu(device)
        return self._gpu

    def at_gpu(self) -> AbstractContextManager[Any]:
        """A block in which MPI may move on what is in the memory of a GPU, whatever the thread."""
        return _NOWHERE if self._gpu is None else self._gpu.at()


class MpiCommunicator(Communicator):
    """A group's messages by MPI.

    Args:
        world: MPI.
        comm: the group's communicator.
        members: see `Communicator`.
    """

    def __init__(self, world: MpiWorld, comm: Any, members: Sequence[int]) -> None:
        super().__init__(world, members)
        self._world, self._comm = world, comm
        self._first_tag, self._tags = collective_tags(comm, world.mpi)

    def post(
        self,
        sends: Sequence[tuple[int, Array]],
        receives: Sequence[tuple[int, Array]],
        call: int,
        gone: Gone,
    ) -> Exchange:
        """One message of MPI each."""
        mpi, comm = self._world.mpi, self._comm
        tag = self._first_tag + call % self._tags
        requests = []
        for rank, array in receives:
            requests.append(comm.Irecv([bytes_of(mpi, array), mpi.BYTE], rank, tag))
        for rank, array in sends:
            requests.append(comm.Isend([bytes_of(mpi, array), mpi.BYTE], rank, tag))
        ranks = [rank for rank, _ in (*receives, *sends)]
        buffers = [array for _, array in (*receives, *sends)]
        return Arrivals(self._world, requests, ranks, buffers, gone)

    def mail(self, gone: Gone) -> Letters:
        """MPI has shared memory of its own for messages within a machine."""
        return Letters(self._world, self._comm, gone)
