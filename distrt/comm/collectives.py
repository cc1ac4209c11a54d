"""PyTorch's collective functions on tensors, over the default group or the one given.

``distrt.distributed`` is their public path. Each function is one line of translation and one call on an array; the
checks are in ``ProcessGroup``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from distrt.comm import world
from distrt.comm.environment import read_environment
from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.comm.store import connect_store
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.tensor import Tensor

_DEFAULT_TIMEOUT = timedelta(minutes=5)

#: What a user may ask for -> what ``get_backend`` answers. On one machine without GPUs the ranks meet in shared memory
#: whatever the name; "nccl" becomes "gloo", so that a script does not go on to move its model to a GPU.
_BACKENDS = {
    "shm": "shm",
    "gloo": "gloo",
    "cpu:gloo": "gloo",
    "cpu:gloo,cuda:nccl": "gloo",
    "mpi": "mpi",
    "nccl": "gloo",
}


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Joins this process to the others of its job; they become the default group.

    Rank and world size come from the arguments, else from the launcher's environment; without either this is a world
    of one.

    Args:
        backend: "shm", or PyTorch's "gloo", "mpi" or "nccl"; on one machine without GPUs each means shared memory.
        init_method: "env://" or None.
        timeout: how long the rendezvous and every later collective may wait. Default: 5 minutes.
        world_size, rank: this process's place; both or neither.
        store: a store that is already connected.
        group_name, pg_options, device_id: accepted and not needed.

    Raises:
        RendezvousError: when the others do not come in time, or the environment contradicts itself.
        RuntimeError: when there is a default group already.
    """
    if world.is_initialized():
        raise RuntimeError("trying to initialize the default process group twice!")
    name = (backend or "shm").lower()
    if name not in _BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(_BACKENDS)}, got {backend!r}")
    if init_method not in (None, "env://"):
        raise UnsupportedError(
            f"init_method={init_method!r}: this version of distrt reads the environment only ('env://')"
        )
    timeout_s = (timeout or _DEFAULT_TIMEOUT).total_seconds()
    environment = read_environment(
        rank=None if rank < 0 else rank, world_size=None if world_size < 0 else world_size
    )
    if name == "nccl":
        warnings.warn(
            "init_process_group: no GPU is available, so backend 'nccl' is served by shared memory",
            UserWarning,
            stacklevel=2,
        )
    if store is None and environment.world_size > 1:
        store = connect_store(environment, timeout_s)
    group = world.create_group(environment, store, timeout_s)
    group.backend = _BACKENDS[name]
    world.set_default_group(group)


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Leaves the group (the default one when not given). The others see that this rank has left."""
    leaving = group or world.default_group()
    is_default = world.is_initialized() and leaving is world.default_group()
    leaving.close()
    if is_default:
        world.set_default_group(None)


def is_available() -> bool:
    """True: process groups are part of every installation."""
    return True


def is_initialized() -> bool:
    """True between ``init_process_group`` and ``destroy_process_group``."""
    return world.is_initialized()


def is_nccl_available() -> bool:
    """True where GPUs can talk through NCCL."""
    return False


def is_gloo_available() -> bool:
    """True: the name "gloo" is served by shared memory."""
    return True


def is_mpi_available() -> bool:
    """True where the MPI transport can be used; this version has none."""
    return False


def is_torchelastic_launched() -> bool:
    """True under a launcher that restarts ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


class _DefaultGroup(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:  # noqa: N802 - PyTorch's own spelling
        """The default group, or None before ``init_process_group``."""
        return world.default_group() if world.is_initialized() else None


class group(metaclass=_DefaultGroup):  # noqa: N801 - PyTorch's own spelling
    """``group.WORLD`` is the default process group."""


def _of(group: ProcessGroup | None) -> ProcessGroup:
    return world.default_group() if group is None else group


def get_rank(group: ProcessGroup | None = None) -> int:
    """This process's number in the group."""
    return _of(group).rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """The number of ranks in the group."""
    return _of(group).size()


def get_backend(group: ProcessGroup | None = None) -> str:
    """The backend's name: the one asked for, or "gloo" where that is not to be had."""
    return _of(group).backend


def _array(tensor: Any, name: str) -> Any:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(tensor).__name__}")
    return tensor._array


def _changed(tensor: Tensor) -> None:
    tensor._counter[0] += 1


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Every rank's tensor becomes the reduction of all of them, in place."""
    work = _of(group).all_reduce(_array(tensor, "all_reduce"), op, async_op=async_op)
    _changed(tensor)
    return work if async_op else None


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Every rank's tensor becomes that of rank ``src``, in place."""
    root = group_src if src is None else src
    if root is None:
        raise ValueError("broadcast: src or group_src must be given")
    work = _of(group).broadcast(_array(tensor, "broadcast"), root)
    _changed(tensor)
    return work if async_op else None


def all_gather(
    tensor_list: Sequence[Tensor], tensor: Tensor, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Fills ``tensor_list`` with every rank's tensor, in rank order."""
    chosen, mine = _of(group), _array(tensor, "all_gather")
    if len(tensor_list) != chosen.size():
        raise ShapeError(
            f"all_gather: tensor_list must have one tensor per rank ({chosen.size()}), but it has {len(tensor_list)}"
        )
    gathered = np.empty((chosen.size(), *mine.shape), mine.dtype)
    work = chosen.all_gather(gathered, mine)
    for target, row in zip(tensor_list, gathered, strict=True):
        if tuple(target.shape) != tuple(tensor.shape):
            raise ShapeError(
                f"all_gather: a tensor of {list(target.shape)} in tensor_list for tensors of {list(tensor.shape)}"
            )
        target._array[...] = row
        _changed(target)
    return work if async_op else None


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: ProcessGroup | None = None, async_op: bool = False
) -> Work | None:
    """Fills ``output_tensor`` with every rank's tensor, one after another along the first dim (or stacked)."""
    chosen, mine = _of(group), _array(input_tensor, "all_gather_into_tensor")
    out = _array(output_tensor, "all_gather_into_tensor")
    if out.size != chosen.size() * mine.size:
        raise ShapeError(
            f"all_gather_into_tensor: output of {list(out.shape)} must hold {chosen.size()} times the "
            f"input of {list(mine.shape)}"
        )
    stacked = (chosen.size(), *mine.shape)
    is_plain = out.flags.c_contiguous
    gathered = out.reshape(stacked) if is_plain else np.empty(stacked, out.dtype)
    work = chosen.all_gather(gathered, mine)
    if not is_plain:
        out[...] = gathered.reshape(out.shape)
    _changed(output_tensor)
    return work if async_op else None


def reduce_scatter(
    output: Tensor,
    input_list: Sequence[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """``output`` becomes the reduction of every rank's ``input_list[rank]``."""
    chosen = _of(group)
    if len(input_list) != chosen.size():
        raise ShapeError(
            f"reduce_scatter: input_list must have one tensor per rank ({chosen.size()}), but it has {len(input_list)}"
        )
    stacked = np.stack([_array(each, "reduce_scatter") for each in input_list])
    work = chosen.reduce_scatter(_array(output, "reduce_scatter"), stacked, op)
    _changed(output)
    return work if async_op else None


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """``output`` becomes this rank's part of the reduction of every rank's ``input``, cut along the first dim."""
    chosen, out = _of(group), _array(output, "reduce_scatter_tensor")
    whole = _array(input, "reduce_scatter_tensor")
    if whole.size != chosen.size() * out.size:
        raise ShapeError(
            f"reduce_scatter_tensor: input of {list(whole.shape)} must hold {chosen.size()} times the "
            f"output of {list(out.shape)}"
        )
    work = chosen.reduce_scatter(out, np.ascontiguousarray(whole).reshape(chosen.size(), *out.shape), op)
    _changed(output)
    return work if async_op else None


def barrier(group: ProcessGroup | None = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Waits until every rank has come."""
    _of(group).barrier()
    return None


__all__ = [
    "all_gather",
    "all_gather_into_tensor",
    "all_reduce",
    "barrier",
    "broadcast",
    "destroy_process_group",
    "get_backend",
    "get_rank",
    "get_world_size",
    "group",
    "init_process_group",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "reduce_scatter",
    "reduce_scatter_tensor",
]
