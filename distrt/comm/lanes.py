"""`Lanes`: how a group finds what carries the arrays of its GPU, when the first one comes.

A lane does for arrays on a GPU what `ProcessGroup` does for those in the memory of the CPU, between the same ranks:
over NCCL (`nccl.group`), or through the CPU (`through_host`) where the backend is one of the CPU's ("gloo", "mpi"); an
MPI that is CUDA-aware gets arrays as they are (`mpi.lane`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from distrt.comm.reduction import Array
from distrt.core.errors import DeviceError
from distrt.core.gpu.places import device_of

if TYPE_CHECKING:
    from distrt.comm.nccl.group import GpuGroup
    from distrt.comm.process_group import ProcessGroup
    from distrt.comm.through_host import HostLane

__all__ = ["Lane", "Lanes"]

#: `ProcessGroup`'s operations on arrays, of one GPU.
Lane: TypeAlias = "GpuGroup | HostLane"


class Lanes:
    """The lane of one rank for its GPU.

    Args:
        make: makes it, for a group and a GPU's number; the ranks find one another when they first use it.
        group: whose it is.
    """

    def __init__(self, make: Callable[[ProcessGroup, int], Lane], group: ProcessGroup) -> None:
        self._make, self._group = make, weakref.ref(group)
        self._label = f"rank {group.rank()}: group {group.group_name!r}"
        self._lane: Lane | None = None
        self._device: int | None = None
        self._timeout_s: float | None = None

    def another(self, group: ProcessGroup) -> Lanes:
        """The same for another group, with the same patience."""
        made = Lanes(self._make, group)
        made._timeout_s = self._timeout_s
        return made

    def of(self, array: Array) -> Lane:
        """Who carries an array that is on a GPU.

        Raises:
            DeviceError: it is on another GPU than those before.
        """
        index = device_of(array).index
        assert index is not None, "its array has one"
        return self.on(index)

    def on(self, device: int) -> Lane:
        """The lane of a GPU, by its number.

        Raises:
            DeviceError: the lane is another GPU's.
        """
        if self._lane is None:
            group = self._group()
            assert group is not None, "it asks for its own"
            self._lane, self._device = self._make(group, device), device
            if self._timeout_s is not None:
                self._lane.set_timeout(self._timeout_s)
        if device != self._device:
            raise DeviceError(
                f"{self._label} exchanges what is on cuda:{self._device}, got a tensor on cuda:{device}: one rank "
                "drives one GPU (torch.cuda.set_device(local_rank))"
            )
        return self._lane

    def drain(self) -> None:
        """Return when this rank's GPU has done what the lane gave it."""
        if self._lane is not None:
            self._lane.drain()

    def set_timeout(self, timeout_s: float) -> None:
        """How long all later operations may take."""
        self._timeout_s = timeout_s
        if self._lane is not None:
            self._lane.set_timeout(timeout_s)

    def abort(self) -> None:
        """Leave at once: what the GPU has not done stays undone."""
        if self._lane is not None:
            self._lane.abort()

    def close(self) -> None:
        """Leave."""
        if self._lane is not None:
            self._lane.close()
