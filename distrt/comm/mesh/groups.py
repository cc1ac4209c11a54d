"""The process groups along the dims of a mesh: every rank makes all of them, in one order. `DeviceMesh` calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias

import numpy.typing as npt

from distrt.comm import world
from distrt.comm.functions.membership import get_rank, get_world_size
from distrt.comm.functions.subgroups import new_group
from distrt.comm.mesh import layout as mesh_layout
from distrt.comm.mesh.layout import Axis
from distrt.comm.process_group import ProcessGroup

__all__ = ["NO_OVERRIDE", "Override", "new_groups_along", "override_of", "overrides_of"]

Override: TypeAlias = tuple[str | None, Any]  # a backend's name, and its options
NO_OVERRIDE: Override = (None, None)


def new_groups_along(
    axis: Axis, ranks: npt.NDArray[Any], name: str, override: Override
) -> ProcessGroup | None:
    """A group for each row along the axis, made on every rank; the one that this rank is in."""
    if mesh_layout.length(axis) == get_world_size() and override == NO_OVERRIDE:
        return world.default_group()
    backend, options = override
    mine = None
    for members in mesh_layout.rows([axis], ranks).tolist():
        group = new_group(
            ranks=members,
            timeout=getattr(options, "_timeout", None),
            backend=backend,
            pg_options=options,
            group_desc=f"mesh_{name}",
        )
        if get_rank() in members:
            if mine is not None:
                raise RuntimeError(
                    f"Each device mesh dimension should get only one process group, but got {get_rank()} in {members}!"
                )
            mine = group
    return mine


def overrides_of(given: Mapping[int | str, Any], ndim: int, names: Sequence[str]) -> Iterator[Override]:
    """The override of each dim, out of those given by number or by name.

    Raises:
        RuntimeError: for a dim that is given twice, or is not there.
    """
    left = dict(given)
    for dim, name in zip_longest(range(ndim), names):
        if name in left and dim in left:
            raise RuntimeError(f"Found redundant dim index {dim} and name {name} in backend_override")
        found = left.pop(name) if name in left else left.pop(dim, None)
        yield NO_OVERRIDE if found is None else override_of(found)
    if left:
        raise RuntimeError(
            f"Found invalid keys in backend_override: got {list(left)}, expected integers in range [0, {ndim}) or one "
            f"of {tuple(names)}"
        )


def override_of(value: Any) -> Override:
    """What was given for one dim (a backend's name, its options, or both), as both."""
    if isinstance(value, tuple):
        backend, options = value
        return backend, options
    return (value, None) if isinstance(value, str) else (None, value)
