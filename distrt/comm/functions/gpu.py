"""What a backend's name means for tensors on a GPU: NCCL for "nccl", the CPU or MPI itself for the others."""

from __future__ import annotations

from distrt.comm.functions.backend import Backend, BackendConfig, nccl_timeout
from distrt.comm.functions.debug_level import DebugLevel, get_debug_level
from distrt.comm.lanes import Lane, Lanes
from distrt.comm.process_group import ProcessGroup
from distrt.core.device import device

__all__ = ["give_lane", "require_library"]

_WITH_LANE = (Backend.NCCL, Backend.GLOO, Backend.MPI)


def require_library(backend: str, size: int) -> None:
    """A group of several ranks that was asked to be "nccl" needs NCCL; a rank that is alone does not.

    Raises:
        DeviceMissing: there is no library of NCCL's.
    """
    if backend == Backend.NCCL and size > 1:
        from distrt.comm.nccl import library

        library.require()


def give_lane(group: ProcessGroup, backend: str, timeout_s: float | None, bound: device | None) -> None:
    """Let a group exchange what is on GPUs, as its backend says.

    Args:
        group: the ranks.
        backend: as the script asked for it.
        timeout_s: of each operation; NCCL's default where None.
        bound: the GPU that this process works on. Where it is known, its ranks connect at once, as in PyTorch.
    """
    if ":" not in backend and backend not in (Backend.UNDEFINED, *_WITH_LANE):
        return
    kind = BackendConfig(backend).device_backend_map.get("cuda")
    if kind not in _WITH_LANE:
        return
    limit_s = nccl_timeout().total_seconds() if timeout_s is None else timeout_s

    def make(group: ProcessGroup, number: int) -> Lane:
        if kind != Backend.NCCL:
            if kind == Backend.MPI and group.transport.takes_gpu_memory:
                from distrt.comm.mpi.lane import MpiLane  # most jobs have no GPU

                return MpiLane(group, number)
            from distrt.comm.through_host import HostLane

            return HostLane(group)
        from distrt.comm.nccl.group import GpuGroup

        return GpuGroup(group, number, limit_s, compares=get_debug_level() is DebugLevel.DETAIL)

    group.gpu_lane = Lanes(make, group)
    if bound is not None and bound.index is not None and kind == Backend.NCCL:
        group.gpu_lane.on(bound.index).connect()
