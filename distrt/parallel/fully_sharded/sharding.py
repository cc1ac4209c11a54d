"""``fully_shard``: splits the parameters of modules over the ranks, in place.

Source: https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from distrt.comm.functions.groups import init_process_group
from distrt.comm.mesh.device_mesh import DeviceMesh, init_device_mesh
from distrt.comm.world import default_group, is_initialized
from distrt.core.device import device
from distrt.core.errors import UnsupportedError
from distrt.core.gpu.library import current, device_count
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.modules.container import ModuleDict, ModuleList
from distrt.nn.modules.module import Module
from distrt.parallel.distributed_tensors.placements import Shard
from distrt.parallel.fully_sharded.module import make_sharded
from distrt.parallel.fully_sharded.policies import (
    CPUOffloadPolicy,
    DataParallelMeshDims,
    MixedPrecisionPolicy,
    OffloadPolicy,
)
from distrt.parallel.fully_sharded.sharded_parameter import ShardedParameter
from distrt.parallel.fully_sharded.state import ModuleState, state_of
from distrt.parallel.fully_sharded.unit import Unit
from distrt.parallel.sparse_gradients import refuse_sparse_layers

if TYPE_CHECKING:
    from distrt.parallel.fully_sharded.device_memory import DeviceMemory

__all__ = ["fully_shard", "managed", "mesh_of", "shard"]


def fully_shard(
    module: Any,
    *,
    mesh: DeviceMesh | None = None,
    reshard_after_forward: bool | int | None = None,
    shard_placement_fn: Callable[[Tensor], Shard | None] | None = None,
    mp_policy: MixedPrecisionPolicy = MixedPrecisionPolicy(),  # noqa: B008 - frozen
    offload_policy: OffloadPolicy | None = None,
    ignored_params: Iterable[Tensor] | None = None,
    dp_mesh_dims: DataParallelMeshDims | None = None,
) -> Any:
    """Split the parameters of a module over the ranks, and gather them whenever it computes.

    One call makes one unit of all parameters that no call on a module below has taken: so inner modules come first. A
    unit is gathered before its module's forward, given back after it, gathered again when backward comes to it, and
    given back when its gradients are there, which are reduced. Between uses, ``parameters()`` are `DTensor` s with
    this rank's part; optimizers are made of those, after this.

    Args:
        module: one, or a list of modules that are gathered together.
        mesh: the ranks: one dim to shard along, or two of which the first replicates; all ranks when not given.
        reshard_after_forward: give the whole parameters back after forward. Default: except for the root's. A number of
            ranks to share them among counts as True: they are given back altogether.
        shard_placement_fn: which dim to cut a parameter along; 0 where it gives None.
        mp_policy: dtypes of computation, reduction and output.
        offload_policy: `CPUOffloadPolicy` keeps the parts of a model that computes on a GPU in the memory of the CPU,
            where the optimizer steps; without effect where it computes there, too.
        ignored_params: parameters to leave alone.
        dp_mesh_dims: which dims of the mesh are data parallel, where it has others.

    Returns:
        the module or modules, whose class now derives from `FSDPModule`, too.

    Raises:
        ValueError: a container without forward, a mesh of other dims, a parameter without dims.
        AssertionError: the module is sharded already.
    """
    modules: list[Module] = list(module) if isinstance(module, list | tuple) else [module]
    _require_modules(modules)
    mesh = mesh_of(mesh, dp_mesh_dims, modules)
    reshard = True if reshard_after_forward is None else _reshards(reshard_after_forward, mesh)
    ignored = {id(each) for each in ignored_params or ()}
    offloads = isinstance(offload_policy, CPUOffloadPolicy)
    state = shard(modules, mesh, reshard, mp_policy, ignored, shard_placement_fn, offloads)
    state.is_automatic = reshard_after_forward is None
    for each in modules:
        make_sharded(each)
        state.hook(each)
    return module


fully_shard.__module__ = "distrt.distributed.fsdp"


def shard(
    modules: Sequence[Module],
    mesh: DeviceMesh,
    reshards_after_forward: bool,
    policy: MixedPrecisionPolicy,
    ignored: set[int],
    placement: Callable[[Tensor], Shard | None] | None = None,
    offloads: bool = False,
) -> ModuleState:
    """Make a unit of the parameters of some modules, and have its hooks on them.

    Raises:
        UnsupportedError: a layer has sparse gradients.
    """
    for module in modules:
        refuse_sparse_layers(module, "FullyShardedDataParallel and fully_shard", ignored)
    parameters = managed(modules, ignored)
    memory = _memory(modules, [whole for _, _, whole in parameters], mesh, offloads)
    found = [
        ShardedParameter(name, places, whole, mesh, _dim(whole, placement), policy.param_dtype)
        for name, places, whole in parameters
    ]
    unit = None
    if found:
        replicas = mesh.get_group(0) if mesh.ndim == 2 else None
        unit = Unit(found, mesh.get_group(mesh.ndim - 1), replicas, policy, memory)
        unit.reshards_after_forward = reshards_after_forward
    return ModuleState(modules, unit, mesh, policy)


def _require_modules(modules: Sequence[Module]) -> None:
    for module in modules:
        if isinstance(module, ModuleList | ModuleDict) and type(module).forward is Module.forward:
            raise ValueError(
                f"fully_shard does not support containers that do not implement forward: {module}"
            )
        if state_of(module) is not None:
            raise AssertionError(
                "Each distinct composable distributed API can only be applied to a module once. fully_shard has "
                f"already been applied to the following module:\n{module}"
            )


def mesh_of(
    mesh: DeviceMesh | None, dims: DataParallelMeshDims | None = None, modules: Sequence[Module] = ()
) -> DeviceMesh:
    """The ranks to shard over: all of them when not given, with GPUs where the model or the group is for these."""
    if mesh is None:
        if not is_initialized():
            init_process_group()
        group = default_group()
        is_on_gpu = any(each.is_cuda for module in modules for each in module.parameters())
        is_for_gpus = group.gpu_lane is not None and "nccl" in (group.backend_asked or "")
        kind = "cuda" if is_on_gpu or (is_for_gpus and device_count()) else "cpu"
        return init_device_mesh(kind, (group.size(),))
    if dims is not None:
        raise UnsupportedError("fully_shard: dp_mesh_dims is for DTensors of other dims: slice the mesh")
    if mesh.ndim not in (1, 2):
        raise ValueError(f"fully_shard expects a 1D or 2D DeviceMesh but got {mesh}")
    if mesh.ndim == 2 and mesh.mesh_dim_names is None:
        raise AssertionError("Please init the 2D mesh for HSDP with mesh_dim_names specified")
    return mesh


def _memory(
    modules: Sequence[Module], parameters: Sequence[Tensor], mesh: DeviceMesh, offloads: bool
) -> DeviceMemory | None:
    """What the unit is made of; on a GPU the modules' tensors are brought there, as by PyTorch.

    Raises:
        DeviceError: parameters are on another GPU than the current one.
    """
    is_on_gpu = any(each.is_cuda for each in parameters)
    if not is_on_gpu and (mesh.device_type != "cuda" or not device_count()):
        return None
    from distrt.parallel.fully_sharded.device_memory import DeviceMemory, bring

    place = device("cuda", current())
    bring([] if offloads else parameters, modules, place)
    return DeviceMemory(place, offloads)


def _reshards(wanted: Any, mesh: DeviceMesh) -> bool:
    """What ``reshard_after_forward`` asks for.

    Raises:
        ValueError: it is neither a bool nor a divisor of the number of ranks.
    """
    size = mesh.get_group(mesh.ndim - 1).size()
    if not isinstance(wanted, int):
        raise ValueError(
            "reshard_after_forward should be a bool or an int representing the "
            f"group size to reshard to, not {wanted}"
        )
    if isinstance(wanted, bool):
        return wanted
    if wanted < 1 or wanted > size or size % wanted:
        raise ValueError(
            f"If passing reshard_after_forward as an int, it should be a factor of {size}, not {wanted}"
        )
    if wanted == 1:
        warn(
            "reshard_after_forward=1 (int) means resharding parameters to world size 1, instead of "
            "reshard_after_forward=True (bool)"
        )
    return wanted > 1


def managed(modules: Sequence[Module], ignored: set[int]) -> list[tuple[str, list[tuple[Any, str]], Tensor]]:
    """(name, places, parameter) of the modules and of those below that no other call has taken."""
    found: dict[int, tuple[str, list[tuple[Any, str]], Tensor]] = {}
    visited: set[int] = set()

    def visit(module: Module, prefix: str) -> None:
        if id(module) in visited:
            return
        visited.add(id(module))
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in ignored:
                found.setdefault(id(parameter), (prefix + name, [], parameter))[1].append((module, name))
        for name, child in module.named_children():
            if state_of(child) is None:
                visit(child, f"{prefix}{name}.")

    for module in modules:
        visit(module, "")
    return list(found.values())


def _dim(parameter: Tensor, chosen: Callable[[Tensor], Shard | None] | None) -> int:
    placement = None if chosen is None else chosen(parameter)
    if placement is None:
        return 0
    if not isinstance(placement, Shard):
        raise UnsupportedError(
            f"shard_placement_fn: expected a Shard or None, got {type(placement).__name__}"
        )
    dim = placement.dim + parameter.ndim if placement.dim < 0 else placement.dim
    if not 0 <= dim < parameter.ndim:
        raise AssertionError(f"Shard dim {dim} is invalid for {parameter.ndim}D tensor: {parameter.shape}")
    return dim
