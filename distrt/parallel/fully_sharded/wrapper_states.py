"""What ``FullyShardedDataParallel`` gives and takes as states, of the model and of its optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from distrt.comm.functions.objects import broadcast_object_list
from distrt.nn.modules.module import Module
from distrt.optim.optimizer import Optimizer
from distrt.parallel.distributed_tensors.tensor import DTensor
from distrt.parallel.fully_sharded.global_optimizer_state import get_optimizer_state_dict, numbered_for
from distrt.parallel.fully_sharded.global_state import StateDictOptions, on_cpu
from distrt.parallel.fully_sharded.wrapper_options import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    LocalOptimStateDictConfig,
    LocalStateDictConfig,
    OptimStateDictConfig,
    ShardedOptimStateDictConfig,
    ShardedStateDictConfig,
    StateDictConfig,
    StateDictSettings,
    StateDictType,
)

__all__ = ["WrapperStates"]

_INNER = "_fsdp_wrapped_module."
_CONFIGS: dict[StateDictType, tuple[type[StateDictConfig], type[OptimStateDictConfig]]] = {
    StateDictType.FULL_STATE_DICT: (FullStateDictConfig, FullOptimStateDictConfig),
    StateDictType.LOCAL_STATE_DICT: (LocalStateDictConfig, LocalOptimStateDictConfig),
    StateDictType.SHARDED_STATE_DICT: (ShardedStateDictConfig, ShardedOptimStateDictConfig),
}


class WrapperStates(Module):
    """States by the names that parameters have without wrappers."""

    _settings: StateDictSettings
    rank: int

    def _prepare_states(self) -> None:
        self._settings = StateDictSettings(
            StateDictType.FULL_STATE_DICT, FullStateDictConfig(), FullOptimStateDictConfig()
        )
        self.register_load_state_dict_pre_hook(_with_wrappers_names)

    # -- what is chosen

    @staticmethod
    def set_state_dict_type(
        module: Module,
        state_dict_type: StateDictType,
        state_dict_config: StateDictConfig | None = None,
        optim_state_dict_config: OptimStateDictConfig | None = None,
    ) -> StateDictSettings:
        """Choose for all wrappers in a module; what was chosen before.

        Raises:
            RuntimeError: a config of another kind.
        """
        kinds = _CONFIGS[state_dict_type]
        config = state_dict_config or kinds[0]()
        optimizers = optim_state_dict_config or kinds[1]()
        for given, kind in ((config, kinds[0]), (optimizers, kinds[1])):
            if type(given) is not kind:
                raise RuntimeError(f"Expected state_dict_config of type {kind} but got {type(given)}")
        before = WrapperStates.get_state_dict_type(module)
        for each in _wrappers(module):
            each._settings = StateDictSettings(state_dict_type, config, optimizers)
        return before

    @staticmethod
    def get_state_dict_type(module: Module) -> StateDictSettings:
        """What is chosen for the wrappers in a module."""
        found = _wrappers(module)
        if not found:
            raise RuntimeError(f"get_state_dict_type: there is no FullyShardedDataParallel in {module}")
        return found[0]._settings

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(
        module: Module,
        state_dict_type: StateDictType,
        state_dict_config: StateDictConfig | None = None,
        optim_state_dict_config: OptimStateDictConfig | None = None,
    ) -> Iterator[None]:
        """Choose for the statements inside."""
        before = WrapperStates.set_state_dict_type(
            module, state_dict_type, state_dict_config, optim_state_dict_config
        )
        try:
            yield
        finally:
            for each in _wrappers(module):
                each._settings = before

    # -- the model's

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Every parameter and buffer, by the name that it has without wrappers; all ranks call."""
        inner = self._modules[_INNER[:-1]]
        assert inner is not None
        found: dict[str, Any] = inner.state_dict(
            *args, destination=destination, prefix=prefix, keep_vars=keep_vars
        )
        config = self._settings.state_dict_config
        own = [key for key in found if key.startswith(prefix)]
        if self._settings.state_dict_type is not StateDictType.FULL_STATE_DICT:
            if config.offload_to_cpu:
                found.update({key: on_cpu(found[key]) for key in own})
            return found
        is_left_out = getattr(config, "rank0_only", False) and self.rank != 0
        for key in own:
            value = found[key]
            if isinstance(value, DTensor):
                found[key] = value.full_tensor()
            if is_left_out:
                del found[key]
            elif config.offload_to_cpu:
                found[key] = on_cpu(found[key])
        return found

    # -- the optimizer's

    @staticmethod
    def optim_state_dict(
        model: Module, optim: Optimizer, optim_state_dict: dict[str, Any] | None = None, group: Any = None
    ) -> dict[str, Any]:
        """An optimizer's state by parameters' names, as chosen with ``set_state_dict_type``; all ranks call."""
        found = _wrappers(model)
        is_whole = not found or found[0]._settings.state_dict_type is StateDictType.FULL_STATE_DICT
        is_first_only = bool(found) and getattr(
            found[0]._settings.optim_state_dict_config, "rank0_only", False
        )
        options = StateDictOptions(full_state_dict=is_whole, cpu_offload=is_whole and is_first_only)
        state: dict[str, Any] = get_optimizer_state_dict(model, optim, options=options)
        return on_cpu(state) if found and found[0]._settings.optim_state_dict_config.offload_to_cpu else state

    @staticmethod
    def full_optim_state_dict(
        model: Module, optim: Optimizer, optim_input: Any = None, rank0_only: bool = True, group: Any = None
    ) -> dict[str, Any]:
        """An optimizer's whole state by parameters' names, on rank 0 or on all."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=rank0_only)
        state: dict[str, Any] = get_optimizer_state_dict(model, optim, options=options)
        return state

    @staticmethod
    def sharded_optim_state_dict(model: Module, optim: Optimizer, group: Any = None) -> dict[str, Any]:
        """An optimizer's state by parameters' names, in parts."""
        state: dict[str, Any] = get_optimizer_state_dict(model, optim)
        return state

    @staticmethod
    def optim_state_dict_to_load(
        model: Module,
        optim: Optimizer,
        optim_state_dict: dict[str, Any],
        is_named_optimizer: bool = False,
        load_directly: bool = False,
        group: Any = None,
    ) -> dict[str, Any]:
        """What ``optim.load_state_dict`` takes, of a state by parameters' names."""
        found: dict[str, Any] = numbered_for(model, optim, optim_state_dict)
        if load_directly:
            optim.load_state_dict(found)
        return found

    @staticmethod
    def shard_full_optim_state_dict(
        full_optim_state_dict: dict[str, Any], model: Module, optim_input: Any = None, optim: Any = None
    ) -> dict[str, Any]:
        """What ``optim.load_state_dict`` takes, of a whole state that every rank has."""
        if optim is None:
            raise ValueError("shard_full_optim_state_dict: give the optimizer, as optim=")
        found: dict[str, Any] = numbered_for(model, optim, full_optim_state_dict)
        return found

    @staticmethod
    def scatter_full_optim_state_dict(
        full_optim_state_dict: dict[str, Any] | None,
        model: Module,
        optim_input: Any = None,
        optim: Any = None,
        group: Any = None,
    ) -> dict[str, Any]:
        """What ``optim.load_state_dict`` takes, of a whole state that rank 0 has; others give None. All call."""
        given = [full_optim_state_dict]
        broadcast_object_list(given, 0, group)
        found: dict[str, Any] = WrapperStates.shard_full_optim_state_dict(
            given[0] or {}, model, optim_input, optim
        )
        return found


def _wrappers(module: Module) -> list[WrapperStates]:
    return [each for each in module.modules() if isinstance(each, WrapperStates)]


def _with_wrappers_names(module: Any, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
    """Before a wrapper loads: the names of what is inside get the wrapper's own."""
    inner = prefix + _INNER
    for key in [key for key in state_dict if key.startswith(prefix) and not key.startswith(inner)]:
        state_dict[inner + key[len(prefix) :]] = state_dict.pop(key)
