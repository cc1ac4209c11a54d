"""`MpiLane`: arrays on a GPU, where MPI is CUDA-aware.

Everything goes from GPU to GPU. What is only moved goes as MPI finds best; reductions are distrt's own, in one order
for all transports (`distrt.comm.machines.reduce`), and each rank's GPU does its share.
"""

from __future__ import annotations

import numpy as np

from distrt.comm.caller import Caller
from distrt.comm.calls import Call
from distrt.comm.checks import premultiplied
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import AnyOp, Array, ReduceOp
from distrt.comm.through_host import HostLane
from distrt.comm.transport import Transport
from distrt.comm.work import Work
from distrt.core.errors import DeviceError
from distrt.core.gpu.places import at, device_of

__all__ = ["MpiLane"]


class MpiLane(HostLane):
    """The lane of a group whose transport takes the memory of a GPU.

    Args:
        control: the group.
        device: the number of the GPU.
    """

    def __init__(self, control: ProcessGroup, device: int) -> None:
        super().__init__(control)
        self._carrier = _OnGpus(control)
        self._device = device

    def _outgoing(self, array: Array) -> Array:
        self._require_here(array)
        with at(array):
            return array if array.flags.c_contiguous else array.copy(order="C")

    def _incoming(self, array: Array) -> Array:
        self._require_here(array)
        with at(array):
            return array if array.flags.c_contiguous else np.empty(array.shape, array.dtype, like=array)

    def _entered(self, array: Array, op: AnyOp) -> tuple[Array, AnyOp]:
        with at(array):  # what is multiplied here is brought home here, in the stream of who waits
            plain, scaled = premultiplied(op, array)
        return self._outgoing(scaled), plain

    def _require_here(self, array: Array) -> None:
        """MPI is told of one GPU's memory, whose order it keeps to."""
        if device_of(array).index != self._device:
            raise DeviceError(
                self._control.label(
                    f"a tensor is on {device_of(array)} and others on cuda:{self._device}; they must be on one device",
                    "mpi",
                )
            )


class _OnGpus(ProcessGroup):
    """The same ranks and their calls, for arrays on a GPU.

    Args:
        control: the group.
    """

    def __init__(self, control: ProcessGroup) -> None:
        self._control = control
        super().__init__(
            control.transport, control.timeout_s, control.group_name, control.ranks, control.backend
        )

    def _caller_of(self, transport: Transport, timeout_s: float, name: str) -> Caller:
        return self._control._caller  # one number for each call of the group, wherever its arrays are

    def lane_of(self, array: Array) -> ProcessGroup:
        """This one: `distrt.comm.lanes` has looked where the array is."""
        return self

    def _call(self, operation: str, *details: object) -> Call:
        # Ranks whose arrays are on the CPU go another way: they do not meet, and are told why.
        return super()._call(operation, *details, "on GPUs")

    def all_reduce(
        self,
        array: Array,
        op: AnyOp = ReduceOp.SUM,
        async_op: bool = False,
        deterministic: bool = False,
    ) -> Work:
        """As on the CPU."""
        return self._all_reduce_by(self.transport.all_reduce, array, op, async_op)
