"""``parallelize_module``: cuts the layers of a model over several ranks, as a plan says."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch

from distrt.comm.mesh.device_mesh import DeviceMesh, current_mesh
from distrt.core.process.users_code import warn
from distrt.nn import Module
from distrt.parallel.tensor_parallel.style import ParallelStyle

__all__ = ["parallelize_module"]


def parallelize_module(
    module: Module,
    device_mesh: DeviceMesh | None = None,
    parallelize_plan: ParallelStyle | Mapping[str, ParallelStyle] | None = None,
    *,
    src_data_rank: int | None = 0,
) -> Module:
    """The module, with layers that are cut over the ranks of a mesh; all of them call.

    Args:
        module: the module; it is changed.
        device_mesh: the ranks, in one dim; the mesh of the ``with`` statement around where not given.
        parallelize_plan: the module's style; or styles by the names of submodules, of which each part may have ``*``,
            ``?`` and ``[...]``.
        src_data_rank: the rank of the mesh whose parameters count; each rank's own where None.

    Raises:
        ValueError: the mesh has several dims.
        TypeError: the plan is neither a style nor a dict.
        NotImplementedError: a style does not know such a layer.
    """
    mesh = current_mesh() if device_mesh is None else device_mesh
    if mesh.ndim > 1:
        raise ValueError(
            f"Tensor Parallel only accepts a 1D DeviceMesh, but found {mesh.ndim}D! Slice it: mesh['tp']"
        )
    if parallelize_plan is None:
        _warn(
            "No parallelize_plan is provided and auto-parallel is not supported at the moment, so this "
            "parallelize_module call will do nothing."
        )
        return module
    if isinstance(parallelize_plan, ParallelStyle):
        parallelize_plan.src_data_rank = src_data_rank
        return parallelize_plan._apply(module, mesh)
    if not isinstance(parallelize_plan, Mapping):
        raise TypeError(
            "Expect Union[ParallelStyle, Dict[str, ParallelStyle]] for parallelize_plan, "
            f"{type(parallelize_plan)} found!"
        )
    for path, style in parallelize_plan.items():
        for found in _matching(module, path):
            parallelize_module(found, mesh, style, src_data_rank=src_data_rank)
    return module


def _matching(module: Module, path: str) -> list[Module]:
    """The submodules with such a name; warns where there is none."""
    found = [module]
    for token in path.split(".") if path else ():
        inner = []
        for each in found:
            children = [child for name, child in each.named_children() if fnmatch(name, token)]
            if not children:
                _warn(
                    f"Parallelize plan key '{path}' could not be resolved: no submodule matching token '{token}' in "
                    f"module {each}, skipping this plan entry."
                )
            inner += children
        found = inner
    return found


def _warn(text: str) -> None:
    warn(text)


parallelize_module.__module__ = "distrt.distributed.tensor.parallel"
