"""``FSDPModule``: what a sharded module can do besides what it did before.

Source: https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, Self, cast

from distrt.core.errors import DistributedError, UnsupportedError
from distrt.core.process.activity import FORWARD, doing
from distrt.core.process.users_code import warn
from distrt.nn.modules.hooks import has_hooks_besides
from distrt.nn.modules.module import Module
from distrt.parallel.fully_sharded.state import ModuleState, state_of, states_of
from distrt.parallel.fully_sharded.unit import Unit
from distrt.utils.repeating import repeated_in

__all__ = [
    "FSDPModule",
    "UnshardHandle",
    "disable_fsdp_module_new_init",
    "make_sharded",
    "register_fsdp_forward_method",
    "share_comm_ctx",
]

_classes: dict[type, type] = {}

_makes_instances: ContextVar[bool] = ContextVar("whether a sharded class runs __init__", default=True)


class UnshardHandle:
    """To wait for parameters that are on their way."""

    def __init__(self, unit: Unit | None = None) -> None:
        self._unit = unit

    def wait(self) -> None:
        """Wait; the module then holds the whole parameters."""
        if self._unit is not None:
            self._unit.finish()
            self._unit = None


class FSDPModule:
    """A base that ``fully_shard`` gives the class of a module."""

    _orig_cls_mro_index: int = 2

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """An instance of the class of before, such as a slice of a Sequential."""
        original: Any = cls.__mro__[cls._orig_cls_mro_index]
        made: Any = original.__new__(original)
        if _makes_instances.get():
            made.__init__(*args, **kwargs)
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the module with whole parameters; where it raises, they are parts again."""
        state = self._get_fsdp_state()
        if state.passes is not None and state.passes.is_forward:  # within the root's, which is told of
            return self._call(state, args, kwargs)
        with doing(FORWARD):
            return self._call(state, args, kwargs)

    def _call(self, state: ModuleState, args: Any, kwargs: Any) -> Any:
        module = cast("Module", self)
        if not has_hooks_besides(
            module, before=1, after=1
        ):  # to go through the registries costs as much again
            return state.call(module, module.forward, args, kwargs)
        try:
            with repeated_in(state.made_whole):
                return super().__call__(*args, **kwargs)  # type: ignore[misc]
        except Exception:
            state.fail()
            raise

    # -- by hand

    def unshard(self, async_op: bool = False) -> UnshardHandle | None:
        """Gather the module's own unit; all ranks call.

        Args:
            async_op: return at once, with a handle to wait on.
        """
        state = self._get_fsdp_state()
        unit = state.unit
        if unit is not None and not unit.is_whole:
            if state.passes is not None and (state.passes.is_forward or state.passes.is_backward):
                state.passes.launch(unit)
            elif not unit.is_gathering:
                unit.part_ways()
                unit.launch(unit.group)
        handle = UnshardHandle(unit)
        if async_op:
            return handle
        handle.wait()
        return None

    def reshard(self) -> None:
        """Give the whole parameters of the module's own unit back."""
        unit = self._get_fsdp_state().unit
        if unit is not None:
            unit.drop()
            unit.give_back()

    def reset_iter_state(self) -> None:
        """Forget about a pass that an exception broke off; its gradients are lost. Of the root only."""
        self._get_fsdp_state().reset()

    # -- settings

    def set_is_last_backward(self, is_last_backward: bool) -> None:
        """Without effect: gradients are there at the end of each backward pass."""

    def set_requires_gradient_sync(self, requires_gradient_sync: bool, *, recurse: bool = True) -> None:
        """Whether backward reduces gradients; else they add up on each rank until a pass that does."""
        for unit in self._units(recurse):
            unit.reduces = requires_gradient_sync

    def set_requires_all_reduce(self, requires_all_reduce: bool, *, recurse: bool = True) -> None:
        """Whether gradients are reduced over the replicas of a mesh of two dims; else only over the shards."""
        for unit in self._units(recurse):
            unit.reduces_over_replicas = requires_all_reduce

    def set_reshard_after_forward(self, reshard_after_forward: bool, recurse: bool = True) -> None:
        """Whether the whole parameters are given back after forward."""
        if not isinstance(reshard_after_forward, bool):
            raise ValueError(f"reshard_after_forward should be a bool, got {type(reshard_after_forward)}")
        for state in self._states(recurse):
            state.is_automatic = False
        for unit in self._units(recurse):
            unit.reshards_after_forward = reshard_after_forward

    def set_reshard_after_backward(self, reshard_after_backward: bool, *, recurse: bool = True) -> None:
        """Whether the whole parameters are given back when their gradients are there."""
        for unit in self._units(recurse):
            unit.reshards_after_backward = reshard_after_backward

    def set_modules_to_forward_prefetch(self, modules: Sequence[FSDPModule]) -> None:
        """Which modules' parameters are to be on their way when this one's forward begins."""
        self._get_fsdp_state().prefetched_in_forward = _states_of_all(modules)

    def set_modules_to_backward_prefetch(self, modules: Sequence[FSDPModule]) -> None:
        """Which modules' parameters are to be on their way when this one's backward begins."""
        self._get_fsdp_state().prefetched_in_backward = _states_of_all(modules)

    def set_unshard_in_backward(self, unshard_in_backward: bool) -> None:
        """Whether backward needs the parameters; that of an embedding does not."""
        for unit in self._units(recurse=False):
            unit.gathers_in_backward = unshard_in_backward

    def set_gradient_divide_factor(self, factor: float) -> None:
        """What sums of gradients are divided by, instead of the number of ranks."""
        for unit in self._units(recurse=False):
            unit.divisor = factor

    def set_reduce_scatter_divide_factor(self, factor: float) -> None:
        """Deprecated: use :meth:`set_gradient_divide_factor`."""
        warn("Use `set_gradient_divide_factor` instead", FutureWarning)
        self.set_gradient_divide_factor(factor)

    def set_all_reduce_hook(self, hook: Callable[[Any], None], *, stream: Any = None) -> None:
        """Call ``hook`` with each reduced row of this rank's gradients, which it may change in place."""
        for unit in self._units(recurse=False):
            unit.after_reduce = hook

    def set_force_sum_reduction_for_comms(self, enable: bool) -> None:
        """Whether to sum and then divide, instead of averaging; the same here, to the bit."""

    def set_reduce_scatter_unused_params(
        self, reduce_scatter_unused_params: bool, *, recurse: bool = True
    ) -> None:
        """Without effect: parameters without a gradient always count as zero."""

    def set_reduce_scatter_max_input_buffers(self, max_input_buffers: int, *, recurse: bool = True) -> None:
        """How many reductions may be under way at a time, each with a row of whole gradients."""
        if isinstance(max_input_buffers, bool) or not isinstance(max_input_buffers, int):
            raise TypeError(f"max_input_buffers must be an int, got {type(max_input_buffers).__name__}")
        if max_input_buffers < 1:
            raise ValueError(f"max_input_buffers must be a positive int, got {max_input_buffers}")
        self._get_fsdp_state().find_root().reductions_in_flight = max_input_buffers

    def set_separate_reduce_scatter_group(self, enable: bool = True, *, recurse: bool = True) -> None:
        """Without effect: reductions always have a group of their own."""

    def set_allocate_memory_from_process_group_for_comm(self, enable: bool) -> None:
        """Without effect: ranks of a machine have memory together anyway."""

    def set_post_optim_event(self, event: Any) -> None:
        """Without effect: an optimizer's step on the CPU is over when it returns."""

    def set_custom_all_gather(self, comm: Any) -> NoReturn:
        """Not there: among the ranks of a machine nothing is gathered."""
        raise UnsupportedError("set_custom_all_gather: parameters are gathered by distrt alone")

    def set_custom_reduce_scatter(self, comm: Any) -> NoReturn:
        """Not there: ranks of a machine reduce where the gradients lie."""
        raise UnsupportedError(
            "set_custom_reduce_scatter: gradients are reduced by distrt alone; see set_all_reduce_hook"
        )

    # -- inside

    def _get_fsdp_state(self) -> ModuleState:
        state = state_of(self)
        if state is None:
            raise AssertionError(f"No FSDP state found on {self}")
        return state

    def _states(self, recurse: bool) -> list[ModuleState]:
        return states_of(self) if recurse else [self._get_fsdp_state()]  # type: ignore[arg-type]

    def _units(self, recurse: bool) -> Iterator[Unit]:
        return (state.unit for state in self._states(recurse) if state.unit is not None)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        self.reshard()
        return super()._apply(*args, **kwargs)  # type: ignore[misc, no-any-return]


for _class in (FSDPModule, UnshardHandle):
    _class.__module__ = "distrt.distributed.fsdp"


def make_sharded(module: Module) -> None:
    """Give a module's class the base."""
    kind = type(module)
    if kind not in _classes:
        own = {"__deepcopy__": _refuse_to_copy, "forward": _only_with_whole_parameters(kind)}
        _classes[kind] = type(f"FSDP{kind.__name__}", (FSDPModule, kind), own)
    module.__class__ = _classes[kind]


def _only_with_whole_parameters(kind: type[Any]) -> Callable[..., Any]:
    """``kind.forward`` for who calls the module; who calls ``forward`` itself would compute with this rank's parts."""

    @functools.wraps(kind.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        unit = self._get_fsdp_state().unit
        if unit is not None and not unit.is_whole:
            raise DistributedError(_parts_alone(kind.__name__, unit))
        return kind.forward(self, *args, **kwargs)

    return forward


def _parts_alone(name: str, unit: Unit) -> str:
    names = [each.name for each in unit.parameters]
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"rank {unit.group.rank()}: {name}.forward() was called by itself, while this rank has only its parts of the "
        f"unit's parameters: {listed} (PyTorch: got mixed torch.Tensor and DTensor). Call the module, module(input), "
        "which gathers them; give another method to register_fsdp_forward_method; or call module.unshard() before"
    )


def _refuse_to_copy(*args: Any, **kwargs: Any) -> NoReturn:
    raise AssertionError("FSDP does not support deepcopy. Please use state dict for serialization.")


def _states_of_all(modules: Sequence[Any]) -> list[ModuleState]:
    for module in modules:
        if not isinstance(module, FSDPModule):
            raise ValueError(f"Expects FSDPModule but got {type(module)}: {module}")
    return [module._get_fsdp_state() for module in modules]


@contextmanager
def disable_fsdp_module_new_init() -> Iterator[None]:
    """Inside, calling a sharded class makes an instance without running ``__init__``."""
    token = _makes_instances.set(False)
    try:
        yield
    finally:
        _makes_instances.reset(token)


def register_fsdp_forward_method(module: Module, method_name: str) -> None:
    """Have a method gather the module's parameters as ``forward`` does; nothing for a module that is not sharded.

    Raises:
        ValueError: there is no such method.
    """
    if not isinstance(module, FSDPModule):
        return
    if not hasattr(module, method_name):
        raise ValueError(f"{type(module)} does not have a method {method_name}")
    original = getattr(module, method_name)

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._get_fsdp_state().call(self, original, args, kwargs)

    functools.update_wrapper(wrapped, original)
    setattr(module, method_name, types.MethodType(wrapped, module))


def share_comm_ctx(modules: Sequence[Any]) -> None:
    """Without effect: models on the same ranks share their groups anyway.

    Raises:
        ValueError: one of them is not sharded.
    """
    for module in modules:
        if not isinstance(module, FSDPModule):
            raise ValueError(f"Expects list of FSDPModules but got {module}")


for _function in (register_fsdp_forward_method, share_comm_ctx):
    _function.__module__ = "distrt.distributed.fsdp"
