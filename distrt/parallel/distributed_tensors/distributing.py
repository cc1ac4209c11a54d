"""``distribute_tensor``, ``distribute_module``: what every rank has becomes what lies on several ranks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from distrt import nn
from distrt.comm.mesh.device_mesh import DeviceMesh, current_mesh
from distrt.core.errors import UnsupportedError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.layout import layout_for
from distrt.parallel.distributed_tensors.placements import Placement
from distrt.parallel.distributed_tensors.tensor import DTensor, distributed

__all__ = ["distribute_module", "distribute_tensor"]


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
    whole = tensor._array.copy(order="C")
    if src_data_rank is not None:
        for group in device_mesh.get_all_groups():
            group.broadcast(whole, src_data_rank).wait()
    made = distributed(layout.mine(whole).copy(), layout)
    if getattr(tensor, "_is_param", False) or type(tensor).__name__ == "Parameter":
        made._is_param = True
    return made.requires_grad_(tensor.requires_grad)


def distribute_module(
    module: nn.Module,
    device_mesh: DeviceMesh | None = None,
    partition_fn: Callable[[str, nn.Module, DeviceMesh], None] | None = None,
    input_fn: Callable[..., Any] | None = None,
    output_fn: Callable[..., Any] | None = None,
) -> nn.Module:
    """The module, with parameters and buffers that lie on several ranks; all ranks call.

    Args:
        module: the module; it is changed.
        device_mesh: the ranks; the mesh of the ``with`` statement around where not given.
        partition_fn: called with every submodule's name, the submodule and the mesh, replaces parameters; what it
            leaves is replicated.
        input_fn: called with the module, its inputs and the mesh before forward; what it returns replaces the inputs.
        output_fn: called with the module, its outputs and the mesh after forward; what it returns replaces the outputs.

    Raises:
        RuntimeError: the module was distributed before.
        ValueError: a function takes another number of arguments.
    """
    if getattr(module, "_distribute_module_applied", False):
        raise RuntimeError(
            "distribute_module should only be called once on a module, but it has already been called on this module!"
        )
    mesh = current_mesh() if device_mesh is None else device_mesh
    for name, submodule in module.named_modules():
        if partition_fn is not None:
            partition_fn(name, submodule, mesh)
        _replicate(submodule, mesh)
    if input_fn is not None:
        prepare = _with_module("input_fn", input_fn, "inputs")
        module.register_forward_pre_hook(lambda module, inputs: prepare(module, inputs, mesh))
    if output_fn is not None:
        finish = _with_module("output_fn", output_fn, "outputs")
        module.register_forward_hook(lambda module, inputs, outputs: finish(module, outputs, mesh))
    module._distribute_module_applied = True
    return module


def _replicate(module: nn.Module, mesh: DeviceMesh) -> None:
    for name, parameter in module._parameters.items():
        if parameter is not None and not isinstance(parameter, DTensor):
            module._parameters[name] = distribute_tensor(parameter, mesh)
    for name, buffer in module._buffers.items():
        if buffer is not None and not isinstance(buffer, DTensor):
            module._buffers[name] = distribute_tensor(buffer, mesh)


def _with_module(name: str, function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The function with the module as its first argument."""
    count = len(inspect.signature(function).parameters)
    if count == 3:
        return function
    if count != 2:
        raise ValueError(f"{name} should take in 3 arguments, but got {count} arguments!")
    warn(
        f"Deprecating {name} that takes two arguments ({what}, device_mesh), please use {name} that takes in (module, "
        f"{what}, device_mesh) instead!",
        FutureWarning,
    )
    return lambda module, values, mesh: function(values, mesh)


for _function in (distribute_module, distribute_tensor):
    _function.__module__ = "distrt.distributed.tensor"
