"""``distribute_tensor``: a tensor that every rank has becomes one that lies on several ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core.errors import UnsupportedError
from distrt.core.tensor import Tensor
from distrt.parallel.fully_sharded.distributed_tensor import distributed
from distrt.parallel.fully_sharded.layout import layout_for
from distrt.parallel.fully_sharded.placements import Placement

__all__ = ["distribute_tensor"]


def distribute_tensor(
    tensor: Tensor,
    device_mesh: DeviceMesh,
    placements: Sequence[Placement] | None = None,
    *,
    src_data_rank: int | None = 0,
) -> Any:
    """This rank's part of a tensor that every rank has; all ranks call.

    Args:
        tensor: the whole one.
        device_mesh: the ranks.
        placements: how it is to lie, one for each dim of the mesh; replicated where not given.
        src_data_rank: whose values count; each rank's own where None.

    Raises:
        ValueError: another number of placements than the mesh has dims.
        ShapeError: the tensor has no such dim.
    """
    layout = layout_for("distribute_tensor", device_mesh, placements, tuple(tensor._array.shape))
    if layout.is_partial:
        raise UnsupportedError(f"distribute_tensor: ranks would have summands, got {layout.placements}")
    whole = np.array(tensor._array, order="C")
    if src_data_rank is not None:
        for group in device_mesh.get_all_groups():
            group.broadcast(whole, src_data_rank).wait()
    made = distributed(np.array(layout.mine(whole)), layout)
    if getattr(tensor, "_is_param", False) or type(tensor).__name__ == "Parameter":
        made._is_param = True
    return made.requires_grad_(tensor.requires_grad)


distribute_tensor.__module__ = "distrt.distributed.tensor"
