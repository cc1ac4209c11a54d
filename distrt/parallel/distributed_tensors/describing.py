"""Tensors that lie on several ranks, out of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.comm.world import default_group, is_initialized
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.layout import Layout
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard, _StridedShard
from distrt.parallel.distributed_tensors.tensor import distributed

__all__ = ["from_description"]


def from_description(
    local: Tensor,
    ranks: list[Any],
    names: list[str] | None,
    placed: Sequence[tuple[Any, ...]],
    shape: Sequence[int],
    is_parameter: bool,
) -> Any:
    """A tensor out of a file.

    Its mesh has groups where it is all ranks in a row; of others only the layout is known, since to make groups all
    ranks would have to read the file at once.
    """
    is_world = is_initialized() and list(ranks) == list(range(default_group().size()))
    rank = None if is_initialized() else -1  # in no mesh
    mesh = DeviceMesh("cpu", ranks, mesh_dim_names=names, _init_backend=is_world, _rank=rank)
    placements = tuple(_KINDS[kind](*arguments) for kind, *arguments in placed)
    made = distributed(local._array, Layout(mesh, placements, tuple(shape)))
    if is_parameter:
        made._is_param = True
    return made.requires_grad_(local.requires_grad)


_KINDS: dict[str, type[Placement]] = {
    each.__name__: each for each in (Partial, Replicate, Shard, _StridedShard)
}
