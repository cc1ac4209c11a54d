"""``Layout``: where the parts of a tensor are that lies on several ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.parallel.distributed_tensors.placements import (
    Partial,
    Placement,
    Replicate,
    Shard,
    _StridedShard,
    parts,
)

__all__ = ["Layout", "everywhere", "layout_for"]


@dataclass(frozen=True)
class Layout:
    """Where the parts of a tensor are.

    A dim of the tensor that several dims of the mesh cut is cut by the first of them, then each part by the next; by
    those with a `_StridedShard` when all others have.
    """

    device_mesh: DeviceMesh
    placements: tuple[Placement, ...]
    shape: tuple[int, ...]

    @cached_property
    def cuts(self) -> tuple[tuple[int, int], ...]:
        """(dim of the mesh, dim of the tensor) pairs, in the order in which the tensor is cut."""
        found = [(number, each) for number, each in enumerate(self.placements) if isinstance(each, Shard)]
        found.sort(key=lambda cut: isinstance(cut[1], _StridedShard))
        return tuple((number, each.dim) for number, each in found)

    @cached_property
    def in_order(self) -> tuple[Placement, ...]:
        """The nearest placements in which the dims of the mesh cut one after the other; mostly these themselves."""
        if not any(isinstance(each, _StridedShard) for each in self.placements):
            return self.placements
        return tuple(Shard(each.dim) if isinstance(each, Shard) else each for each in self.placements)

    @property
    def order(self) -> tuple[int, ...]:
        """The dims of the mesh, those that cut the tensor last, in the order in which they do."""
        cutting = [number for number, _ in self.cuts]
        return (*(number for number in range(len(self.placements)) if number not in cutting), *cutting)

    @property
    def group(self) -> ProcessGroup | None:
        """The ranks along the one dim of the mesh that cuts it; None where every rank has all.

        Raises:
            AssertionError: several dims of the mesh cut it.
        """
        assert len(self.cuts) < 2, "several dims of the mesh cut it"
        return self.groups[0] if self.cuts else None

    @property
    def groups(self) -> tuple[ProcessGroup, ...]:
        """The groups along the dims of the mesh that cut it."""
        return tuple(self.device_mesh.get_group(number) for number, _ in self.cuts)

    @property
    def is_cut(self) -> bool:
        """Whether ranks have different parts."""
        return bool(self.cuts)

    @cached_property
    def is_partial(self) -> bool:
        """Whether ranks have summands."""
        return any(isinstance(each, Partial) for each in self.placements)

    @property
    def dim(self) -> int:
        """The dim that is cut, where one dim of the mesh cuts it."""
        ((_, dim),) = self.cuts
        return dim

    def places(self) -> list[tuple[slice, ...]]:
        """Which elements each rank of the group has, where one dim of the mesh cuts it."""
        group = self.group
        assert group is not None, "every rank has all of it"
        before = (slice(None),) * self.dim
        return [(*before, part) for part in parts(self.shape[self.dim], group.size())]

    @cached_property
    def place(self) -> tuple[slice, ...]:
        """Which elements this rank has."""
        found = [slice(0, size) for size in self.shape]
        for number, dim in self.cuts:
            group, held = self.device_mesh.get_group(number), found[dim]
            mine = parts(held.stop - held.start, group.size())[group.rank()]
            found[dim] = slice(held.start + mine.start, held.start + mine.stop)
        return tuple(found)

    @property
    def local_shape(self) -> tuple[int, ...]:
        """The shape of this rank's part."""
        return tuple(each.stop - each.start for each in self.place) if self.cuts else self.shape

    def mine(self, whole: Array) -> Array:
        """This rank's part, as a view."""
        return whole[self.place] if self.cuts else whole

    def numel(self) -> int:
        """The number of elements of the whole one."""
        return math.prod(self.shape)


def everywhere(mesh: DeviceMesh) -> tuple[Placement, ...]:
    """The placements of a tensor that every rank has."""
    return (Replicate(),) * mesh.ndim


def layout_for(
    asking: str, mesh: DeviceMesh, placements: Sequence[Placement] | None, shape: tuple[int, ...]
) -> Layout:
    """The layout of a tensor of this shape, as asked for; replicated where not given.

    Raises:
        ValueError: another number of placements than the mesh has dims.
        ShapeError: the tensor has no such dim.
    """
    placed = tuple(placements or everywhere(mesh))
    if len(placed) != mesh.ndim:
        raise ValueError(
            f"`placements` must have the same length as `device_mesh.ndim`! Found placements length: {len(placed)}, "
            f"and device_mesh.ndim: {mesh.ndim}."
        )
    for each in placed:
        if isinstance(each, Shard) and not -len(shape) <= each.dim < len(shape):
            raise ShapeError(f"{asking}: {each!r} of a tensor of {len(shape)} dims")
    placed = tuple(
        replace(each, dim=each.dim % len(shape)) if isinstance(each, Shard) else each for each in placed
    )
    return Layout(mesh, placed, shape)
