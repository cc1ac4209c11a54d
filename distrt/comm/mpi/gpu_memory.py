"""The memory of a GPU, for MPI: its bytes, and when MPI may touch them.

MPI knows nothing of streams. It may read or write what is on a GPU only when the GPU has done what was queued before,
and is done itself when it says so.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from distrt.comm.mpi.polled import Polled
from distrt.comm.progress import Steps
from distrt.comm.reduction import Array
from distrt.core.arrays import address_of, is_on_gpu
from distrt.core.gpu import library as gpus
from distrt.core.gpu.capturing import refuse
from distrt.core.modes import used

__all__ = ["Gpu", "Queued", "bytes_of"]


class Gpu:
    """The GPU that a rank drives.

    Args:
        device: its number.
    """

    def __init__(self, device: int) -> None:
        self.device = device
        with self.at():
            self._stream = gpus.find().cuda.Stream(non_blocking=True)

    def at(self) -> AbstractContextManager[Any]:
        """A block in which it is the current one, as MPI wants it on every thread that moves messages on."""
        return gpus.find().cuda.Device(self.device)  # type: ignore[no-any-return]

    def mark(self) -> Queued:
        """What is over when the GPU has done what the current stream has queued up to here.

        Raises:
            CaptureError: the stream is being captured.
        """
        refuse("an exchange by MPI")
        with self.at():
            event = gpus.find().cuda.Event(disable_timing=True)
            event.record()
        return Queued(event)

    def behind(self, steps: Steps) -> Steps:
        """``steps`` behind what the current stream has queued when this is called.

        What they queue goes to a stream of their own, and they are over when the GPU has done that: so whoever waits
        for them needs no stream to wait.
        """
        return self._ordered(steps, self.mark())

    def _ordered(self, steps: Steps, ready: Queued) -> Steps:
        yield ready
        while True:
            with self.at(), self._stream:
                try:
                    wait = next(steps)
                except StopIteration as end:
                    value, done = end.value, self.mark()
                    break
            yield wait
        yield done
        return value


class Queued(Polled):
    """Waiting for a mark in a stream. No rank is missing meanwhile: it is over when the GPU is that far.

    Args:
        event: CuPy's.
    """

    __slots__ = ("_event",)

    def __init__(self, event: Any) -> None:
        super().__init__(_nobody)
        self._event = event

    def poll(self) -> bool:
        """Whether the GPU is that far."""
        return bool(self._event.done)

    def missing(self) -> list[int]:
        """Nobody."""
        return []


def _nobody(missing: list[int]) -> None:
    """No rank is waited for."""


def bytes_of(mpi: Any, array: Array) -> Any:
    """A contiguous array as mpi4py takes it: its bytes, wherever they are."""
    if not (used.gpu and is_on_gpu(array)):
        return array.reshape(-1).view(np.uint8)
    return mpi.buffer.fromaddress(address_of(array), array.nbytes) if array.size else np.empty(0, np.uint8)
