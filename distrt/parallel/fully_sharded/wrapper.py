"""``FullyShardedDataParallel``: the wrapper of before ``fully_shard``, over the same units.

It behaves as PyTorch's does with ``use_orig_params=True``: parameters stay apart, each a part of itself.

Source: https://docs.pytorch.org/docs/stable/fsdp.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import row_major
from distrt.core.device import device
from distrt.core.errors import UnsupportedError
from distrt.core.gpu.library import device_count
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.modules.container import ModuleDict, ModuleList
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter
from distrt.nn.utils.clip_grad import clip_grad_norm_
from distrt.parallel.fully_sharded.materializing import materialize
from distrt.parallel.fully_sharded.policies import MixedPrecisionPolicy
from distrt.parallel.fully_sharded.sharding import managed, mesh_of, shard
from distrt.parallel.fully_sharded.state import ModuleState, states_of
from distrt.parallel.fully_sharded.unit import Unit
from distrt.parallel.fully_sharded.wrapper_options import (
    BackwardPrefetch,
    CPUOffload,
    MixedPrecision,
    ShardingStrategy,
)
from distrt.parallel.fully_sharded.wrapper_states import WrapperStates
from distrt.parallel.fully_sharded.wrapping import ModuleWrapPolicy, wrap_below

__all__ = ["FullyShardedDataParallel"]

_INNER = "_fsdp_wrapped_module"
_ON_SHARDS = {
    ShardingStrategy.FULL_SHARD: True,
    ShardingStrategy.HYBRID_SHARD: True,
    ShardingStrategy.SHARD_GRAD_OP: False,
    ShardingStrategy._HYBRID_SHARD_ZERO2: False,
    ShardingStrategy.NO_SHARD: False,
}


class FullyShardedDataParallel(WrapperStates, Module):
    """A module whose parameters are split over the ranks, and whole while it computes.

    Args:
        module: the model, or a part of it.
        process_group: the ranks; all when not given.
        sharding_strategy: FULL_SHARD gives parameters back after forward, SHARD_GRAD_OP after backward; so does
            NO_SHARD, which differs in memory alone. The HYBRID ones need a ``device_mesh`` of two dims, or one machine.
        auto_wrap_policy: which modules below get a wrapper of their own: a policy of ``wrap``, or a set of classes.
        mixed_precision: dtypes.
        ignored_modules, ignored_states: what to leave alone.
        sync_module_states: take over rank 0's values first.
        device_mesh: the ranks, instead of ``process_group``.
        param_init_fn: called with each module that has parameters on the meta device, to give them memory and values;
            when not given, its ``to_empty`` and ``reset_parameters`` are.
        cpu_offload, backward_prefetch, device_id, forward_prefetch, limit_all_gathers, use_orig_params: accepted.

    Raises:
        ValueError: both ``process_group`` and ``device_mesh``, or both ways to leave something alone.
    """

    def __init__(
        self,
        module: Module,
        process_group: Any = None,
        sharding_strategy: ShardingStrategy | None = None,
        cpu_offload: CPUOffload | None = None,
        auto_wrap_policy: Any = None,
        backward_prefetch: BackwardPrefetch | None = BackwardPrefetch.BACKWARD_PRE,
        mixed_precision: MixedPrecision | None = None,
        ignored_modules: Iterable[Module] | None = None,
        param_init_fn: Callable[[Module], None] | None = None,
        device_id: Any = None,
        sync_module_states: bool = False,
        forward_prefetch: bool = False,
        limit_all_gathers: bool = True,
        use_orig_params: bool = False,
        ignored_states: Iterable[Any] | None = None,
        device_mesh: DeviceMesh | None = None,
    ) -> None:
        super().__init__()
        strategy = sharding_strategy or ShardingStrategy.FULL_SHARD
        _warn_of(module, strategy)
        if device_id is not None and device_count():
            module.to(device("cuda", device_id) if isinstance(device_id, int) else device_id)
        mesh = _mesh(process_group, device_mesh, module)
        ignored = _ignored(module, ignored_modules, ignored_states)
        if auto_wrap_policy is not None:
            if isinstance(auto_wrap_policy, set | frozenset):
                auto_wrap_policy = ModuleWrapPolicy(auto_wrap_policy)
            _require_nothing_wrapped(module)
            options = {
                "sharding_strategy": sharding_strategy,
                "mixed_precision": mixed_precision,
                "ignored_states": [each for each in module.parameters() if id(each) in ignored],
                "sync_module_states": sync_module_states,
                "param_init_fn": param_init_fn,
                "device_mesh": mesh,
                "cpu_offload": cpu_offload,
            }
            wrap_below(module, auto_wrap_policy, FullyShardedDataParallel, ignored, **options)
        materialize(module, param_init_fn, FullyShardedDataParallel, ignored)
        if sync_module_states:
            _take_over(module, mesh, ignored)
        precision = mixed_precision or MixedPrecision()
        if precision.buffer_dtype is not None:
            _cast_buffers(module, precision.buffer_dtype)
        self._modules[_INNER] = module
        self.sharding_strategy, self.mixed_precision = strategy, precision
        self.process_group = mesh.get_group(mesh.ndim - 1)
        self.rank, self.world_size = self.process_group.rank(), self.process_group.size()
        self._state = shard(
            [module],
            mesh,
            _ON_SHARDS[strategy],
            _policy(precision),
            ignored,
            offloads=bool(cpu_offload and cpu_offload.offload_params),
        )
        self._is_summoned = 0
        self._prepare_states()

    # -- the module inside

    @property
    def module(self) -> Module:
        """The module inside."""
        inner: Module | None = self._modules[_INNER]
        assert inner is not None
        return inner

    def __getattr__(self, name: str) -> Any:
        """What the wrapper does not have, the module inside may."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == _INNER or _INNER not in self.__dict__.get("_modules", {}):
                raise
            return getattr(self._modules[_INNER], name)

    def __getitem__(self, key: Any) -> Any:
        """An item of the module inside."""
        return self.module[key]  # type: ignore[index]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self._state.call(self, self.module, args, kwargs)

    def check_is_root(self) -> bool:
        """Whether no other wrapper is around this one, as far as passes have told."""
        self._state.find_root()
        return bool(self._state.is_root)

    @staticmethod
    def fsdp_modules(module: Module, root_only: bool = False) -> list[FullyShardedDataParallel]:
        """The wrappers in a module; with ``root_only`` those that no other wrapper is around."""
        found = [each for each in module.modules() if isinstance(each, FullyShardedDataParallel)]
        if not root_only:
            return found
        inner = {id(below) for each in found for below in each.modules() if below is not each}
        return [each for each in found if id(each) not in inner]

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call ``fn`` with every module, while parameters are whole."""
        with self.summon_full_params(self):
            return super().apply(fn)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Parameter]]:
        """The parameters; while they are summoned, by the names that they have without wrappers."""
        for name, parameter in super().named_parameters(*args, **kwargs):
            yield name.replace(f"{_INNER}.", "") if self._is_summoned else name, parameter

    # -- training

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, gradients add up on each rank; the next pass outside reduces the sums."""
        units = list(_units(self))
        before = [unit.reduces for unit in units]
        for unit in units:
            unit.reduces = False
        try:
            yield
        finally:
            for unit, reduces in zip(units, before, strict=True):
                unit.reduces = reduces

    def clip_grad_norm_(self, max_norm: float, norm_type: float = 2.0) -> Tensor:
        """Scale the gradients so that their norm over all ranks is at most ``max_norm``; the norm before."""
        total = clip_grad_norm_(self.parameters(), float(max_norm), float(norm_type))
        return total.to_local() if hasattr(total, "to_local") else total

    @staticmethod
    @contextlib.contextmanager
    def summon_full_params(
        module: Module,
        recurse: bool = True,
        writeback: bool = True,
        rank0_only: bool = False,
        offload_to_cpu: bool = False,
        with_grads: bool = False,
    ) -> Iterator[None]:
        """Inside, modules hold whole parameters, outside of any pass; all ranks enter.

        Args:
            module: a model with wrappers.
            recurse: those of all wrappers, and not of the outermost alone.
            writeback: take over what is changed inside.
            rank0_only: on rank 0 alone; the others hold their parts.
            offload_to_cpu: accepted.
            with_grads: whole gradients, too.
        """
        if writeback and rank0_only:
            raise NotImplementedError("writeback=True and rank0_only=True is not supported yet")
        states = states_of(module) if recurse else states_of(module)[:1]
        summoned: list[tuple[Any, Parameter]] = []
        for each in (each for state in states if state.unit is not None for each in state.unit.parameters):
            part = each.current()
            whole = Parameter(part.full_tensor(), part.requires_grad)
            if with_grads and part.grad is not None:
                whole.grad = part.grad.full_tensor() if hasattr(part.grad, "full_tensor") else part.grad
            if not rank0_only or _rank(states) == 0:
                summoned.append((each, whole))
                each.show(whole)
        wrappers = FullyShardedDataParallel.fsdp_modules(module)
        for wrapper in wrappers:
            wrapper._is_summoned += 1
        try:
            yield
        finally:
            for wrapper in wrappers:
                wrapper._is_summoned -= 1
            for each, whole in summoned:
                if writeback:
                    with no_grad():
                        each.part.copy_(whole.detach())
                each.show(each.part)

    def register_comm_hook(self, state: object, hook: Callable[..., Any]) -> None:
        """Not there: units reduce rows of whole gradients to parts of them, which hooks of buckets cannot."""
        raise UnsupportedError(
            "FullyShardedDataParallel.register_comm_hook: use mixed_precision's reduce_dtype"
        )


FullyShardedDataParallel.__module__ = "distrt.distributed.fsdp.fully_sharded_data_parallel"


def _warn_of(module: Module, strategy: ShardingStrategy) -> None:
    if isinstance(module, ModuleList | ModuleDict):
        warn(f"FSDP will not all-gather parameters for containers that do not implement forward: {module}")
    if strategy is ShardingStrategy.NO_SHARD:
        warn(
            "The `NO_SHARD` sharding strategy is deprecated. If having issues, please use "
            "`DistributedDataParallel` instead.",
            FutureWarning,
        )


def _policy(precision: MixedPrecision) -> MixedPrecisionPolicy:
    return MixedPrecisionPolicy(
        precision.param_dtype,
        precision.reduce_dtype,
        cast_forward_inputs=precision.cast_forward_inputs or precision.cast_root_forward_inputs,
    )


def _mesh(group: Any, mesh: DeviceMesh | None, module: Module) -> DeviceMesh:
    if group is not None and mesh is not None:
        raise ValueError("Cannot pass both process_group and device_mesh at the same time.")
    if group is None:
        return mesh_of(mesh, modules=[module])
    if not isinstance(group, ProcessGroup):
        raise UnsupportedError(
            "FullyShardedDataParallel: of several process groups, make a device_mesh of two dims"
        )
    return DeviceMesh.from_group(group, "cpu")


def _ignored(module: Module, modules: Iterable[Module] | None, states: Iterable[Any] | None) -> set[int]:
    if modules is not None and states is not None:
        raise ValueError(
            "Cannot pass both ignored_modules and ignored_states at the same time. Please just pass ignored_states."
        )
    found: set[int] = set()
    for each in [*(modules or ()), *(states or ())]:
        found |= (
            {id(each)} if isinstance(each, Tensor) else {id(parameter) for parameter in each.parameters()}
        )
    return found


def _require_nothing_wrapped(module: Module) -> None:
    for name, each in module.named_modules():
        if isinstance(each, FullyShardedDataParallel):
            raise ValueError(
                "FSDP auto wrapping requires modules to not already have FSDP applied but found "
                f"{name} in\n{module}"
            )


def _take_over(module: Module, mesh: DeviceMesh, ignored: set[int]) -> None:
    """Rank 0's parameters that are to be split now, and all buffers."""
    tensors = [whole for _, _, whole in managed([module], ignored)]
    for tensor in [*tensors, *module.buffers()]:
        for group in mesh.get_all_groups():
            values = row_major(tensor._array)
            group.broadcast(values, src=0).wait()
            tensor._array[...] = values
        tensor._counter[0] += 1


def _cast_buffers(module: Module, dtype: Any) -> None:
    for each in module.modules():
        for name, buffer in each._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                each._buffers[name] = buffer.to(dtype)


def _units(module: Module) -> Iterator[Unit]:
    return (state.unit for state in states_of(module) if state.unit is not None)


def _rank(states: list[ModuleState]) -> int:
    mesh = states[0].mesh
    return mesh.get_group(mesh.ndim - 1).rank()
