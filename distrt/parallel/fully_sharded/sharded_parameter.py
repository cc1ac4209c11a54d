"""``ShardedParameter``: one parameter as its two tensors, the whole one and this rank's part.

The modules hold the part, and the whole one while they compute. Its memory belongs to the unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core.arrays import Array, address_of, is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.layout import Layout
from distrt.parallel.distributed_tensors.placements import Replicate, Shard, _StridedShard
from distrt.parallel.distributed_tensors.tensor import DTensor, distributed

__all__ = ["ShardedParameter"]


class ShardedParameter:
    """A parameter, and where modules have it.

    Attributes:
        name: as error messages call it.
        places: (module, attribute) pairs that have it.
        whole: the parameter of before, which backward gives gradients.
        part: what modules and optimizers have between uses.
        layout: where the ranks that it is split over have which elements of this rank's whole one.
        lying: the same of all ranks: of a weight that tensor parallelism has cut, this rank's whole one is a part.
        largest: elements of the largest part.
        own, used: its dtype, and the one to compute in.
    """

    def __init__(
        self,
        name: str,
        places: list[tuple[Any, str]],
        whole: Tensor,
        mesh: DeviceMesh,
        shard_dim: int,
        used: dt.dtype | None,
    ) -> None:
        self.name, self.places, self.whole = name, places, whole
        shape = tuple(whole._array.shape)
        if not shape:
            raise ValueError(
                f"fully_shard doesn't support scalar parameters. Change {name} to a 1D tensor with numel equal to 1."
            )
        replicated = (Replicate(),) * (mesh.ndim - 1)
        self.layout = Layout(mesh, (*replicated, Shard(shard_dim)), shape)
        self.lying = _lying(name, self.layout, whole)
        self.slices = self.layout.places()
        self.part_shapes = [tuple(_extent(each, shape)) for each in self.slices]
        self.sizes = [math.prod(each) for each in self.part_shapes]
        if shard_dim and len(set(self.sizes)) > 1:
            raise NotImplementedError(
                f"FSDP does not support uneven sharding on dim {shard_dim}: {shape} (world size: {len(self.sizes)})"
            )
        self.largest = max(self.sizes)
        self.become(whole._array.dtype, used)
        # The part, and its version, that the whole one was last made of.
        self.known_part: DTensor | None = None
        self.known_version = 0
        self.is_given_back = False  # whether the whole one's memory is
        self.part: DTensor = distributed(np.empty(0, self.own), self.lying)

    def become(self, own: np.dtype[Any], used: dt.dtype | None) -> None:
        """Take note of the dtypes: its own, and the one to compute in, if that is another."""
        self.own = own
        self._home: Array | None = None  # where the part belongs
        self.used = dt.to_numpy(used) if used is not None and dt.known(own).is_floating_point else own

    def cut(self, rank: int, home: Array | None) -> None:
        """Move this rank's part of the whole one's values to ``home``, and let go of the whole one's memory.

        Without a home, which comes later, to memory of its own; on the meta device, to none.
        """
        self.rank = rank
        mine = self.whole._array[self.slices[rank]]
        if home is None:
            local = mine.copy()
        else:
            local = home.reshape(self.part_shapes[rank])
            local[...] = _beside(local, mine)
        self._home = local
        self.part = self._as_parameter(local)
        self.whole.grad = None

    def _as_parameter(self, local: Array) -> DTensor:
        part: Any = distributed(local, self.lying)
        part._is_param = True
        for name, value in vars(self.whole).items():  # what users have put on it
            if not name.startswith("_"):
                setattr(part, name, value)
        part.requires_grad_(self.whole.requires_grad)
        return part  # type: ignore[no-any-return]

    def current(self) -> DTensor:
        """The part, or what a script has put in its place: ``load_state_dict(..., assign=True)`` does."""
        module, attribute = self.places[0]
        found = module._parameters.get(attribute)
        if found is not None and found is not self.part and found is not self.whole:
            self._adopt(found)
        return self.part

    @property
    def is_settled(self) -> bool:
        """Whether the modules have the part or the whole one, and the part lies in its unit's memory."""
        module, attribute = self.places[0]
        found = module._parameters.get(attribute)
        return (found is self.part or found is self.whole) and self.part._array is self._home

    @property
    def is_home(self) -> bool:
        """Whether the part lies in its unit's memory."""
        return self.part._array is self._home

    def bring_home(self, home: Array) -> None:
        """Have the part lie in its unit's memory again, where a script has given it other memory."""
        local = self.part._array
        if local.shape != self.part_shapes[self.rank]:
            raise ShapeError(
                f"{self.name}: its part on rank {self.rank} has shape {self.part_shapes[self.rank]}, and was given "
                f"values of shape {tuple(local.shape)}"
            )
        place = home.reshape(local.shape)
        if (
            is_on_gpu(local) is not is_on_gpu(place)
            or address_of(local) != address_of(place)
            or local.strides != place.strides
        ):
            place[...] = _beside(place, local)
            self._forget_values()
        self.part._array = self._home = place

    def _adopt(self, found: Tensor) -> None:
        if isinstance(found, DTensor):
            self.part = found
        else:
            requires_grad = found.requires_grad
            is_whole = found.shape == self.lying.shape
            local = self.lying.mine(found._array) if is_whole else found._array
            self.part = self._as_parameter(local.copy())
            self.part.requires_grad_(requires_grad)
        self._forget_values()
        self.show(self.part)

    def show(self, tensor: Tensor) -> None:
        """Have the modules hold the whole one, or the part."""
        for module, attribute in self.places:
            module._parameters[attribute] = tensor

    # -- its memory

    def put_together(self, home: Array, rows: Sequence[Array]) -> Array:
        """The whole one in ``home``, out of all ranks' parts."""
        whole = home.view(self.used).reshape(self.layout.shape)
        for place, shape, size, row in zip(self.slices, self.part_shapes, self.sizes, rows, strict=True):
            whole[place] = row.view(self.used)[:size].reshape(shape)
        return whole

    def take(self, whole: Array) -> None:
        """Have the modules hold the whole one, which has these values now."""
        tensor, part = self.whole, self.part
        tensor._array = whole
        version = part._counter[0]
        if self.is_given_back and part is self.known_part and version == self.known_version:
            tensor._counter[0] -= 1  # the same values at the same place: what was kept is right again
        self.is_given_back, self.known_part, self.known_version = False, part, version
        if (tensor._edge is None) is not (part._edge is None):
            tensor.requires_grad_(part.requires_grad)
        for module, attribute in self.places:
            module._parameters[attribute] = tensor

    def give_back(self, is_gone: bool) -> None:
        """Have the modules hold the part. Where the memory of the whole one goes, what the graph has kept of it counts
        as changed until it is back.
        """
        part = self.part
        for module, attribute in self.places:
            module._parameters[attribute] = part
        if is_gone:
            self.whole._counter[0] += 1
            self.is_given_back = True

    def expire(self) -> None:
        """Have what the graph has kept of the whole one count as changed if the part was."""
        if self.is_stale:
            self._forget_values()

    def _forget_values(self) -> None:
        if self.known_part is not None:
            self.known_part = None
            self.whole._counter[0] += 1

    @property
    def is_stale(self) -> bool:
        """Whether the part was changed since the whole one was put together."""
        part = self.part
        return part is not self.known_part or part._counter[0] != self.known_version

    # -- its gradient

    def add_gradient(self, reduced: Array) -> None:
        """Give the part a reduced gradient of its shape, or add it to what it has."""
        part = self.part
        found = reduced if reduced.dtype == self.own else reduced.astype(self.own)
        if part._grad is None:
            part._grad = distributed(found, self.lying)
        else:
            part._grad._array += found
            part._grad._counter[0] += 1

    @property
    def hooks(self) -> list[Any]:
        """What users have the part call when its gradient is there."""
        edge: Any = self.part._edge
        return [] if edge is None else list(edge[0].post_hooks.values())

    def gradient(self) -> Tensor | None:
        """What this rank's passes have added up."""
        return self.whole._grad

    def forget(self) -> None:
        """Drop this rank's own gradient."""
        self.whole._grad = self.whole._grad_slot = None


def _lying(name: str, layout: Layout, whole: Tensor) -> Layout:
    """Where all ranks have parts of a parameter, which may lie on several ranks before it is split."""
    cut = getattr(whole, "_layout", None)
    if cut is None:
        return layout
    if cut.device_mesh._get_root_mesh() != layout.device_mesh._get_root_mesh():
        raise AssertionError(
            "FSDP requires the DP and model parallel TP/EP mesh to have the same parent mesh but got:\n"
            f"DP's global mesh: {layout.device_mesh._get_root_mesh()}\n"
            f"TP/EP's global mesh: {cut.device_mesh._get_root_mesh()}"
        )
    if cut.is_partial:
        raise ValueError(f"fully_shard: {name} lies as {cut.placements}: ranks have summands of it")
    before = math.prod(cut.device_mesh.size(number) for number, dim in cut.cuts if dim == layout.dim)
    is_cut = any(dim == layout.dim for _, dim in cut.cuts)
    own = tuple(
        _StridedShard(each.dim, before) if is_cut and isinstance(each, Shard) else each
        for each in layout.placements
    )
    mesh = DeviceMesh._concatenate([layout.device_mesh, cut.device_mesh])
    return Layout(mesh, (*own, *cut.placements), cut.shape)


def _beside(home: Array, values: Array) -> Array:
    """The values, where ``home`` is."""
    if is_on_gpu(home) is is_on_gpu(values):
        return values
    from distrt.core.gpu.places import device_of, moved

    return moved(values, device_of(home))


def _extent(place: tuple[slice, ...], shape: tuple[int, ...]) -> list[int]:
    return [len(range(*each.indices(size))) for each, size in zip(place, shape, strict=False)] + list(
        shape[len(place) :]
    )
