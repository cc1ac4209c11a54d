"""`DeviceMesh`: the ranks of a job as an array with named dims, and a process group along each of them.

``distrt.distributed.device_mesh`` is the public path. Every rank makes the same mesh, so that all make the same groups
in the same order. Source: https://docs.pytorch.org/docs/stable/distributed.html (DeviceMesh).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distrt.comm.functions.groups import init_process_group
from distrt.comm.functions.membership import (
    get_process_group_ranks,
    get_rank,
    get_world_size,
    is_initialized,
)
from distrt.comm.mesh import layout as mesh_layout
from distrt.comm.mesh.groups import NO_OVERRIDE, Override, new_groups_along, override_of, overrides_of
from distrt.comm.mesh.layout import Axis
from distrt.comm.mesh.view import MeshView
from distrt.comm.process_group import ProcessGroup
from distrt.core.creation import tensor
from distrt.core.device import require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = ["DeviceMesh", "current_mesh", "init_device_mesh"]


def init_device_mesh(
    device_type: str,
    mesh_shape: Sequence[int],
    *,
    mesh_dim_names: Sequence[str] | None = None,
    backend_override: Mapping[int | str, Any] | None = None,
) -> DeviceMesh:
    """The mesh of this shape over the ranks 0, 1, 2, ..., row by row; every rank of the job calls this alike.

    Without a default process group, ``init_process_group()`` is called first.

    Args:
        device_type: "cpu"; "cuda" where there is a GPU. Without an index.
        mesh_shape: the number of ranks along each dim.
        mesh_dim_names: a name for each dim, for slices such as ``mesh["dp"]``.
        backend_override: dim or name -> the backend of its groups, its options, or a pair of both.

    Raises:
        RuntimeError: for names that do not fit, a device with an index, and a mesh of more ranks than there are.
        DeviceMissing: for a device that this machine does not have.
    """
    shape = tuple(mesh_shape)
    if mesh_dim_names is not None:
        if len(set(mesh_dim_names)) != len(mesh_dim_names):
            raise RuntimeError(
                f"Each mesh_dim_name must be unique. Found repeated mesh_dim_name in mesh_dim_names {mesh_dim_names}"
            )
        if len(shape) != len(mesh_dim_names):
            raise RuntimeError(
                "mesh_shape and mesh_dim_names should have same length! "
                f"Found len(mesh_dim_names): {len(mesh_dim_names)} and len(mesh_shape):{len(shape)}."
            )
    overrides = None
    if backend_override is not None:
        overrides = tuple(overrides_of(backend_override, len(shape), mesh_dim_names or ()))
    if device_type and not device_type.isalpha():
        raise RuntimeError(
            f"Device type with index is not supported but got {device_type}. If you maintained a 'torch.device' "
            "object, it's recommended to pass in 'device.type'."
        )
    ranks = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int32).reshape(shape)
    return DeviceMesh(device_type, ranks, mesh_dim_names=mesh_dim_names, backend_override=overrides)


class DeviceMesh(MeshView):
    """Ranks of the default group in an array; each of its rows, along each dim, has a process group.

    Args:
        device_type: "cpu", or "cuda" where there is a GPU.
        mesh: an array or a tensor of ranks, or lists of them, alike on every rank.
        mesh_dim_names: a name for each dim.
        backend_override: (backend, options) for each dim; a dim that spans all ranks then gets a group of its own.

    Raises:
        RuntimeError: for more ranks than there are.
        DeviceMissing: for a device that this machine does not have.
    """

    #: Along each dim; empty where this rank is not in the mesh, and unset where no groups were made.
    _groups: list[ProcessGroup]

    def __init__(
        self,
        device_type: str,
        mesh: Any = None,
        *,
        mesh_dim_names: Sequence[str] | None = None,
        backend_override: Sequence[Override] | None = None,
        _init_backend: bool = True,
        _rank: int | None = None,
    ) -> None:
        if mesh is None:
            raise TypeError("The mesh argument is required: the ranks, as an array, a tensor, or lists")
        ranks = _ranks(mesh)
        require_available(device_type)
        axes = mesh_layout.axes_of(ranks.shape)
        if backend_override is not None and len(backend_override) != len(axes):
            raise ValueError(
                "backend_override should have the same length as the number of mesh dimensions, but got "
                f"{len(backend_override)} and {len(axes)}."
            )
        self._lay_out(device_type, axes, ranks.reshape(-1), mesh_dim_names, None)
        if _init_backend:
            self._require_world()
            self._groups = self._new_groups(axes, self._mesh_dim_names, backend_override)
        self._find_coordinate(_rank)

    # -- its groups

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """This process's rank in the group along a dim, which must be named where there are several."""
        if self.ndim > 1 and mesh_dim is None:
            raise RuntimeError(f"{self._has_dims()}.")
        return get_rank(self.get_group(0 if mesh_dim is None else mesh_dim))

    def get_group(self, mesh_dim: int | str | None = None) -> ProcessGroup:
        """The process group along a dim, which must be named where there are several; or of a flattened mesh.

        Raises:
            RuntimeError: when the dim is left open, or the mesh has no groups.
            KeyError, IndexError: for a dim that is not there.
        """
        if not hasattr(self, "_groups"):
            raise RuntimeError("DeviceMesh process groups not initialized!")
        if mesh_dim is None:
            if self.ndim > 1:
                raise RuntimeError(
                    f"{self._has_dims()}. If you want to get the list of all the ProcessGroups in the DeviceMesh, "
                    "please use `get_all_groups()` instead."
                )
            return self._groups[0]
        if isinstance(mesh_dim, str):
            flat = self._get_root_mesh()._flatten_mapping.get(mesh_dim)
            if flat is not None:
                return flat._groups[0]
            mesh_dim = self._get_mesh_dim_by_name(mesh_dim)
        if not isinstance(mesh_dim, int):
            raise AssertionError(f"mesh_dim must be an int, got {type(mesh_dim)}")
        return self._groups[mesh_dim]

    def get_all_groups(self) -> list[ProcessGroup]:
        """The process groups along all dims."""
        return [self.get_group(dim) for dim in range(self.ndim)]

    @staticmethod
    def from_group(
        group: ProcessGroup | Sequence[ProcessGroup],
        device_type: str,
        mesh: Any = None,
        *,
        mesh_dim_names: Sequence[str] | None = None,
    ) -> DeviceMesh:
        """A mesh over groups that are there already: one group, or one for each dim, with the ranks and the names.

        Raises:
            ValueError: for ranks that are not those of the group, or what is missing for several groups.
        """
        if isinstance(group, ProcessGroup):
            members = get_process_group_ranks(group)
            given = mesh.tolist() if isinstance(mesh, Tensor | np.ndarray) else mesh
            if given is not None and given != members:
                raise ValueError(f"Invalid mesh {mesh} for ProcessGroup with ranks {members}")
            groups, mesh = [group], members
        else:
            groups = list(group)
            if not groups:
                raise ValueError("Expects at least one ProcessGroup to be passed")
            if mesh is None:
                raise ValueError("Must pass mesh if passing multiple ProcessGroups")
            if mesh_dim_names is None:
                raise ValueError("Must pass mesh_dim_names if passing multiple ProcessGroups")
            if _ranks(mesh).ndim != len(groups):
                raise ValueError(
                    "Expects mesh with ndim equal to number of ProcessGroups but got "
                    f"mesh {_ranks(mesh).tolist()} and {len(groups)} ProcessGroups"
                )
        made = DeviceMesh(device_type, mesh, mesh_dim_names=mesh_dim_names, _init_backend=False)
        made._groups = groups
        return made

    def _require_world(self) -> None:
        if not is_initialized():
            init_process_group()
        if self.size() > get_world_size():
            raise RuntimeError(
                f"Mesh should not be bigger than default world size {get_world_size()}, but found {self.size()} ranks!"
            )

    def _new_groups(
        self, axes: Sequence[Axis], names: Sequence[str] | None, overrides: Sequence[Override] | None
    ) -> list[ProcessGroup]:
        """A group along each axis; all of one axis's before the next one's, in the order of the rows."""
        found = []
        for dim, axis in enumerate(axes):
            name = names[dim] if names else f"dim_{dim}"
            found.append(
                new_groups_along(axis, self._ranks, name, overrides[dim] if overrides else NO_OVERRIDE)
            )
        return [group for group in found if group is not None]

    # -- parts of it

    def __getitem__(self, mesh_dim_names: str | tuple[str, ...]) -> DeviceMesh:
        """The slice with these dims that this rank is in; its groups are those of this mesh.

        Raises:
            RuntimeError: where the dims have no names, or overlap.
            KeyError: for names that are not there, or not in order.
        """
        if not self._mesh_dim_names:
            raise RuntimeError("Cannot slice a DeviceMesh without mesh_dim_names!")
        names = (mesh_dim_names,) if isinstance(mesh_dim_names, str) else mesh_dim_names
        if names == self._mesh_dim_names:
            return self
        root = self._get_root_mesh()
        parts = {name: (self, dim) for dim, name in enumerate(self._mesh_dim_names)}
        if self == root:
            parts |= {name: (flat, 0) for name, flat in root._flatten_mapping.items() if name not in parts}
        if any(name not in parts for name in names):
            raise KeyError(
                f"Invalid mesh_dim_names {names} specified. Valid mesh_dim_names are {list(parts)}."
            )
        chosen = [parts[name] for name in names]
        if any(mesh is not self for mesh, _ in chosen):
            warn(
                "Slicing a flattened dim from root mesh will be deprecated in PT 2.11. Users need to bookkeep the "
                "flattened mesh directly. "
            )
        axes = tuple(mesh._axes[dim] for mesh, dim in chosen)
        if not mesh_layout.is_ascending(axes):
            raise KeyError(
                f"Invalid mesh_dim_names {names} specified. Mesh dim indices should be in ascending order."
            )
        if mesh_layout.has_overlap(axes):
            raise RuntimeError(f"Slicing overlapping dim_names {names} is not allowed.")
        groups = None
        if hasattr(self, "_groups"):
            groups = [mesh._groups[dim] for mesh, dim in chosen if mesh._groups]
        return self._part(axes, names, groups)

    def _flatten(self, mesh_dim_name: str | None = None, backend_override: Any = None) -> DeviceMesh:
        """A mesh of one dim with all these ranks; made once for each name, which the root mesh then knows.

        Args:
            mesh_dim_name: its name; those of the dims, with "_" between them, where not given.
            backend_override: the backend of its groups, its options, or a pair of both.

        Raises:
            ValueError: for a name that something else has.
        """
        if not self._mesh_dim_names:
            raise RuntimeError("Cannot flatten a DeviceMesh without mesh_dim_names!")
        name = mesh_dim_name or "_".join(self._mesh_dim_names)
        if self.ndim == 1 and name in self._mesh_dim_names:
            return self
        root, axis = self._get_root_mesh(), self._flat()
        if name in (root._mesh_dim_names or ()):
            raise ValueError(
                f"{name} already exists for submesh of the {root}. The mesh_dim_names of submesh and flattened mesh "
                f"are {root._mesh_dim_names}. Please specify another valid mesh_dim_name."
            )
        found = root._flatten_mapping.get(name)
        if found is not None and found._axes != (axis,):
            raise ValueError(
                f"Flatten mesh with mesh_dim_name {name} has been created before, Please specify another valid "
                "mesh_dim_name."
            )
        if found is None:
            override = NO_OVERRIDE if backend_override is None else override_of(backend_override)
            found = self._part((axis,), (name,), self._new_groups([axis], [name], [override]))
            root._flatten_mapping[name] = found
        return found

    def _unflatten(
        self,
        dim: int | str,
        mesh_sizes: Sequence[int],
        mesh_dim_names: Sequence[str],
        backend_override: Mapping[int | str, Any] | None = None,
    ) -> DeviceMesh:
        """This mesh with one dim cut into several, along which new groups are made.

        Raises:
            ValueError: for a dim that is not there, or sizes whose product is not its own.
            RuntimeError: for another number of names than of sizes.
        """
        names, sizes = self._mesh_dim_names or (), tuple(mesh_sizes)
        if isinstance(dim, str) and dim not in names:
            raise ValueError(f"dim {dim} specified in `_unflatten` is not in {self._mesh_dim_names}")
        if not isinstance(dim, str) and dim >= self.ndim:
            raise ValueError(f"dim {dim} specified in `_unflatten` is out of range {self.ndim}")
        if len(sizes) != len(mesh_dim_names):
            raise RuntimeError("mesh_dim_names must have same length as mesh_sizes in _unflatten!")
        dim = names.index(dim) if isinstance(dim, str) else dim
        if np.prod(sizes) != self.shape[dim]:
            raise ValueError(
                f"The product of mesh_sizes={sizes} is {np.prod(sizes)}, but the original dimension at dim={dim} has "
                f"size {self.shape[dim]}. These must be equal for unflatten to work correctly."
            )
        axes = mesh_layout.split(self._axes[dim], sizes)
        groups = None
        if hasattr(self, "_groups"):
            given = overrides_of(backend_override or {}, len(sizes), mesh_dim_names)
            groups = list(self._groups)
            groups[dim : dim + 1] = self._new_groups(axes, mesh_dim_names, list(given))
        return self._part(
            (*self._axes[:dim], *axes, *self._axes[dim + 1 :]),
            (*names[:dim], *mesh_dim_names, *names[dim + 1 :]),
            groups,
        )

    @staticmethod
    def _concatenate(device_mesh_list: Sequence[DeviceMesh]) -> DeviceMesh:
        """The mesh with the dims of several slices of one root mesh.

        Raises:
            RuntimeError: for slices of different meshes, or slices that overlap.
        """
        first = device_mesh_list[0]
        if any(mesh._key[0] != first._key[0] for mesh in device_mesh_list):
            raise RuntimeError("Cannot concatenate DeviceMeshes derived from different device meshs")
        axes = tuple(axis for mesh in device_mesh_list for axis in mesh._axes)
        if mesh_layout.has_overlap(axes):
            raise RuntimeError(f"Cannot concatenate overlapping meshes: {list(device_mesh_list)}")
        names = [name for mesh in device_mesh_list for name in mesh._mesh_dim_names or ()]
        return first._part(axes, names, [group for mesh in device_mesh_list for group in mesh._groups])

    def _get_all_submeshes(self, mesh_dim_name: str) -> list[DeviceMesh]:
        """Every row of the root mesh along a dim, as a mesh; only that of this rank has a group."""
        dim = self._get_mesh_dim_by_name(mesh_dim_name)
        found = []
        for row in mesh_layout.rows([self._axes[dim]], self._ranks):
            mesh = DeviceMesh(self._device_type, row, mesh_dim_names=(mesh_dim_name,), _init_backend=False)
            mesh._groups = [self._groups[dim]] if self.get_rank() in row else []
            found.append(mesh)
        return found

    def _part(
        self, axes: tuple[Axis, ...], names: Sequence[str], groups: list[ProcessGroup] | None
    ) -> DeviceMesh:
        part = object.__new__(DeviceMesh)
        part._lay_out(self._device_type, axes, self._ranks, names, self._get_root_mesh())
        if groups is not None:
            part._groups = groups
        part._find_coordinate()
        return part

    # -- as a context, and as a value

    def __enter__(self) -> DeviceMesh:
        _mesh_resources.mesh_stack.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _mesh_resources.mesh_stack.pop()

    def __deepcopy__(self, memo: dict[int, Any]) -> DeviceMesh:
        """Itself: nothing of a mesh changes, and its groups are the process's."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """All but the groups, which another process does not have."""
        return {name: value for name, value in vars(self).items() if name != "_groups"}


class _Active(threading.local):
    """The meshes that this thread has entered with ``with``, the innermost last."""

    def __init__(self) -> None:
        self.mesh_stack: list[DeviceMesh] = []

    def get_current_mesh(self) -> DeviceMesh:
        """The innermost mesh.

        Raises:
            RuntimeError: outside of all.
        """
        if not self.mesh_stack:
            raise RuntimeError("No device mesh is currently active!")
        return self.mesh_stack[-1]


_mesh_resources = _Active()
current_mesh = _mesh_resources.get_current_mesh


def _ranks(mesh: Any) -> npt.NDArray[Any]:
    whole = tensor(mesh.tolist() if isinstance(mesh, Tensor | np.ndarray) else mesh, dtype=dt.int32)
    if not whole.numel():
        raise AssertionError(f"a mesh must have a rank along each dim, got one of shape {tuple(whole.shape)}")
    return np.ascontiguousarray(whole._array).reshape(whole.shape)
