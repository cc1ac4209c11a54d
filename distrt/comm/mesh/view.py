"""What a mesh is without its groups: ranks, names, shape, and where this rank stands. The base of `DeviceMesh`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distrt.comm.functions.membership import get_rank
from distrt.comm.mesh import layout as mesh_layout
from distrt.comm.mesh.layout import Axis
from distrt.core.tensor import Tensor
from distrt.core.tensors.interchange import from_array

__all__ = ["MeshView"]


class MeshView:
    """Axes in the row of ranks of a root mesh, which may be this one."""

    def _lay_out(
        self,
        device_type: str,
        axes: tuple[Axis, ...],
        ranks: npt.NDArray[Any],
        names: Sequence[str] | None,
        root: Self | None,
    ) -> None:
        self._device_type = device_type
        self._axes = axes
        self._ranks = ranks  # of the root mesh, in one row: what axes count in
        self._mesh_dim_names = tuple(names) if names else None
        self._root_mesh = root
        self._flatten_mapping: dict[str, Self] = {}  # of a root mesh: name -> what `_flatten` made
        self._key = (tuple(ranks.tolist()), axes, device_type, self._mesh_dim_names)

    def _find_coordinate(self, rank: int | None = None) -> None:
        self._rank = get_rank() if rank is None else rank
        found = np.argwhere(self._mesh_array() == self._rank)
        if len(found) > 1:
            raise AssertionError(
                f"rank {self._rank} must be in a mesh once at most, and is {len(found)} times"
            )
        self._coordinate = tuple(found[0].tolist()) if len(found) else None

    @property
    def device_type(self) -> str:
        """The kind of device of all ranks."""
        return self._device_type

    @property
    def mesh(self) -> Tensor:
        """The ranks, as a tensor of int32; of a slice, those of the slice that this rank is in."""
        found: Tensor = from_array(self._mesh_array())
        return found

    @property
    def mesh_dim_names(self) -> tuple[str, ...] | None:
        """The names of the dims."""
        return self._mesh_dim_names

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return len(self._axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of ranks along each dim."""
        return tuple(map(mesh_layout.length, self._axes))

    def size(self, mesh_dim: int | None = None) -> int:
        """The number of ranks along a dim, or of all."""
        return mesh_layout.length(self._axes[mesh_dim] if mesh_dim is not None else self._flat())

    def __repr__(self) -> str:
        shape = str(self.shape)
        if self._mesh_dim_names:
            named = zip(self._mesh_dim_names, self.shape, strict=False)
            shape = f"({', '.join(f'{name}={size}' for name, size in named)})"
        ranks = ""
        if os.environ.get("TORCH_DISTRIBUTED_DEBUG", "") == "DETAIL":
            ranks = f", Mesh: {self._mesh_array().tolist()}"
        stride = tuple(map(mesh_layout.strides, self._axes))
        return f"DeviceMesh({shape}, {self.device_type!r}, stride={stride}{ranks})"

    def __eq__(self, other: object) -> bool:
        """Whether the two cut the same ranks up alike: slices are equal on ranks that are in different ones, too."""
        return self is other or (isinstance(other, MeshView) and self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def get_rank(self) -> int:
        """This process's rank in the default group."""
        return get_rank()

    def get_coordinate(self) -> tuple[int, ...] | None:
        """This process's index along each dim; None where it is not in the mesh."""
        return self._coordinate

    def _is_current_rank_part_of_mesh(self) -> bool:
        return self._coordinate is not None

    def _get_root_mesh(self) -> Self:
        return self._root_mesh or self

    def _get_mesh_dim_by_name(self, mesh_dim_name: str) -> int:
        if not self._mesh_dim_names:
            raise KeyError("No `mesh_dim_names` found.")
        if mesh_dim_name not in self._mesh_dim_names:
            raise KeyError(
                f"Mesh dimension '{mesh_dim_name}' does not exist. Available mesh dimensions are: "
                f"mesh_dim_names={self._mesh_dim_names}"
            )
        return self._mesh_dim_names.index(mesh_dim_name)

    def _flat(self) -> Axis:
        return mesh_layout.flattened(self._axes)

    def _mesh_array(self) -> npt.NDArray[Any]:
        meshes = mesh_layout.rows(self._axes, self._ranks)
        if len(meshes) == 1:
            return np.asarray(meshes[0])
        mine = np.argwhere(meshes == get_rank())
        if not len(mine):
            raise RuntimeError(
                "In order to get the mesh Tensor of a DeviceMesh it needs to either have all its original dimensions "
                "(e.g., no slicing) or it needs to contain the local rank"
            )
        return np.asarray(meshes[mine[0, 0]])

    def _has_dims(self) -> str:
        return (
            f"Found the DeviceMesh have {self.ndim} dimensions. Optional kwarg `mesh_dim` needs to be specified when "
            "device_mesh.ndim > 1"
        )
