"""``Layout``: where the parts of a tensor are that lies on several ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.parallel.fully_sharded.placements import Partial, Placement, Replicate, Shard, parts

__all__ = ["Layout", "layout_for"]


@dataclass(frozen=True)
class Layout:
    """Where the parts of a tensor are."""

    device_mesh: DeviceMesh
    placements: tuple[Placement, ...]
    shape: tuple[int, ...]

    @property
    def group(self) -> ProcessGroup | None:
        """The ranks that have different parts; None where every rank has all."""
        for dim, placement in enumerate(self.placements):
            if isinstance(placement, Shard):
                return self.device_mesh.get_group(dim)
        return None

    @property
    def is_cut(self) -> bool:
        """Whether ranks have different parts."""
        return any(isinstance(each, Shard) for each in self.placements)

    @cached_property
    def is_partial(self) -> bool:
        """Whether ranks have summands."""
        return any(isinstance(each, Partial) for each in self.placements)

    @property
    def dim(self) -> int:
        """The dim that is cut."""
        return next(each.dim for each in self.placements if isinstance(each, Shard))

    def places(self) -> list[tuple[slice, ...]]:
        """Which elements each rank of the group has."""
        group = self.group
        assert group is not None, "every rank has all of it"
        before = (slice(None),) * self.dim
        return [(*before, part) for part in parts(self.shape[self.dim], group.size())]

    def mine(self, whole: Array) -> Array:
        """This rank's part, as a view."""
        group = self.group
        return whole if group is None else whole[self.places()[group.rank()]]


def layout_for(
    asking: str, mesh: DeviceMesh, placements: Sequence[Placement] | None, shape: tuple[int, ...]
) -> Layout:
    """The layout of a tensor of this shape, as asked for; replicated where not given.

    Raises:
        ValueError: another number of placements than the mesh has dims.
        ShapeError: the tensor has no such dim.
        UnsupportedError: two dims of the mesh are to cut it.
    """
    placed = tuple(placements or [Replicate()] * mesh.ndim)
    if len(placed) != mesh.ndim:
        raise ValueError(
            f"`placements` must have the same length as `device_mesh.ndim`! Found placements length: {len(placed)}, "
            f"and device_mesh.ndim: {mesh.ndim}."
        )
    if sum(isinstance(each, Shard) for each in placed) > 1:
        raise UnsupportedError(f"{asking}: one dim of the mesh can cut a tensor, got {placed}")
    for each in placed:
        if isinstance(each, Shard) and not -len(shape) <= each.dim < len(shape):
            raise ShapeError(f"{asking}: {each!r} of a tensor of {len(shape)} dims")
    placed = tuple(Shard(each.dim % len(shape)) if isinstance(each, Shard) else each for each in placed)
    return Layout(mesh, placed, shape)
