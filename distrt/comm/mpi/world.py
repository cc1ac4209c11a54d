"""`MpiWorld`: what all that a rank does by MPI has in common."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from distrt.comm.mpi.gpu_memory import Gpu
from distrt.comm.mpi.lifeline import Lifeline

__all__ = ["MpiWorld"]

_NOWHERE = nullcontext()


class MpiWorld:
    """MPI as all ranks of the job see it.

    Attributes:
        mpi: the module ``mpi4py.MPI``.
        comm: a communicator of our own in which every rank has the number that it has in the job.
        lifeline: tells which ranks have died or left.
        takes_gpu_memory: whether MPI, on all ranks, is given the memory of GPUs as it is.
        under_way: the messages of all groups that have not arrived; they have ``is_over()``.
        failed: set it to the reason why this rank must not wait for the others at its end.
    """

    def __init__(
        self, mpi: Any, comm: Any, lifeline: Lifeline, timeout_s: float, takes_gpu_memory: bool = False
    ) -> None:
        self.takes_gpu_memory = takes_gpu_memory
        self._gpu: Gpu | None = None
        self.under_way: set[Any] = set()
        self.failed: str | None = None
        self.timeout_s = timeout_s
        self.mpi = mpi
        self.comm = comm
        self.lifeline = lifeline
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def gpu_of(self, array: Any) -> Gpu:
        """The GPU that an array is on: this rank's, from now on."""
        device = array.device.id
        if self._gpu is None or self._gpu.device != device:
            self._gpu = Gpu(device)
        return self._gpu

    def at_gpu(self) -> AbstractContextManager[Any]:
        """A block in which MPI may move on what is in the memory of a GPU, whatever the thread."""
        return _NOWHERE if self._gpu is None else self._gpu.at()
